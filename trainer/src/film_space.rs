//! Fitting the film space: the principal components of frontal chest films, and how well the distance from it tells
//! them from other pictures.

use image::GrayImage;
use image::imageops;
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};
use xray_triage::film_space::{FilmSpace, SIDE};

use crate::metrics::Estimate;

/// Dimensions of the space. Of 8, 12, 16, 20, 24 and 32 it is the number that tells the validation films best from
/// lateral films, CT slices and everyday photographs; see docs/design/film-space.md.
pub const COMPONENTS: usize = 16;

/// The share of the validation films that may be refused as unfamiliar.
pub const REFUSED_SHARE: f64 = 0.01;

/// The space of films and their mirror images. There must be at least one film.
pub fn fit<'a>(films: impl Iterator<Item = &'a GrayImage>) -> FilmSpace {
    let pixels = (SIDE * SIDE) as usize;
    let rows: Vec<Vec<f32>> =
        films.flat_map(|film| [FilmSpace::reduce(film), FilmSpace::reduce(&imageops::flip_horizontal(film))]).collect();
    let count = rows.len() as f64;
    let mean: Vec<f64> =
        (0..pixels).map(|pixel| rows.iter().map(|row| f64::from(row[pixel])).sum::<f64>() / count).collect();
    let centred = DMatrix::from_fn(rows.len(), pixels, |row, pixel| f64::from(rows[row][pixel]) - mean[pixel]);
    let eigen = SymmetricEigen::new(centred.tr_mul(&centred) / count);
    let mut order: Vec<usize> = (0..pixels).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let component = |&place: &usize| {
        let vector = eigen.eigenvectors.column(place);
        // An eigenvector's sign is free; fixed, so that the same films give the same file.
        let sign = if vector.sum() < 0.0 { -1.0 } else { 1.0 };
        vector.iter().map(|value| rounded(sign * value)).collect()
    };
    FilmSpace {
        mean: mean.into_iter().map(rounded).collect(),
        components: order.iter().take(COMPONENTS).map(component).collect(),
    }
}

/// To a hundred-thousandth of the gray range, which changes distances by less than a ten-thousandth.
fn rounded(value: f64) -> f32 {
    ((value * 1e5).round() / 1e5) as f32
}

/// The distance that all but [`REFUSED_SHARE`] of the films keep; 1 without films.
pub fn threshold(mut distances: Vec<f64>) -> f64 {
    distances.sort_by(f64::total_cmp);
    let allowed = (distances.len() as f64 * REFUSED_SHARE).floor() as usize;
    let place = distances.len().checked_sub(allowed + 1);
    // Rounded up, so that the film at the threshold stays familiar.
    place.map_or(1.0, |place| (distances[place] * 1e4).ceil() / 1e4)
}

/// A bundle's film space on the films of a split and on foreign pictures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignTest {
    /// The bundle's id.
    pub model: String,
    /// SHA-256 of its network.
    pub sha256: String,
    /// SHA-256 of its film space.
    pub film_space_sha256: String,
    pub split: String,
    #[serde(flatten)]
    pub separation: Separation,
}

impl std::fmt::Display for ForeignTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Separation { films, foreign, auroc, films_refused, foreign_refused } = &self.separation;
        writeln!(f, "AUROC {:.3} ({:.3}-{:.3})", auroc.value, auroc.low, auroc.high)?;
        writeln!(f, "{films} films, {:.1} % refused as unfamiliar", 100.0 * films_refused)?;
        writeln!(f, "{foreign} foreign pictures, {:.1} % refused", 100.0 * foreign_refused)
    }
}

/// How well the distance tells films from foreign pictures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Separation {
    pub films: usize,
    pub foreign: usize,
    /// Chance that a foreign picture is farther from the space than a film.
    pub auroc: Estimate,
    /// Shares farther than the threshold, 0..=1.
    pub films_refused: f64,
    pub foreign_refused: f64,
}

impl Separation {
    /// None if there are no films or no foreign pictures.
    pub fn of(films: &[f64], foreign: &[f64], threshold: f64) -> Option<Self> {
        let farther = |distances: &[f64]| {
            distances.iter().filter(|distance| **distance > threshold).count() as f64 / distances.len() as f64
        };
        let scored: Vec<(f64, bool)> = films
            .iter()
            .map(|distance| (*distance, false))
            .chain(foreign.iter().map(|distance| (*distance, true)))
            .collect();
        Some(Separation {
            films: films.len(),
            foreign: foreign.len(),
            auroc: Estimate::of(&scored, |scored| crate::metrics::area_under_curve(scored.to_vec()))?,
            films_refused: farther(films),
            foreign_refused: farther(foreign),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    /// Bright blobs at a height of their own.
    fn film(number: u32) -> GrayImage {
        let centre = f64::from(20 + number % 7);
        GrayImage::from_fn(48, 48, |x, y| {
            let (dx, dy) = (f64::from(x) - 24.0, f64::from(y) - centre);
            Luma([(255.0 * (-(dx * dx + dy * dy) / 120.0).exp()) as u8])
        })
    }

    #[test]
    fn components_are_orthonormal_and_explain_the_films() {
        let films: Vec<GrayImage> = (0..20).map(film).collect();
        let space = fit(films.iter());
        assert_eq!((space.fault(), space.components.len()), (None, COMPONENTS));
        // Beyond the films' own dimensions the components are any; those that carry anything are orthonormal.
        for (i, a) in space.components.iter().enumerate() {
            for (j, b) in space.components.iter().enumerate() {
                let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - if i == j { 1.0 } else { 0.0 }).abs() < 1e-3, "{i} {j}: {product}");
            }
        }
        assert!(space.distance(&film(3)) < 0.01, "{}", space.distance(&film(3)));
        assert!(space.distance(&imageops::flip_horizontal(&film(3))) < 0.01);
        let negative = GrayImage::from_fn(48, 48, |x, y| Luma([255 - film(3).get_pixel(x, y)[0]]));
        assert!(space.distance(&negative) > 0.1, "{}", space.distance(&negative));
    }

    #[test]
    fn the_threshold_keeps_all_but_a_hundredth() {
        let distances: Vec<f64> = (1..=200).map(|film| f64::from(film) / 1000.0).collect();
        let threshold = threshold(distances.clone());
        assert_eq!(distances.iter().filter(|distance| **distance > threshold).count(), 2);
        assert_eq!(super::threshold(vec![]), 1.0);
        assert_eq!(super::threshold(vec![0.12341]), 0.1235);
    }

    #[test]
    fn separation_of_known_distances() {
        let separation = Separation::of(&[0.1, 0.2], &[0.15, 0.3], 0.25).unwrap();
        assert_eq!(separation.auroc.value, 0.75);
        assert_eq!((separation.films_refused, separation.foreign_refused), (0.0, 0.5));
        assert!(Separation::of(&[], &[0.3], 0.25).is_none());
    }
}

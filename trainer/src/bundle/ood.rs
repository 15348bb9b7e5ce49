//! Fitting the film space: the principal components of frontal chest films, the distance that films keep from it, and
//! how well that tells them from other pictures.

use std::collections::{BTreeMap, BTreeSet};

use image::imageops;
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};
use xray_triage_core::ood::{OodModel, VALUES};

use crate::data::dataset::{Film, LabelledFilm};
use crate::measure::metrics::Estimate;

/// Dimensions of the space. Of 32, 64 and 96 the one with which most foreign pictures are farther away than 99 of 100
/// films; see docs/design/ood.md.
pub const COMPONENTS: usize = 64;

/// The share of films that may be refused as unfamiliar.
pub const REFUSED_SHARE: f64 = 0.01;

/// Parts of the films that are held back in turn by [`FilmDescriptions::held_out`].
const PARTS: usize = 8;

/// Films and their mirror images as the film space sees them.
pub struct FilmDescriptions {
    patients: Vec<String>,
    upright: Vec<Vec<f32>>,
    mirrored: Vec<Vec<f32>>,
}

impl FilmDescriptions {
    pub fn of(films: &[LabelledFilm]) -> Self {
        // A film of nobody known is a patient of its own.
        let patient = |film: &Film| match film.patient_id.is_empty() {
            true => film.image_id.clone(),
            false => film.patient_id.clone(),
        };
        FilmDescriptions {
            patients: films.iter().map(|film| patient(&film.film)).collect(),
            upright: films.iter().map(|film| OodModel::describe(&film.picture)).collect(),
            mirrored: films.iter().map(|film| OodModel::describe(&imageops::flip_horizontal(&film.picture))).collect(),
        }
    }

    /// The space of all films. There must be at least one.
    pub fn space(&self) -> OodModel {
        self.space_where(|_| true)
    }

    /// Each film's distance from the space of the films of other patients, as a film that is not yet known would have
    /// it: the patients are dealt out in [`PARTS`] parts, of which one at a time is held back. Without films of at least
    /// two patients there is nothing.
    pub fn held_out(&self) -> Vec<f64> {
        let patients: BTreeSet<&String> = self.patients.iter().collect();
        if patients.len() < 2 {
            return Vec::new();
        }
        let parts: BTreeMap<&String, usize> =
            patients.iter().enumerate().map(|(place, patient)| (*patient, place % PARTS)).collect();
        let part = |film: usize| parts[&self.patients[film]];
        let mut distances = vec![0.0; self.upright.len()];
        for held_back in 0..PARTS.min(patients.len()) {
            let space = self.space_where(|film| part(film) != held_back);
            for (film, distance) in distances.iter_mut().enumerate().filter(|(film, _)| part(*film) == held_back) {
                *distance = space.score_of(&self.upright[film]);
            }
        }
        distances
    }

    fn space_where(&self, wanted: impl Fn(usize) -> bool) -> OodModel {
        let rows: Vec<&Vec<f32>> = (0..self.upright.len())
            .filter(|film| wanted(*film))
            .flat_map(|film| [&self.upright[film], &self.mirrored[film]])
            .collect();
        let count = rows.len() as f64;
        let mean: Vec<f64> =
            (0..VALUES).map(|place| rows.iter().map(|row| f64::from(row[place])).sum::<f64>() / count).collect();
        let centred = DMatrix::from_fn(rows.len(), VALUES, |row, place| f64::from(rows[row][place]) - mean[place]);
        let eigen = SymmetricEigen::new(centred.tr_mul(&centred) / count);
        let mut order: Vec<usize> = (0..VALUES).collect();
        order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
        let component = |&place: &usize| {
            let vector = eigen.eigenvectors.column(place);
            // An eigenvector's sign is free; fixed, so that the same films give the same file.
            let sign = if vector.sum() < 0.0 { -1.0 } else { 1.0 };
            vector.iter().map(|value| rounded(sign * value)).collect()
        };
        OodModel {
            mean: mean.into_iter().map(rounded).collect(),
            components: order.iter().take(COMPONENTS).map(component).collect(),
        }
    }
}

/// To a hundred-thousandth, which changes distances by less than a ten-thousandth.
fn rounded(value: f64) -> f32 {
    ((value * 1e5).round() / 1e5) as f32
}

/// The distance that all but [`REFUSED_SHARE`] of the films keep when each of the distances in `added` is added to each
/// of theirs; 1 if there are none.
///
/// A profile has too few photographs for a hundredth of them to say anything; what a photograph adds to its film's own
/// distance is taken as independent of that.
pub fn threshold(films: &[f64], added: &[f64]) -> f64 {
    let mut sums: Vec<f64> = films.iter().flat_map(|film| added.iter().map(move |added| film + added)).collect();
    sums.sort_by(f64::total_cmp);
    let allowed = (sums.len() as f64 * REFUSED_SHARE).floor() as usize;
    let place = sums.len().checked_sub(allowed + 1);
    // Rounded up, so that the film at the threshold stays familiar.
    place.map_or(1.0, |place| ((sums[place] * 1e4).ceil() / 1e4).clamp(0.0, 1.0))
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
            auroc: Estimate::of(&scored, |scored| crate::measure::metrics::area_under_curve(scored.to_vec()))?,
            films_refused: farther(films),
            foreign_refused: farther(foreign),
        })
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};
    use xray_triage_core::decision::Class;

    use super::*;

    /// Bright blobs at a height of their own.
    fn blob(number: u32) -> GrayImage {
        let centre = f64::from(20 + number % 7);
        GrayImage::from_fn(48, 48, |x, y| {
            let (dx, dy) = (f64::from(x) - 24.0, f64::from(y) - centre);
            Luma([(255.0 * (-(dx * dx + dy * dy) / 120.0).exp()) as u8])
        })
    }

    /// A film of each picture, of the patient with the same place in `patients`.
    fn described(pictures: Vec<GrayImage>, patients: &[&str]) -> FilmDescriptions {
        let film = |(number, (picture, patient)): (usize, (GrayImage, &&str))| {
            let film = Film {
                image_id: number.to_string(),
                path: "film.png".into(),
                label: Class::Normal,
                source: String::new(),
                patient_id: patient.to_string(),
                view: String::new(),
                split: "train".into(),
                protocol: String::new(),
            };
            LabelledFilm { film, picture }
        };
        FilmDescriptions::of(&pictures.into_iter().zip(patients).enumerate().map(film).collect::<Vec<_>>())
    }

    #[test]
    fn components_are_orthonormal_and_explain_the_films() {
        let space = described((0..20).map(blob).collect(), &[""; 20]).space();
        assert_eq!((space.fault(), space.components.len()), (None, COMPONENTS));
        // Beyond the films' own dimensions the components are any; those that carry anything are orthonormal.
        for (i, a) in space.components.iter().enumerate() {
            for (j, b) in space.components.iter().enumerate() {
                let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - if i == j { 1.0 } else { 0.0 }).abs() < 1e-3, "{i} {j}: {product}");
            }
        }
        assert!(space.score(&blob(3)) < 0.01, "{}", space.score(&blob(3)));
        assert!(space.score(&imageops::flip_horizontal(&blob(3))) < 0.01);
        let negative = GrayImage::from_fn(48, 48, |x, y| Luma([255 - blob(3).get_pixel(x, y)[0]]));
        assert!(space.score(&negative) > 0.1, "{}", space.score(&negative));
    }

    #[test]
    fn a_patients_own_films_do_not_make_one_familiar() {
        let odd = || GrayImage::from_fn(48, 48, |x, y| Luma([((x * y) % 256) as u8]));
        let pictures = || vec![blob(0), blob(1), blob(2), odd(), odd()];
        let alone = described(pictures(), &["a", "b", "c", "d", "d"]).held_out();
        let known = described(pictures(), &["a", "b", "c", "d", "e"]).held_out();
        assert!(alone[3] > 0.05 && alone[3] == alone[4], "{alone:?}");
        assert!(known[3] < 0.001 && known[4] < 0.001, "{known:?}");
        assert!(described(pictures(), &["a"; 5]).held_out().is_empty());
    }

    #[test]
    fn the_threshold_keeps_all_but_a_hundredth() {
        let films: Vec<f64> = (1..=200).map(|film| f64::from(film) / 1000.0).collect();
        let digital = threshold(&films, &[0.0]);
        assert_eq!(films.iter().filter(|distance| **distance > digital).count(), 2);
        // Sums are seldom exact, and rounded up.
        let near = |threshold: f64, wanted: f64| (threshold - wanted).abs() < 1.5e-4;
        assert!(near(threshold(&films, &[0.1, 0.1]), digital + 0.1));
        // Half of the photographs add much, so a hundredth of all is a fiftieth of those.
        assert!(near(threshold(&films, &[0.0, 0.5]), 0.696));
        assert_eq!((threshold(&[], &[0.0]), threshold(&films, &[])), (1.0, 1.0));
        assert_eq!(threshold(&[0.12341], &[0.0]), 0.1235);
    }

    #[test]
    fn separation_of_known_distances() {
        let separation = Separation::of(&[0.1, 0.2], &[0.15, 0.3], 0.25).unwrap();
        assert_eq!(separation.auroc.value, 0.75);
        assert_eq!((separation.films_refused, separation.foreign_refused), (0.0, 0.5));
        assert!(Separation::of(&[], &[0.3], 0.25).is_none());
    }
}

//! Fitting the out-of-distribution (OOD) model, the principal components of frontal chest films, and the threshold of the
//! OOD score. docs/design/ood.md has the measurements behind the constants.

use std::collections::{BTreeMap, BTreeSet};

use image::imageops;
use nalgebra::{DMatrix, SymmetricEigen};
use xray_triage_core::ood::{OodModel, VALUES};

use crate::data::dataset::{Film, LabelledFilm};

/// How many principal components the OOD model has. Of 32, 64 and 96 it is the number with which most out-of-distribution
/// pictures get a higher score than 99 of 100 films (docs/design/ood.md).
pub const COMPONENTS: usize = 64;

/// The share of films that may be refused as out-of-distribution, 0..=1.
pub const REFUSED_SHARE: f64 = 0.01;

/// In so many parts [`FilmDescriptions::held_out`] deals out the patients.
const PARTS: usize = 8;

/// Films and their mirror images, as the OOD model sees them.
pub struct FilmDescriptions {
    patients: Vec<String>,
    upright: Vec<Vec<f32>>,
    mirrored: Vec<Vec<f32>>,
}

impl FilmDescriptions {
    /// Describes films for [`OodModel`]. Each film without a known patient counts as a patient of its own.
    pub fn of(films: &[LabelledFilm]) -> Self {
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

    /// Fits the OOD model to all films. Without films it is no usable model ([`OodModel::fault`]).
    pub fn ood_model(&self) -> OodModel {
        self.fitted_where(|_| true)
    }

    /// Each film's OOD score by a model of other patients' films: the score that a new film would get. The patients are
    /// dealt out in eight parts, and a model is fitted without each part in turn. Empty if there are fewer than two
    /// patients.
    pub fn held_out(&self) -> Vec<f64> {
        let patients: BTreeSet<&String> = self.patients.iter().collect();
        if patients.len() < 2 {
            return Vec::new();
        }
        let parts: BTreeMap<&String, usize> =
            patients.iter().enumerate().map(|(place, patient)| (*patient, place % PARTS)).collect();
        let part = |film: usize| parts[&self.patients[film]];
        let mut scores = vec![0.0; self.upright.len()];
        for held_back in 0..PARTS.min(patients.len()) {
            let others = self.fitted_where(|film| part(film) != held_back);
            for (film, score) in scores.iter_mut().enumerate().filter(|(film, _)| part(*film) == held_back) {
                *score = others.score_of(&self.upright[film]);
            }
        }
        scores
    }

    /// Fits a model to the films that are wanted, by their place in the list.
    fn fitted_where(&self, wanted: impl Fn(usize) -> bool) -> OodModel {
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
            // An eigenvector's sign is free. It is fixed here, so that the same films give the same file.
            let sign = if vector.sum() < 0.0 { -1.0 } else { 1.0 };
            vector.iter().map(|value| rounded(sign * value)).collect()
        };
        OodModel {
            mean: mean.into_iter().map(rounded).collect(),
            components: order.iter().take(COMPONENTS).map(component).collect(),
        }
    }
}

/// The value with five decimals. Rounding changes a score by less than 0.0001.
fn rounded(value: f64) -> f32 {
    ((value * 1e5).round() / 1e5) as f32
}

/// The OOD threshold of a profile: all but [`REFUSED_SHARE`] of the sums of a film's score and of what a photograph adds
/// are at most as high. 1 if there are no sums.
///
/// `scores` are the scores of films, `added` is how much higher photographs of the profile score than their films. A
/// profile has too few photographs for a hundredth of them to say anything. So every addition is put onto every score, as
/// if the two were independent.
pub fn threshold(scores: &[f64], added: &[f64]) -> f64 {
    let mut sums: Vec<f64> = scores.iter().flat_map(|score| added.iter().map(move |added| score + added)).collect();
    sums.sort_by(f64::total_cmp);
    let allowed = (sums.len() as f64 * REFUSED_SHARE).floor() as usize;
    let place = sums.len().checked_sub(allowed + 1);
    // Rounded up, so that the film at the threshold is not refused.
    place.map_or(1.0, |place| ((sums[place] * 1e4).ceil() / 1e4).clamp(0.0, 1.0))
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
                label_source: None,
                reading: String::new(),
                review: String::new(),
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
        let model = described((0..20).map(blob).collect(), &[""; 20]).ood_model();
        assert_eq!((model.fault(), model.components.len()), (None, COMPONENTS));
        // Beyond the films' own dimensions the components are any; those that carry anything are orthonormal.
        for (i, a) in model.components.iter().enumerate() {
            for (j, b) in model.components.iter().enumerate() {
                let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                assert!((product - if i == j { 1.0 } else { 0.0 }).abs() < 1e-3, "{i} {j}: {product}");
            }
        }
        assert!(model.score(&blob(3)) < 0.01, "{}", model.score(&blob(3)));
        assert!(model.score(&imageops::flip_horizontal(&blob(3))) < 0.01);
        let negative = GrayImage::from_fn(48, 48, |x, y| Luma([255 - blob(3).get_pixel(x, y)[0]]));
        assert!(model.score(&negative) > 0.1, "{}", model.score(&negative));
    }

    #[test]
    fn a_patients_own_films_do_not_lower_a_films_score() {
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
        assert_eq!(films.iter().filter(|score| **score > digital).count(), 2);
        // Sums are seldom exact, and rounded up.
        let near = |threshold: f64, wanted: f64| (threshold - wanted).abs() < 1.5e-4;
        assert!(near(threshold(&films, &[0.1, 0.1]), digital + 0.1));
        // Half of the photographs add much, so a hundredth of all is a fiftieth of those.
        assert!(near(threshold(&films, &[0.0, 0.5]), 0.696));
        assert_eq!((threshold(&[], &[0.0]), threshold(&films, &[])), (1.0, 1.0));
        assert_eq!(threshold(&[0.12341], &[0.0]), 0.1235);
    }
}

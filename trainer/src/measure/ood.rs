//! How well a bundle's out-of-distribution (OOD) score tells frontal chest films from other pictures.
//!
//! The keys of a saved measurement keep the older words `film_space` and `foreign`.

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::roc::area_under_curve;

/// The measurement of `trainer ood`: a bundle's OOD score on the films of a split and on pictures that are no frontal
/// chest film.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OodTest {
    /// The bundle's id.
    pub model: String,
    /// SHA-256 of the bundle's network.
    pub sha256: String,
    /// SHA-256 of the bundle's OOD model.
    #[serde(rename = "film_space_sha256")]
    pub ood_sha256: String,
    /// The split that the films are from.
    pub split: String,
    /// The figures.
    #[serde(flatten)]
    pub separation: Separation,
}

impl std::fmt::Display for OodTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Separation { films, pictures, auroc, films_refused, pictures_refused } = &self.separation;
        writeln!(f, "AUROC {}", auroc.number())?;
        writeln!(f, "{films} films, {:.1} % refused as out-of-distribution", 100.0 * films_refused)?;
        writeln!(f, "{pictures} out-of-distribution pictures, {:.1} % refused", 100.0 * pictures_refused)
    }
}

/// How well the OOD score tells films from out-of-distribution pictures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Separation {
    /// How many films were scored.
    pub films: usize,
    /// How many out-of-distribution pictures were scored.
    #[serde(rename = "foreign")]
    pub pictures: usize,
    /// The chance that an out-of-distribution picture has a higher score than a film, 0..=1.
    pub auroc: Estimate,
    /// Share of the films whose score is above the threshold, 0..=1.
    pub films_refused: f64,
    /// Share of the out-of-distribution pictures whose score is above the threshold, 0..=1.
    #[serde(rename = "foreign_refused")]
    pub pictures_refused: f64,
}

impl Separation {
    /// Compares the OOD scores of films with those of out-of-distribution pictures. `None` if there are no films or no
    /// such pictures.
    pub fn of(films: &[f64], pictures: &[f64], threshold: f64) -> Option<Self> {
        let above =
            |scores: &[f64]| scores.iter().filter(|score| **score > threshold).count() as f64 / scores.len() as f64;
        let scored: Vec<(f64, bool)> =
            films.iter().map(|score| (*score, false)).chain(pictures.iter().map(|score| (*score, true))).collect();
        Some(Separation {
            films: films.len(),
            pictures: pictures.len(),
            auroc: Estimate::of(&scored, |scored| area_under_curve(scored.to_vec()))?,
            films_refused: above(films),
            pictures_refused: above(pictures),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separation_of_known_scores() {
        let separation = Separation::of(&[0.1, 0.2], &[0.15, 0.3], 0.25).unwrap();
        assert_eq!(separation.auroc.value, 0.75);
        assert_eq!((separation.films_refused, separation.pictures_refused), (0.0, 0.5));
        assert!(Separation::of(&[], &[0.3], 0.25).is_none());
    }

    #[test]
    fn a_saved_measurement_keeps_its_keys() {
        let saved = include_str!("../../../calibration/densenet121-cbam/records/foreign.json");
        let test: OodTest = serde_json::from_str(saved).unwrap();
        assert_eq!((test.separation.films, test.separation.pictures), (317, 109));
        assert_eq!(serde_json::to_string(&test).unwrap(), saved.trim_end());
        let text = test.to_string();
        assert!(text.contains("109 out-of-distribution pictures, 99.1 % refused"), "{text}");
    }
}

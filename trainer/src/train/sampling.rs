//! How often each film is drawn.
//!
//! A source has films of one class mostly, and most normal films are PA views while most pneumonias are AP views. A network
//! that is shown films as they come learns source and view in place of the disease. So within a class, films of a view and
//! source that has many are drawn less often each, and films of one that has few more often. Films whose label is less
//! certain are drawn less often, too.

use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::SliceRandom;
use xray_triage_core::decision::Class;

use super::example::Example;
use super::settings::TrainConfig;

/// The projection of a chest film as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Projection {
    /// From back to front, the patient standing.
    Pa,
    /// From front to back, standing, sitting or lying.
    Ap,
    /// Not known.
    Unknown,
}

impl Projection {
    /// Reads the column `view` of a manifest, for instance `AP Supine`.
    fn of(view: &str) -> Self {
        match view.split_whitespace().next() {
            Some("PA") => Projection::Pa,
            Some("AP") => Projection::Ap,
            _ => Projection::Unknown,
        }
    }
}

/// The films of one class, projection and source are a cell: this is the cell's name.
fn cell(film: &Example) -> (usize, Projection, &str) {
    (film.label as usize, Projection::of(&film.view), &film.source)
}

/// The share of the draws that each film has, in the order of `train`. Together they are 1.
///
/// A film's weight is that of its label's source. A cell has a share as its films' weights together, raised to
/// [`TrainConfig::balance_exponent`]; within it, films share by weight. With [`TrainConfig::balance_classes`] the classes
/// then have equal shares.
fn shares(train: &[Example], config: &TrainConfig) -> Vec<f64> {
    let weight = |film: &Example| f64::from(config.label_weights.of(film.label_source));
    let mut cells = BTreeMap::new();
    for film in train {
        *cells.entry(cell(film)).or_insert(0.0) += weight(film);
    }
    let drawn =
        |cell_weight: f64| if cell_weight > 0.0 { cell_weight.powf(config.balance_exponent.into()) } else { 0.0 };
    let mut classes = [0.0; Class::ALL.len()];
    for ((class, ..), weight) in &cells {
        classes[*class] += drawn(*weight);
    }
    let all: f64 = classes.iter().sum();
    let with_films = classes.iter().filter(|share| **share > 0.0).count() as f64;
    let share = |film: &Example| {
        let cell_weight = cells[&cell(film)];
        let (of_cell, class) = (weight(film) / cell_weight, classes[film.label as usize]);
        match config.balance_classes {
            _ if weight(film) == 0.0 => 0.0,
            true => of_cell * drawn(cell_weight) / class / with_films,
            false => of_cell * drawn(cell_weight) / all,
        }
    };
    train.iter().map(share).collect()
}

/// The films of an epoch in random order, `views` in number. A film whose share of the draws makes for 2.3 views comes
/// twice or three times, with a chance of 0.3 for the third; and so does a cell, and a class (systematic sampling, W. G.
/// Madow and L. H. Madow 1944, "On the theory of systematic sampling").
pub fn draw(train: &[Example], config: &TrainConfig, views: usize, rng: &mut impl Rng) -> Vec<usize> {
    let shares = shares(train, config);
    let mut films: Vec<usize> = (0..train.len()).collect();
    films.shuffle(rng);
    films.sort_by_key(|film| cell(&train[*film]));
    let (start, mut sum) = (rng.random_range(0.0..1.0), 0.0);
    let mut drawn = Vec::with_capacity(views);
    for film in films {
        let before = (sum + start) as usize;
        sum += shares[film] * views as f64;
        let times = (sum + start) as usize - before;
        drawn.extend(std::iter::repeat_n(film, times));
    }
    // The sum of the shares may miss 1 by the last digits.
    drawn.resize_with(views, || rng.random_range(0..train.len()));
    drawn.shuffle(rng);
    drawn
}

#[cfg(test)]
mod tests {
    use image::GrayImage;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use crate::data::dataset::LabelSource;
    use crate::model::architecture::Attention;
    use crate::train::LabelWeights;

    use super::*;

    fn film(label: Class, view: &str, source: &str, label_source: Option<LabelSource>) -> Example {
        Example { label_source, view: view.into(), source: source.into(), ..Example::new(GrayImage::new(8, 8), label) }
    }

    fn films() -> Vec<Example> {
        let many = |count, film: &dyn Fn() -> Example| (0..count).map(|_| film()).collect::<Vec<_>>();
        [
            many(90, &|| film(Class::Normal, "PA", "nih", Some(LabelSource::ReportText))),
            many(10, &|| film(Class::Normal, "AP Supine", "nih", Some(LabelSource::Radiologists))),
            many(30, &|| film(Class::Covid19, "", "crd", Some(LabelSource::PatientTest))),
            many(3, &|| film(Class::Pneumonia, "AP", "cohen", None)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn share_of(train: &[Example], config: &TrainConfig, wanted: impl Fn(&Example) -> bool) -> f64 {
        shares(train, config).iter().zip(train).filter(|(_, film)| wanted(film)).map(|(share, _)| share).sum()
    }

    #[test]
    fn classes_come_equally_often_and_cells_by_the_root_of_their_weight() {
        let weights = LabelWeights { report_text: 0.5, patient_test: 0.25, ..LabelWeights::EQUAL };
        let config = TrainConfig {
            balance_classes: true,
            balance_exponent: 0.5,
            label_weights: weights,
            ..TrainConfig::paper(Attention::None)
        };
        let films = films();
        for class in Class::ALL {
            let share = share_of(&films, &config, |film| film.label == class);
            assert!((share - 1.0 / 3.0).abs() < 1e-12, "{class:?}: {share}");
        }
        // 45 and 10 by weight, 6.7 and 3.2 by root.
        let pa = share_of(&films, &config, |film| film.view == "PA");
        assert!((pa - 45f64.sqrt() / (45f64.sqrt() + 10f64.sqrt()) / 3.0).abs() < 1e-12, "{pa}");
    }

    #[test]
    fn without_balance_films_are_drawn_by_the_weight_of_their_label() {
        let weights = LabelWeights { patient_test: 0.0, report_text: 0.5, ..LabelWeights::EQUAL };
        let config = TrainConfig { label_weights: weights, ..TrainConfig::paper(Attention::None) };
        let films = films();
        assert_eq!(share_of(&films, &config, |film| film.source == "crd"), 0.0);
        let pa = share_of(&films, &config, |film| film.view == "PA");
        assert!((pa - 45.0 / 58.0).abs() < 1e-12, "{pa}");
    }

    #[test]
    fn an_epoch_has_as_many_views_as_asked_and_each_film_as_often_as_its_share() {
        let films = films();
        let config =
            TrainConfig { balance_classes: true, balance_exponent: 0.5, ..TrainConfig::paper(Attention::None) };
        let shares = shares(&films, &config);
        for (seed, views) in [(1, 1), (2, 50), (3, 133), (4, 1000)] {
            let drawn = draw(&films, &config, views, &mut ChaCha8Rng::seed_from_u64(seed));
            assert_eq!(drawn.len(), views);
            for (film, share) in shares.iter().enumerate() {
                let times = drawn.iter().filter(|drawn| **drawn == film).count() as f64;
                assert!((times - share * views as f64).abs() <= 1.0 + 1e-6, "{views} views: {times}, {share}");
            }
        }
    }

    #[test]
    fn equal_shares_show_every_film_once() {
        let films = films();
        let config = TrainConfig::paper(Attention::None);
        let mut drawn = draw(&films, &config, films.len(), &mut ChaCha8Rng::seed_from_u64(7));
        drawn.sort_unstable();
        assert_eq!(drawn, (0..films.len()).collect::<Vec<_>>());
    }
}

//! Figures with 95 % intervals.

use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How often a figure is computed anew from resampled films, or from drawn outcomes, for its interval.
pub(super) const RESAMPLES: usize = 2000;

/// A figure with its 95 % interval. The interval is a bootstrap interval (percentile method, Efron and Tibshirani 1993,
/// "An introduction to the bootstrap"), or the exact one where resamples cannot differ, see [`Estimate::of_share`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure itself.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// Computes `statistic` on the films, and its interval over resamples of them. The films are taken as independent.
    ///
    /// `None` where the films have no finite value. Resamples without a finite value are left out. The random seed is
    /// fixed, so the same films give the same interval.
    pub fn of<T: Clone>(films: &[T], statistic: impl Fn(&[T]) -> Option<f64>) -> Option<Self> {
        Estimate::by_patient(films, |_| None, statistic)
    }

    /// Like [`Estimate::of`], with resamples of patients (cluster bootstrap, Davison and Hinkley 1997, "Bootstrap methods
    /// and their application"): films of one patient are alike, so they say less than films of as many patients. A film
    /// whose `patient` is not known is one by itself.
    pub fn by_patient<T: Clone>(
        films: &[T],
        patient: impl Fn(&T) -> Option<u32>,
        statistic: impl Fn(&[T]) -> Option<f64>,
    ) -> Option<Self> {
        let statistic = |films: &[T]| statistic(films).filter(|value| value.is_finite());
        let value = statistic(films)?;
        let patients = patients(films, patient);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut drawn = Vec::with_capacity(films.len());
        let mut resampled: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| {
                drawn.clear();
                for _ in 0..patients.len() {
                    let patient = &patients[rng.random_range(0..patients.len())];
                    drawn.extend(patient.iter().map(|&film| films[film].clone()));
                }
                statistic(&drawn)
            })
            .collect();
        Some(Estimate::among(value, &mut resampled))
    }

    /// The mean outcome, 0..=1, of the films that have an outcome, with its interval. `None` if no film has one. The films
    /// are taken as independent.
    pub fn of_share<T: Clone>(films: &[T], outcome: impl Fn(&T) -> Option<f64>) -> Option<Self> {
        Estimate::share_by_patient(films, |_| None, outcome)
    }

    /// Like [`Estimate::of_share`], with resamples of patients.
    ///
    /// Where all outcomes are 0, or all are 1, resamples do not differ, though other patients might. Such a share gets the
    /// exact interval of Clopper and Pearson 1934 for as many films as there are patients.
    pub fn share_by_patient<T: Clone>(
        films: &[T],
        patient: impl Fn(&T) -> Option<u32>,
        outcome: impl Fn(&T) -> Option<f64>,
    ) -> Option<Self> {
        let mean_outcome = |films: &[T]| mean(films.iter().filter_map(&outcome));
        let counted: Vec<&T> = films.iter().filter(|film| outcome(film).is_some()).collect();
        let among = patients(&counted, |film| patient(film)).len();
        // With this share, `among` films are all alike in one draw out of 40.
        let bound = 0.025f64.powf(1.0 / among as f64);
        match mean_outcome(films)? {
            0.0 => Some(Estimate { value: 0.0, low: 0.0, high: 1.0 - bound }),
            1.0 => Some(Estimate { value: 1.0, low: bound, high: 1.0 }),
            _ => Estimate::by_patient(films, patient, mean_outcome),
        }
    }

    /// `value` with the interval that 95 % of `drawn` lie in.
    pub(super) fn among(value: f64, drawn: &mut [f64]) -> Self {
        drawn.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * drawn.len().saturating_sub(1) as f64;
            drawn.get(place.round() as usize).copied().unwrap_or(value)
        };
        Estimate { value, low: at(0.025), high: at(0.975) }
    }

    /// A share in percent with its interval, such as `70.3 (65.6-75.1)`.
    pub fn percent(&self) -> String {
        format!("{:.1} ({:.1}-{:.1})", 100.0 * self.value, 100.0 * self.low, 100.0 * self.high)
    }

    /// A figure between 0 and 1 with its interval, such as `0.703 (0.656-0.751)`.
    pub fn number(&self) -> String {
        format!("{:.3} ({:.3}-{:.3})", self.value, self.low, self.high)
    }
}

/// The films of each patient, by their place in `films`, in the order of the patients' first films. A film whose patient is
/// not known is one by itself.
pub(super) fn patients<T>(films: &[T], patient: impl Fn(&T) -> Option<u32>) -> Vec<Vec<usize>> {
    let mut places: HashMap<u32, usize> = HashMap::new();
    let mut patients: Vec<Vec<usize>> = Vec::new();
    for (film, patient) in films.iter().map(patient).enumerate() {
        match patient.map(|patient| *places.entry(patient).or_insert(patients.len())) {
            Some(place) if place < patients.len() => patients[place].push(film),
            _ => patients.push(vec![film]),
        }
    }
    patients
}

/// A share in percent with its interval, or a dash where there is none.
pub fn percent(share: Option<&Estimate>) -> String {
    share.map_or("-".into(), Estimate::percent)
}

/// A film's outcome for [`Estimate::of_share`]: 1 if it is `counted`, else 0. `None` if it is not `among` the films of
/// which the share is taken.
pub fn outcome(among: bool, counted: bool) -> Option<f64> {
    among.then(|| f64::from(u8::from(counted)))
}

/// The mean of the values. `None` if there are no values, or if it is not a finite number.
pub fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    Some(sum / count as f64).filter(|mean| mean.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_narrows_with_the_films() {
        let width = |films: usize| {
            let half: Vec<bool> = (0..films).map(|film| film % 2 == 0).collect();
            let share = |films: &[bool]| Some(films.iter().filter(|film| **film).count() as f64 / films.len() as f64);
            let estimate = Estimate::of(&half, share).unwrap();
            estimate.high - estimate.low
        };
        // A share's interval is about 3.92 sqrt(p (1 - p) / n) wide.
        assert!((width(100) - 0.196).abs() < 0.02, "{}", width(100));
        assert!((width(400) - 0.098).abs() < 0.01, "{}", width(400));
    }

    #[test]
    fn a_share_of_all_or_of_none_has_an_exact_interval() {
        let share = |outcomes: &[f64]| Estimate::of_share(outcomes, |outcome| Some(*outcome)).unwrap();
        // Clopper and Pearson: 1 - 0.025^(1/n).
        for (films, bound) in [(1, 0.975), (3, 0.7076), (10, 0.3085), (100, 0.0362)] {
            let (none, all) = (share(&vec![0.0; films]), share(&vec![1.0; films]));
            assert_eq!((none.value, none.low, all.value, all.high), (0.0, 0.0, 1.0, 1.0));
            assert!((none.high - bound).abs() < 1e-4 && (1.0 - all.low - bound).abs() < 1e-4, "{none:?} {all:?}");
        }
        // Films without an outcome do not count.
        let one = Estimate::of_share(&[1.0, 2.0, 3.0], |film| (*film < 2.0).then_some(0.0)).unwrap();
        assert!((one.high - 0.975).abs() < 1e-9, "{one:?}");
        let half = share(&[0.0, 1.0, 0.0, 1.0]);
        assert_eq!(Some(half), Estimate::of(&[0.0, 1.0, 0.0, 1.0], |films| mean(films.iter().copied())));
        assert!(Estimate::of_share(&[1.0], |_| None).is_none());
    }

    #[test]
    fn films_of_one_patient_widen_the_interval_to_that_of_as_many_patients() {
        let width = |estimate: Estimate| estimate.high - estimate.low;
        // A hundred patients, half of them right on all of their films.
        let films: Vec<(u32, f64)> = (0..400).map(|film| (film / 4, f64::from(film / 4 % 2))).collect();
        let by_film = width(Estimate::of_share(&films, |film| Some(film.1)).unwrap());
        let by_patient = Estimate::share_by_patient(&films, |film| Some(film.0), |film| Some(film.1)).unwrap();
        assert!((width(by_patient) - 0.196).abs() < 0.02 && by_film < 0.11, "{by_patient:?}, {by_film}");
        assert_eq!(by_patient.value, 0.5);
        let unknown = Estimate::share_by_patient(&films, |_| None, |film| Some(film.1)).unwrap();
        assert_eq!(width(unknown), by_film);
        // Ten films of one patient, all right, say no more than one film.
        let one = Estimate::share_by_patient(&[1.0; 10], |_| Some(7), |film| Some(*film)).unwrap();
        assert!((one.low - 0.025).abs() < 1e-9, "{one:?}");
    }

    #[test]
    fn a_value_that_is_no_finite_number_is_no_figure() {
        assert_eq!(mean([].into_iter()), None);
        assert_eq!(mean([1.0, f64::NAN].into_iter()), None);
        assert_eq!(Estimate::of(&[1.0, 0.0], |films| Some(films[0] / 0.0)), None);
        // Of the resamples only those with a value count: 1 / 1, and not 1 / 0.
        let estimate = Estimate::of(&[1.0, 0.0], |films| Some(1.0 / films.iter().sum::<f64>())).unwrap();
        assert_eq!((estimate.value, estimate.low, estimate.high), (1.0, 0.5, 1.0));
    }
}

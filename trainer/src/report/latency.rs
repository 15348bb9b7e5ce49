//! How long films took on a machine, from the lines that `xray-triage triage --json` printed there.

use serde::Deserialize;

/// The middle and the upper end of some films' times, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The median.
    pub median: f64,
    /// The 95th percentile.
    pub high: f64,
}

/// The times of films on one machine.
#[derive(Clone, Debug)]
pub struct Latency {
    /// The name of the machine: that of the file without its ending.
    pub name: String,
    /// How many films were timed.
    pub films: usize,
    /// The time from the file to the verdict.
    pub total: Span,
    /// The time of the network alone.
    pub infer: Span,
}

/// A line of `xray-triage triage --json`, as far as it is needed here.
#[derive(Clone, Debug, Deserialize)]
pub struct TimedFilm {
    /// The model that judged the film.
    pub model: TimedModel,
    /// How long it took.
    pub timings_ms: Timings,
}

/// The model that judged a film.
#[derive(Clone, Debug, Deserialize)]
pub struct TimedModel {
    /// The bundle's id.
    pub id: String,
    /// SHA-256 of the bundle's network.
    pub sha256: String,
}

/// The times of a film, milliseconds.
#[derive(Clone, Debug, Deserialize)]
pub struct Timings {
    /// From the file to the verdict.
    pub total: Option<f64>,
    /// The network alone. `None` where the film was refused before the network saw it.
    pub infer: Option<f64>,
}

impl Latency {
    /// The times of the films that the network saw. `None` if it saw none.
    pub fn of(name: String, films: &[TimedFilm]) -> Option<Latency> {
        let times: Vec<(f64, f64)> =
            films.iter().filter_map(|film| Some((film.timings_ms.total?, film.timings_ms.infer?))).collect();
        Some(Latency {
            name,
            films: times.len(),
            total: span(times.iter().map(|time| time.0).collect())?,
            infer: span(times.iter().map(|time| time.1).collect())?,
        })
    }
}

/// Median and 95th percentile by the nearest rank, so that both are measured values. `None` if there are no values.
fn span(mut values: Vec<f64>) -> Option<Span> {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get(((share * values.len() as f64).ceil() as usize).saturating_sub(1)).copied();
    Some(Span { median: at(0.5)?, high: at(0.95)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_that_the_network_did_not_see_do_not_count() {
        let film = |total: Option<f64>, infer: Option<f64>| TimedFilm {
            model: TimedModel { id: "m".into(), sha256: "0".into() },
            timings_ms: Timings { total, infer },
        };
        let mut films: Vec<TimedFilm> = (1..=20).map(|n| film(Some(f64::from(n) * 10.0), Some(f64::from(n)))).collect();
        films.extend([film(Some(0.1), None), film(None, None)]);
        let latency = Latency::of("board".into(), &films).unwrap();
        assert_eq!(latency.films, 20);
        assert_eq!(latency.total, Span { median: 100.0, high: 190.0 });
        assert_eq!(latency.infer, Span { median: 10.0, high: 19.0 });
        assert!(Latency::of("board".into(), &films[20..]).is_none());
    }
}

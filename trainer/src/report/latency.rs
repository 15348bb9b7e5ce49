//! How long films took on a machine, from what `xray-triage triage --json` printed there.

use serde::Deserialize;

/// Milliseconds over some films.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    pub median: f64,
    /// 95th percentile.
    pub high: f64,
}

/// The times of films on one machine.
#[derive(Clone, Debug)]
pub struct Latency {
    /// The name of the file they are from.
    pub name: String,
    pub films: usize,
    /// A film's whole way.
    pub total: Span,
    /// The network alone.
    pub infer: Span,
}

/// What matters here of a line of `triage --json`.
#[derive(Clone, Debug, Deserialize)]
pub struct TimedFilm {
    pub model: TimedModel,
    pub timings_ms: Timings,
}

/// The model that judged it.
#[derive(Clone, Debug, Deserialize)]
pub struct TimedModel {
    pub id: String,
    pub sha256: String,
}

/// Milliseconds.
#[derive(Clone, Debug, Deserialize)]
pub struct Timings {
    pub total: Option<f64>,
    /// None where the film was refused before the network.
    pub infer: Option<f64>,
}

impl Latency {
    /// The times of the films that the network saw; none if there is no such film.
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

/// By the nearest rank: always a value that was measured.
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

//! How fast a run goes, and how long it still takes.

use std::collections::VecDeque;
use std::time::Duration;

/// How many of the newest steps the speed is measured over.
const RECENT: usize = 20;

/// How long the steps of a run took so far.
#[derive(Debug, Default)]
pub struct Pace {
    /// The input pixels of all films in all steps. The work grows with them.
    pixels: f64,
    /// Films and duration of the newest steps.
    recent: VecDeque<(usize, Duration)>,
}

impl Pace {
    /// Adds a step on `films` inputs of `side` x `side` pixels.
    pub fn add(&mut self, films: usize, side: u32, took: Duration) {
        self.pixels += pixels(films, side);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((films, took));
    }

    /// The speed over the newest steps, without the time between epochs. It is 0 before the first step.
    pub fn films_per_second(&self) -> f64 {
        let films: usize = self.recent.iter().map(|(films, _)| films).sum();
        let seconds: f64 = self.recent.iter().map(|(_, took)| took.as_secs_f64()).sum();
        films as f64 / seconds.max(f64::MIN_POSITIVE)
    }

    /// How long `pixels` more take at the speed of the whole run, which has taken `elapsed` with validation and saving. It
    /// is zero before the first step.
    pub fn left(&self, pixels: f64, elapsed: Duration) -> Duration {
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * pixels / self.pixels).unwrap_or_default()
    }
}

/// The pixels of `films` inputs of `side` x `side` pixels.
pub fn pixels(films: usize, side: u32) -> f64 {
    films as f64 * f64::from(side).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_input_takes_its_share_of_the_time_left_and_slows_the_speed() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.add(32, 64, second));
        assert_eq!(pace.films_per_second(), 32.0);
        // Twice the side is four times the work.
        assert_eq!(pace.left(pixels(320, 128), 100 * second), 40 * second);
        (0..RECENT).for_each(|_| pace.add(32, 128, 4 * second));
        assert_eq!(pace.films_per_second(), 8.0);
        assert_eq!(pace.left(pixels(320, 128), 180 * second), 40 * second);
    }

    #[test]
    fn before_the_first_step_nothing_is_known() {
        assert_eq!(Pace::default().left(1.0, Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(Pace::default().films_per_second(), 0.0);
    }
}

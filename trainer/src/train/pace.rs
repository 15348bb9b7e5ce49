//! How fast a run goes, and how long it still takes.

use std::collections::VecDeque;
use std::time::Duration;

/// Steps that the speed is taken over.
const RECENT: usize = 20;

/// What the steps of a run took so far.
#[derive(Debug, Default)]
pub struct Pace {
    /// Input pixels of the network in all of them: the work grows with them.
    pixels: f64,
    /// Films and time of the newest.
    recent: VecDeque<(usize, Duration)>,
}

impl Pace {
    /// Adds a step of so many films, of `side` pixels each way.
    pub fn add(&mut self, films: usize, side: u32, took: Duration) {
        self.pixels += pixels(films, side);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((films, took));
    }

    /// Over the recent steps, without what lies between epochs.
    pub fn films_per_second(&self) -> f64 {
        let films: usize = self.recent.iter().map(|(films, _)| films).sum();
        let seconds: f64 = self.recent.iter().map(|(_, took)| took.as_secs_f64()).sum();
        films as f64 / seconds.max(f64::MIN_POSITIVE)
    }

    /// How long `pixels` more take if they take as long as those done in `elapsed`, validation and saving included.
    pub fn left(&self, pixels: f64, elapsed: Duration) -> Duration {
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * pixels / self.pixels).unwrap_or_default()
    }
}

/// Input pixels of films of `side` pixels each way.
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

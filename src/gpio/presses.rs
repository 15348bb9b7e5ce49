//! Finds presses in the level of a button over time.

use std::time::{Duration, Instant};

use super::Press;

/// Time between two looks at a button that is down or bounces.
pub const INTERVAL: Duration = Duration::from_millis(10);

/// How long a level must last to count. Mechanical buttons bounce for some milliseconds.
const STEADY: Duration = Duration::from_millis(30);
/// The duration from which on a press is long.
const LONG: Duration = Duration::from_millis(800);
/// The duration from which on a press is very long.
const VERY_LONG: Duration = Duration::from_secs(5);

/// Debounces a button and tells short presses from long ones. A button that is down from the start does not count until it
/// was released.
pub struct Presses {
    /// The level that counts.
    down: bool,
    /// Since when the button has had the other level, if it has.
    differs: Option<Instant>,
    /// When the press began that was not told yet.
    pressed: Option<Instant>,
}

impl Presses {
    /// A button of which nothing is known yet. It is taken to be down.
    pub fn new() -> Presses {
        Presses { down: true, differs: None, pressed: None }
    }

    /// Takes the level of the button at this moment, and returns the press that it makes certain, if any. Two looks are at
    /// most [`INTERVAL`] apart, unless the button is [at rest](Presses::at_rest).
    pub fn look(&mut self, down: bool, now: Instant) -> Option<Press> {
        if down == self.down {
            self.differs = None;
        } else {
            let since = *self.differs.get_or_insert(now);
            if now.duration_since(since) >= STEADY {
                return self.change(down, since);
            }
        }
        // A button that bounces at 5 seconds may have been released.
        if down && self.pressed.is_some_and(|pressed| now.duration_since(pressed) >= VERY_LONG) {
            self.pressed = None;
            return Some(Press::VeryLong);
        }
        None
    }

    /// Whether the button is up and steady, so that nothing happens before its level changes.
    pub fn at_rest(&self) -> bool {
        !self.down && self.differs.is_none()
    }

    fn change(&mut self, down: bool, since: Instant) -> Option<Press> {
        self.down = down;
        self.differs = None;
        if down {
            self.pressed = Some(since);
            return None;
        }
        let held = since.duration_since(self.pressed.take()?);
        Some(match held {
            _ if held < LONG => Press::Short,
            _ if held < VERY_LONG => Press::Long,
            _ => Press::VeryLong,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The presses in a sequence of levels (`#` down, `.` up), each level with its length in milliseconds. Each press comes
    /// with the time at which it became certain. The button is looked at every millisecond.
    fn presses(levels: &[(char, u64)]) -> Vec<(Press, u64)> {
        let start = Instant::now();
        let mut presses = Presses::new();
        let mut told = Vec::new();
        let mut at = 0;
        for &(level, length) in levels {
            for _ in 0..length {
                if let Some(press) = presses.look(level == '#', start + Duration::from_millis(at)) {
                    told.push((press, at));
                }
                at += 1;
            }
        }
        told
    }

    #[test]
    fn a_press_counts_when_it_is_released() {
        assert_eq!(presses(&[('.', 100), ('#', 200), ('.', 100)]), [(Press::Short, 330)]);
        assert_eq!(presses(&[('.', 100), ('#', 799), ('.', 100)]), [(Press::Short, 929)]);
        assert_eq!(presses(&[('.', 100), ('#', 800), ('.', 100)]), [(Press::Long, 930)]);
        assert_eq!(presses(&[('.', 100), ('#', 4999), ('.', 100)]), [(Press::Long, 5129)]);
        assert_eq!(presses(&[('.', 100), ('#', 200)]), [], "still down");
    }

    #[test]
    fn a_very_long_press_is_told_while_it_lasts_and_once() {
        assert_eq!(presses(&[('.', 100), ('#', 20_000), ('.', 100)]), [(Press::VeryLong, 5100)]);
        let again = presses(&[('.', 100), ('#', 6000), ('.', 100), ('#', 100), ('.', 100)]);
        assert_eq!(again, [(Press::VeryLong, 5100), (Press::Short, 6330)]);
    }

    #[test]
    fn bounces_neither_start_nor_end_nor_split_a_press() {
        assert_eq!(presses(&[('.', 100), ('#', 29), ('.', 100)]), []);
        let bouncing = [('.', 100), ('#', 3), ('.', 2), ('#', 5), ('.', 1), ('#', 300), ('.', 4), ('#', 2), ('.', 100)];
        assert_eq!(presses(&bouncing), [(Press::Short, 447)]);
        assert_eq!(presses(&[('.', 100), ('#', 500), ('.', 29), ('#', 500), ('.', 100)]), [(Press::Long, 1159)]);
        let chatter = [[('#', 10), ('.', 10)]; 500].concat();
        assert_eq!(presses(&chatter), []);
    }

    #[test]
    fn a_release_that_bounces_at_five_seconds_is_long() {
        assert_eq!(presses(&[('.', 100), ('#', 4990), ('.', 100)]), [(Press::Long, 5120)]);
    }

    #[test]
    fn a_button_held_at_the_start_counts_for_nothing_until_released() {
        assert_eq!(presses(&[('#', 9000), ('.', 100), ('#', 100), ('.', 100)]), [(Press::Short, 9230)]);
    }

    #[test]
    fn a_release_seen_late_counts_by_its_length() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut presses = Presses::new();
        for (down, ms) in [(false, 0), (false, 40), (true, 100), (true, 140)] {
            assert_eq!(presses.look(down, at(ms)), None);
        }
        assert_eq!(presses.look(false, at(7000)), None);
        assert_eq!(presses.look(false, at(7040)), Some(Press::VeryLong));
    }

    #[test]
    fn a_button_at_rest_need_not_be_looked_at() {
        let start = Instant::now();
        let mut presses = Presses::new();
        assert!(!presses.at_rest());
        presses.look(false, start);
        presses.look(false, start + STEADY);
        assert!(presses.at_rest());
        presses.look(true, start + 2 * STEADY);
        assert!(!presses.at_rest());
        presses.look(false, start + 2 * STEADY + INTERVAL);
        assert!(presses.at_rest());
    }
}

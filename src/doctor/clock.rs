//! The clock: whether it can be right.

use jiff::Timestamp;

use crate::caselog::{self, CaseReader, StorageConfig};

use super::Check;

/// Checks that the clock was set, and is not before the newest case. The box works with a wrong clock, but then its cases
/// have no date.
pub fn clock(now: Timestamp, storage: &StorageConfig) -> Check {
    const NAME: &str = "clock";
    let advice = "Set it with `sudo date --set \"YYYY-MM-DD hh:mm\"`, and fit a battery-backed clock";
    let found = format!("{now:.0}");
    if caselog::clock_unset(now) {
        return Check::warning(NAME, format!("{found}: never set"), advice);
    }
    let newest = CaseReader::open(&storage.folder).and_then(|reader| reader.newest()).ok().flatten();
    match newest.as_ref().and_then(|taken| taken.parse::<Timestamp>().ok()) {
        Some(taken) if taken > now => {
            Check::warning(NAME, format!("{found}: before the newest case, {taken:.0}"), advice)
        }
        _ => Check::ok(NAME, found),
    }
}

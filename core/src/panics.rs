//! Panics as errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does some work and returns its result, or the words of the panic that ended it.
///
/// What the work may have left half changed is the caller's to throw away.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let words = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => panic.downcast_ref::<&str>().unwrap_or(&"it does not say why").to_string(),
    };
    catch_unwind(AssertUnwindSafe(work)).map_err(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_words() {
        assert_eq!(catch(|| 5), Ok(5));
        assert_eq!(catch(|| panic!("fixed words")), Err::<(), _>("fixed words".into()));
        assert_eq!(catch(|| panic!("number {}", 3)), Err::<(), _>("number 3".into()));
        assert_eq!(catch(|| std::panic::panic_any(7)), Err::<(), _>("it does not say why".into()));
    }
}

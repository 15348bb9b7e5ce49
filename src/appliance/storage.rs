//! The case log as the box needs it: it may be unusable when the box starts, and usable later.

use jiff::Timestamp;

use crate::caselog::{CaseId, CaseLog, CaseLogError};
use crate::pipeline::Assessment;

/// A case log that is opened when it is first needed, and asked again after an error.
pub struct Storage<Open> {
    open: Open,
    cases: Option<CaseLog>,
    /// Free space below which no capture is taken, megabytes.
    reserve_mb: u64,
}

impl<Open: FnMut() -> Result<CaseLog, CaseLogError>> Storage<Open> {
    /// Opens nothing yet.
    pub fn new(open: Open, reserve_mb: u64) -> Storage<Open> {
        Storage { open, cases: None, reserve_mb }
    }

    /// Whether a case could be kept.
    ///
    /// # Errors
    /// The case log cannot be opened, the folder is not writable, or there is no room.
    pub fn check(&mut self) -> Result<(), CaseLogError> {
        let reserve_mb = self.reserve_mb;
        self.cases()?.check_space(reserve_mb)
    }

    /// Keeps a case, as [`CaseLog::record`] does.
    ///
    /// # Errors
    /// The case log cannot be opened or written.
    pub fn record(&mut self, assessment: &Assessment, taken: Timestamp) -> Result<CaseId, CaseLogError> {
        self.cases()?.record(assessment, taken)
    }

    fn cases(&mut self) -> Result<&mut CaseLog, CaseLogError> {
        Ok(match &mut self.cases {
            Some(cases) => cases,
            closed => closed.insert((self.open)()?),
        })
    }
}

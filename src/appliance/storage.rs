//! The case log of a running box: it may be unusable when the box starts, and usable later.

use jiff::Timestamp;
use xray_triage_core::pipeline::Assessment;

use crate::caselog::{CaseId, CaseLog, CaseLogError};

/// A case log that is opened when it is first needed, and opened again after an error.
pub struct Storage<Open> {
    open: Open,
    cases: Option<CaseLog>,
    /// The free space, in megabytes, below which no film is taken.
    reserve_mb: u64,
}

impl<Open: FnMut() -> Result<CaseLog, CaseLogError>> Storage<Open> {
    /// A case log that `open` will open.
    pub fn new(open: Open, reserve_mb: u64) -> Storage<Open> {
        Storage { open, cases: None, reserve_mb }
    }

    /// Looks whether a case could be stored.
    ///
    /// # Errors
    /// The case log cannot be opened, the folder is not writable, or there is no room.
    pub fn check(&mut self) -> Result<(), CaseLogError> {
        let reserve_mb = self.reserve_mb;
        self.cases()?.check_space(reserve_mb)
    }

    /// Stores a case, as [`CaseLog::add`] does.
    ///
    /// # Errors
    /// The case log cannot be opened or written.
    pub fn record(&mut self, assessment: &Assessment, taken: Timestamp) -> Result<CaseId, CaseLogError> {
        let kept = self.cases()?.add(assessment, taken);
        if kept.is_err() {
            // Whatever the reason, the next case gets a case log that is opened anew.
            self.cases = None;
        }
        kept
    }

    /// The open case log. One that was moved away is replaced by a new one in its place.
    fn cases(&mut self) -> Result<&mut CaseLog, CaseLogError> {
        if self.cases.take_if(|cases| !cases.in_place()).is_some() {
            log::warn!("the case log was moved away while the box runs. It is opened anew");
        }
        Ok(match &mut self.cases {
            Some(cases) => cases,
            closed => closed.insert((self.open)()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use crate::caselog::CaseReader;
    use crate::caselog::tests::assessment;

    use super::*;

    fn cases(folder: &Path) -> usize {
        CaseReader::open(folder).unwrap().cases().unwrap().len()
    }

    fn record(storage: &mut Storage<impl FnMut() -> Result<CaseLog, CaseLogError>>) -> String {
        storage.record(&assessment(1), Timestamp::UNIX_EPOCH).unwrap().to_string()
    }

    #[test]
    fn no_case_goes_to_a_log_that_was_moved_away() {
        let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mut storage = Storage::new(|| CaseLog::open(folder.path()), 0);
        assert_eq!(record(&mut storage), "000001");
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::rename(entry.path(), elsewhere.path().join(entry.file_name())).unwrap();
        }
        storage.check().unwrap();
        assert_eq!(record(&mut storage), "000001", "an empty log begins again");
        assert_eq!([folder.path(), elsewhere.path()].map(cases), [1, 1]);
        // That only the folder of films is gone is noticed when the next case is written.
        fs::remove_dir_all(folder.path().join("films")).unwrap();
        assert_eq!(record(&mut storage), "000002");
    }

    #[test]
    fn a_log_that_failed_is_opened_anew() {
        let folder = TempDir::new().unwrap();
        let opened = Cell::new(0);
        let open = || {
            opened.set(opened.get() + 1);
            CaseLog::open(folder.path())
        };
        let mut storage = Storage::new(open, 0);
        storage.check().unwrap();
        // A folder stands where the film belongs.
        fs::create_dir(folder.path().join("films/000001.plate.png")).unwrap();
        storage.record(&assessment(1), Timestamp::UNIX_EPOCH).unwrap_err();
        record(&mut storage);
        assert_eq!((opened.get(), cases(folder.path())), (2, 1));
    }
}

//! The storage: whether cases can be kept, and whether those that were kept are whole.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, major, minor};

use crate::caselog::{self, CaseLogError, CaseReader, StorageConfig};

use super::{Check, System};

/// How many of the newest cases have their files read. Reading those of all would take longer with every case.
pub const FILES_READ: usize = 50;

impl System {
    /// Checks that cases can be kept in the folder, and that the kernel found no errors in its file system.
    pub fn storage(&self, config: &StorageConfig) -> Check {
        const NAME: &str = "storage";
        let folder = &config.folder;
        let shown = folder.display();
        let asked = rustix::fs::statvfs(folder)
            .map_err(io::Error::from)
            .and_then(|system| Ok((system.f_flag, caselog::free_space(folder)?)));
        let (flags, free) = match asked {
            Ok(answer) => answer,
            Err(error) => {
                let advice = "Make the folder and give it to the user of the box, or correct storage.folder";
                return Check::failed(NAME, format!("{shown}: {error}"), advice);
            }
        };
        let found = format!("{shown}: {} MB free", free / 1_000_000);
        if flags.contains(StatVfsMountFlags::RDONLY) {
            let advice = "The card may be worn out or damaged: check it on another machine, or replace it";
            return Check::failed(NAME, format!("{shown}: mounted for reading only"), advice);
        }
        if let Err(error) = rustix::fs::access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            return Check::failed(NAME, format!("{shown}: {error}"), "Give the folder to the user of the box");
        }
        if free < config.reserve_mb.saturating_mul(1_000_000) {
            let advice = format!("Make room: below {} MB (storage.reserve_mb) no capture is taken", config.reserve_mb);
            return Check::failed(NAME, found, advice);
        }
        match self.file_system_errors(folder) {
            Some(errors) if errors > 0 => {
                let advice = "Copy the cases to another disk, then check the card with fsck on another machine, or \
                              replace it";
                Check::warning(NAME, format!("{found}, {errors} errors of the file system were found"), advice)
            }
            _ => Check::ok(NAME, found),
        }
    }

    /// How many errors the kernel has found in the ext4 file system of a folder since it was last checked; `None` for
    /// another file system.
    fn file_system_errors(&self, folder: &Path) -> Option<u64> {
        let device = fs::metadata(folder).ok()?.dev();
        let event = self.value(&format!("/sys/dev/block/{}:{}/uevent", major(device), minor(device)))?;
        let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        self.value(&format!("/sys/fs/ext4/{name}/errors_count"))?.parse().ok()
    }
}

/// Checks that the cases which were kept are whole.
pub fn case_log(config: &StorageConfig) -> Check {
    const NAME: &str = "case log";
    let whole = |cases: u64| {
        let read =
            if cases > FILES_READ as u64 { format!(" (files read of the newest {FILES_READ})") } else { String::new() };
        format!("{cases} cases, whole{read}")
    };
    match CaseReader::open(&config.folder).and_then(|reader| reader.check_newest(FILES_READ)) {
        Err(CaseLogError::Missing(_)) => Check::skipped(NAME, "none yet; the box makes it when it starts"),
        Err(error) => Check::failed(NAME, error.to_string(), "See `xray-triage cases check`"),
        Ok(findings) => match &findings.problems[..] {
            [] => Check::ok(NAME, whole(findings.cases)),
            [first, ..] => {
                let found = format!("{} cases, {} problems: {first}", findings.cases, findings.problems.len());
                Check::failed(NAME, found, "See `xray-triage cases check`. Copy the folder before anything else")
            }
        },
    }
}

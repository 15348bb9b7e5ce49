//! Files that are never half there: written beside their place, on the disk, then renamed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Ending of a file that is still being written.
pub const PART_ENDING: &str = ".part";

/// Writes a file as a whole: whatever happens, `path` afterwards has its old content or all of the new one. The bytes
/// are on the disk when this returns; the name is once its folder is, see [`sync_folder`].
///
/// # Errors
/// The system's; nothing is left behind then.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_else(|| OsStr::new("")).to_os_string();
    name.push(PART_ENDING);
    let part = path.with_file_name(name);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&part);
    }
    written
}

/// Puts a folder's entries, that is its files' names, on the disk.
///
/// # Errors
/// The system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

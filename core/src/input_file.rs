//! Reading a file of foreign origin: a regular file of bounded size, and nothing that could block or never end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Why a file is not read. The message ends with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum InputFileError {
    /// There is no such file.
    #[error("there is no such file: check the name")]
    Missing,
    /// The path leads to a folder.
    #[error("this is a folder, not a file: name the files in it")]
    Directory,
    /// The path leads to a pipe or a device, which could be read for ever.
    #[error("this is a pipe or a device, not a regular file: copy its content to a file first")]
    NotAFile,
    /// The operating system would not read the file.
    #[error("the file cannot be read ({0}): check its permissions and the card or disk it lies on")]
    Unreadable(io::Error),
    /// The file has more bytes than the limit.
    #[error("the file is larger than the {} MB that are read at most: name another file", limit / 1_000_000)]
    TooLarge {
        /// The limit, bytes.
        limit: u64,
    },
}

/// The bytes of a regular file that has at most `limit` of them. The file is opened and read once.
///
/// # Errors
/// Every [`InputFileError`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, InputFileError> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => InputFileError::Missing,
        _ => InputFileError::Unreadable(error),
    };
    let kind = fs::metadata(path).map_err(io)?;
    if kind.is_dir() {
        return Err(InputFileError::Directory);
    }
    if !kind.is_file() {
        // Opening it could wait for ever, and reading it never end.
        return Err(InputFileError::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(InputFileError::TooLarge { limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(InputFileError::TooLarge { limit: 4 })));
        assert!(matches!(read(folder.path(), 5), Err(InputFileError::Directory)));
        assert!(matches!(read(Path::new("/dev/zero"), 5), Err(InputFileError::NotAFile)));
        assert!(matches!(read(&folder.path().join("none"), 5), Err(InputFileError::Missing)));
    }
}

//! The kernel's text console, which draws on the same pixels as a framebuffer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::ioctl::{Getter, IntegerSetter, Opcode, ioctl};

// These are the numbers of Linux, include/uapi/linux/kd.h, where they are plain numbers, too, not made by _IOR.
const KDSETMODE: Opcode = 0x4b3a;
const KDGETMODE: Opcode = 0x4b3b;
const KD_GRAPHICS: i32 = 1;

/// A virtual console in graphics mode: the kernel draws no cursor, no messages and no typed text on it. Dropping this
/// restores the mode that the console had.
#[derive(Debug)]
pub struct SilencedConsole {
    console: OwnedFd,
    before: i32,
}

impl SilencedConsole {
    /// Silences the virtual console behind `terminal`.
    ///
    /// # Errors
    /// The terminal is not a virtual console (ENOTTY), or it is not this program's own and the user may not change it (EPERM).
    pub fn new(terminal: impl AsFd) -> io::Result<SilencedConsole> {
        let console = terminal.as_fd().try_clone_to_owned()?;
        // SAFETY: for this number the kernel writes an int.
        let before = unsafe { ioctl(&console, Getter::<KDGETMODE, i32>::new())? };
        set(&console, KD_GRAPHICS)?;
        Ok(SilencedConsole { console, before })
    }
}

fn set(console: &OwnedFd, mode: i32) -> io::Result<()> {
    // SAFETY: this number takes a mode as an integer, and refuses an unknown one.
    unsafe { ioctl(console, IntegerSetter::<KDSETMODE>::new_usize(mode as usize)) }?;
    Ok(())
}

impl Drop for SilencedConsole {
    fn drop(&mut self) {
        if let Err(error) = set(&self.console, self.before) {
            log::warn!("the text console stays silenced: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_console_is_left_alone() {
        let (reader, _writer) = io::pipe().unwrap();
        // ENOTTY; under QEMU's user mode emulation, which does not know the number, ENOSYS.
        assert!(SilencedConsole::new(reader).unwrap_err().raw_os_error().is_some());
    }
}

//! The kernel's text console, which lies on the same pixels as a framebuffer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::ioctl::{Getter, IntegerSetter, Opcode, ioctl};

// Linux, include/uapi/linux/kd.h. Raw numbers there, too, not made by _IOR.
const KDSETMODE: Opcode = 0x4b3a;
const KDGETMODE: Opcode = 0x4b3b;
const KD_GRAPHICS: i32 = 1;

/// A virtual console in graphics mode: the kernel draws no cursor, no messages and no typed text. Dropped, it is as it
/// was before.
#[derive(Debug)]
pub struct SilencedConsole {
    console: OwnedFd,
    before: i32,
}

impl SilencedConsole {
    /// Silences the console that a terminal is. Other terminals stay as they are.
    ///
    /// # Errors
    /// It is no virtual console (ENOTTY), or neither this program's own nor permitted (EPERM).
    pub fn new(terminal: impl AsFd) -> io::Result<SilencedConsole> {
        let console = terminal.as_fd().try_clone_to_owned()?;
        // SAFETY: for this number the kernel writes an int.
        let before = unsafe { ioctl(&console, Getter::<KDGETMODE, i32>::new())? };
        set(&console, KD_GRAPHICS)?;
        Ok(SilencedConsole { console, before })
    }
}

fn set(console: &OwnedFd, mode: i32) -> io::Result<()> {
    // SAFETY: this number takes a mode as an integer, and knows those that are none.
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
    fn what_is_no_console_is_left_alone() {
        let (reader, _writer) = io::pipe().unwrap();
        // ENOTTY; under QEMU's user mode emulation, which does not know the number, ENOSYS.
        assert!(SilencedConsole::new(reader).unwrap_err().raw_os_error().is_some());
    }
}

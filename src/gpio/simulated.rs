//! Button and LEDs without pins: the button is lines of text, and the LEDs are lines of the log and a small file.

use std::fs;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use log::{info, warn};

use super::{Button, ButtonAndLeds, GpioError, Leds, Press};

/// How many presses that were typed can wait to be asked for.
const WAITING: usize = 16;
/// Longest line, bytes. A longer line counts as several.
const LONGEST_LINE: u64 = 64;

/// A simulated button and simulated LEDs.
///
/// Each of the `lines` is a press of the button: an empty line or `press` is a short press, `long` a long one, `hold` a very
/// long one. The end of the lines is a very long press, too. Any other line is logged and ignored. For a person at a
/// keyboard `lines` is standard input.
///
/// Changes of the LEDs are logged. The file `leds` has their state as well, as `ready=1 attention=0`. It is never seen half
/// written.
pub fn simulated(lines: impl BufRead + Send + 'static, leds: Option<PathBuf>) -> ButtonAndLeds {
    let (sender, presses) = mpsc::sync_channel(WAITING);
    // Reading blocks as long as nobody types, so it has a thread of its own.
    thread::spawn(move || {
        let mut lines = lines;
        loop {
            let press = next_press(&mut lines);
            let last = !matches!(press, Ok(Some(_)));
            if sender.send(press.map(|press| press.unwrap_or(Press::VeryLong))).is_err() || last {
                return;
            }
        }
    });
    (Box::new(SimulatedButton { presses }), Box::new(SimulatedLeds { file: leds, shown: None }))
}

/// The next press in the text. `None` at the end of the text.
fn next_press(lines: &mut impl BufRead) -> io::Result<Option<Press>> {
    loop {
        // The line is read as bytes, since it need not be valid text.
        let mut line = Vec::new();
        if lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_ascii() {
            b"" | b"press" => return Ok(Some(Press::Short)),
            b"long" => return Ok(Some(Press::Long)),
            b"hold" => return Ok(Some(Press::VeryLong)),
            unknown => {
                warn!("simulated button: {:?} is none of press, long, hold. Ignored", String::from_utf8_lossy(unknown))
            }
        }
    }
}

struct SimulatedButton {
    presses: Receiver<io::Result<Press>>,
}

impl Button for SimulatedButton {
    fn scripted(&self) -> bool {
        true
    }

    fn wait(&mut self, patience: Duration) -> Result<Option<Press>, GpioError> {
        match self.presses.recv_timeout(patience) {
            Ok(Ok(press)) => Ok(Some(press)),
            Ok(Err(error)) => Err(GpioError::ReadPresses { error: error.to_string() }),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                // The text has ended: there will be no more presses.
                thread::sleep(patience);
                Ok(None)
            }
        }
    }
}

struct SimulatedLeds {
    file: Option<PathBuf>,
    /// What *ready* and *attention* show; `None` if that is not known.
    shown: Option<(bool, bool)>,
}

impl Leds for SimulatedLeds {
    fn set(&mut self, ready: bool, attention: bool) -> Result<(), GpioError> {
        if self.shown == Some((ready, attention)) {
            return Ok(());
        }
        let word = |on| if on { "on" } else { "off" };
        info!("LEDs: ready {}, attention {}", word(ready), word(attention));
        if let Some(file) = &self.file {
            let part = file.with_extension("part");
            let state = format!("ready={} attention={}\n", u8::from(ready), u8::from(attention));
            fs::write(&part, state)
                .and_then(|()| fs::rename(&part, file))
                .map_err(|error| GpioError::WriteLeds { path: file.clone(), error: error.to_string() })?;
        }
        self.shown = Some((ready, attention));
        Ok(())
    }
}

impl Drop for SimulatedLeds {
    fn drop(&mut self) {
        self.set(false, false).unwrap_or_else(|error| warn!("{error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};
    use std::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn presses(text: &'static [u8]) -> Vec<Press> {
        let (mut button, _) = simulated(Cursor::new(text), None);
        let mut presses = Vec::new();
        loop {
            presses.push(button.wait(PATIENCE).unwrap().expect("the text's end is a press"));
            if presses.last() == Some(&Press::VeryLong) {
                return presses;
            }
        }
    }

    #[test]
    fn lines_are_presses_and_their_end_is_a_very_long_one() {
        use Press::{Long, Short, VeryLong};
        assert_eq!(presses(b""), [VeryLong]);
        assert_eq!(presses(b"\npress\r\n  long \n"), [Short, Short, Long, VeryLong]);
        assert_eq!(presses(b"hold\npress\n"), [VeryLong]);
        assert_eq!(presses(b"push\n\xFF\xFE\npress"), [Short, VeryLong]);
    }

    #[test]
    fn a_wait_ends_after_its_patience() {
        let (reader, _writer) = io::pipe().unwrap();
        let (mut button, _) = simulated(BufReader::new(reader), None);
        let start = Instant::now();
        assert_eq!(button.wait(Duration::from_millis(50)).unwrap(), None);
        assert!(start.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn after_the_end_nothing_is_pressed() {
        let (mut button, _) = simulated(Cursor::new(b""), None);
        assert_eq!(button.wait(PATIENCE).unwrap(), Some(Press::VeryLong));
        let start = Instant::now();
        assert_eq!(button.wait(Duration::from_millis(50)).unwrap(), None);
        assert!(start.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn text_that_cannot_be_read_is_an_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("unplugged"))
            }
        }
        let (mut button, _) = simulated(BufReader::new(Broken), None);
        let error = button.wait(PATIENCE).unwrap_err().to_string();
        assert!(error.contains("unplugged"), "{error}");
    }

    #[test]
    fn the_leds_are_a_file_and_off_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leds.txt");
        let (_, mut leds) = simulated(Cursor::new(b""), Some(file.clone()));
        leds.set(true, false).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "ready=1 attention=0\n");
        leds.set(true, true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "ready=1 attention=1\n");
        drop(leds);
        assert_eq!(fs::read_to_string(&file).unwrap(), "ready=0 attention=0\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let (_, mut leds) = simulated(Cursor::new(b""), Some(folder.path().join("no/leds.txt")));
        assert!(leds.set(true, false).is_err());
    }
}

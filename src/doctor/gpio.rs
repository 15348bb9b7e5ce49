//! The button and the LEDs: whether the box can use the GPIO lines they are wired to.

use std::path::Path;

use crate::gpio::{GpioBackend, GpioConfig, rppal_knows};

use super::{Check, System};

/// The check's name, by which the settings' section is called as well.
const NAME: &str = "panel";

impl System {
    /// Checks that the backend which the box would take has its device.
    pub fn gpio(&self, config: &GpioConfig) -> Check {
        let board = self.value("/proc/device-tree/model").unwrap_or_default();
        let nodes = self.names("/dev").into_iter().filter(|name| name.starts_with("gpiomem") || name == "mem");
        let registers = nodes.map(|name| format!("/dev/{name}")).find(|device| self.usable(device).is_ok());
        let wanted = match config.backend {
            GpioBackend::Rppal => true,
            GpioBackend::Gpiochip => false,
            GpioBackend::Auto => rppal_knows(&board),
        };
        match registers {
            Some(device) if wanted => return Check::ok(NAME, format!("rppal through {device}, {board}")),
            None if config.backend == GpioBackend::Rppal => {
                let advice = "The rppal backend needs a Raspberry Pi and the group gpio. Elsewhere set panel.backend \
                              to gpiochip";
                return Check::failed(NAME, format!("rppal: no usable /dev/gpiomem on {board:?}"), advice);
            }
            // As in the box, `auto` takes the chip if the registers cannot be used.
            _ => {}
        }
        let chip = config.chip.to_string_lossy();
        match self.usable(&chip) {
            Ok(()) => lines(&self.path(&chip), config),
            Err(error) => {
                let there = self.names("/dev").into_iter().filter(|name| name.starts_with("gpiochip"));
                let there: Vec<String> = there.collect();
                let there = if there.is_empty() { "no GPIO chip".into() } else { there.join(", ") };
                let advice = "Name the chip in panel.chip, or join the group gpio";
                Check::failed(NAME, format!("{chip}: {error}; there is {there}"), advice)
            }
        }
    }
}

/// Checks that the chip answers and has the lines that the settings name.
#[cfg(feature = "box")]
fn lines(chip: &Path, config: &GpioConfig) -> Check {
    let shown = config.chip.display();
    match gpiocdev::chip::Chip::from_path(chip).and_then(|chip| chip.info()) {
        Err(error) => Check::failed(NAME, format!("{shown} is no GPIO chip: {error}"), "Name another in panel.chip"),
        Ok(info) => {
            let found = format!("{shown} ({}), {} lines", info.label, info.num_lines);
            let highest = config.button.max(config.ready).max(config.attention);
            if highest >= info.num_lines {
                let advice =
                    format!("Line {highest} is not there: correct the lines under panel, or name another chip");
                return Check::failed(NAME, found, advice);
            }
            Check::ok(NAME, found)
        }
    }
}

/// Without the feature `box` the chip cannot be asked, only that it exists is known.
#[cfg(not(feature = "box"))]
fn lines(_chip: &Path, config: &GpioConfig) -> Check {
    Check::skipped(NAME, format!("{} is there; this program was built without pins", config.chip.display()))
}

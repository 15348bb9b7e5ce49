//! The display: whether there is one, and whether the box may use it.

use std::fs;

use crate::display::DisplayConfig;

use super::{Check, System};

const NAME: &str = "display";

impl System {
    /// Checks the display that the settings name; for `auto` the one that the box would take.
    pub fn display(&self, config: &DisplayConfig) -> Check {
        let frame_buffer = |node: &str| {
            let fact = |fact: &str| self.value(&format!("/sys/class/graphics/{node}/{fact}")).unwrap_or_default();
            format!("/dev/{node} ({}): {} pixels, {} bits", fact("name"), fact("virtual_size"), fact("bits_per_pixel"))
        };
        // The name of a card's first connector with a display, such as card0-HDMI-A-1, and its best mode, which is the
        // first in the kernel's list.
        let connected = |cards: &str| {
            let fact = |name: &str, fact: &str| self.value(&format!("/sys/class/drm/{name}/{fact}"));
            let mut connectors = self.names("/sys/class/drm").into_iter().filter(|name| name.starts_with(cards));
            let name = connectors.find(|name| fact(name, "status").as_deref() == Some("connected"))?;
            let modes = fact(&name, "modes").unwrap_or_default();
            let found = format!("{name}: {} pixels", modes.lines().next().unwrap_or("unknown"));
            Some((name, found))
        };
        let (device, found) = match config.device.as_str() {
            "none" => return Check::skipped(NAME, "display.device is none"),
            "auto" => match connected("card") {
                Some((connector, found)) => {
                    let card = connector.split('-').next().unwrap_or_default();
                    (format!("/dev/dri/{card}"), Some(found))
                }
                None => ("/dev/fb0".into(), Some(frame_buffer("fb0"))),
            },
            named => {
                // A name under /dev/dri/by-path is a link to the node.
                let path = self.path(named);
                let node = fs::canonicalize(&path).unwrap_or(path);
                let node = node.file_name().unwrap_or_default().to_string_lossy();
                let found = match connected(&format!("{node}-")) {
                    Some((_, found)) => Some(found),
                    None => node.starts_with("fb").then(|| frame_buffer(&node)),
                };
                (named.to_string(), found)
            }
        };
        let found = match (self.usable(&device), found) {
            (Ok(()), Some(found)) => return Check::ok(NAME, found),
            (Ok(()), None) => format!("{device}: nothing connected"),
            (Err(error), _) => format!("{device}: {error}"),
        };
        let advice = "Connect a display, name it in display.device, or join the group video. Without one the box works \
                      with LEDs and log alone";
        Check::warning(NAME, found, advice)
    }
}

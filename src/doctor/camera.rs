//! The camera: whether it is there, and whether the box can use what it offers.

use std::fs;
use std::path::Path;

use crate::camera::CameraConfig;

use super::{Check, System};

#[cfg(feature = "box")]
pub(super) use crate::camera::captures;

const NAME: &str = "camera";

impl System {
    /// Checks the camera that the settings name, by its device or by its card's name. A card has several nodes; as in the
    /// box, its name means the first of them that takes pictures.
    pub fn camera(&self, config: &CameraConfig) -> Check {
        let cards = "/sys/class/video4linux";
        let card = |node: &str| self.value(&format!("{cards}/{node}/name")).unwrap_or_default();
        let mut nodes = self.names(cards);
        nodes.sort_by_key(|node| node.strip_prefix("video").and_then(|number| number.parse::<u32>().ok()));
        let mut of_card = nodes.iter().filter(|node| card(node) == config.device);
        let first = of_card.clone().next();
        let capturing = of_card.find(|node| (self.captures)(&self.path(&format!("/dev/{node}"))));
        let device = match capturing.or(first) {
            Some(node) => format!("/dev/{node}"),
            None => config.device.clone(),
        };
        if let Err(error) = self.usable(&device) {
            let there: Vec<String> = nodes.iter().map(|node| format!("/dev/{node} ({})", card(node))).collect();
            let there = if there.is_empty() { "no video device".into() } else { there.join(", ") };
            let advice = "Plug the camera in, name it in camera.device, or join the group video";
            return Check::failed(NAME, format!("{device}: {error}; there is {there}"), advice);
        }
        // A name under /dev/v4l is a link to the node.
        let node = fs::canonicalize(self.path(&device)).unwrap_or_default();
        let card = card(&node.file_name().unwrap_or_default().to_string_lossy());
        offered(&node, &format!("{device} ({card})"), config)
    }
}

/// Checks that the node offers a format and a size which the box takes.
#[cfg(feature = "box")]
fn offered(node: &Path, found: &str, config: &CameraConfig) -> Check {
    match crate::camera::offer(node, config) {
        Ok(offer) => {
            let (format, (width, height)) = offer.taken;
            let format = String::from_utf8_lossy(&format);
            Check::ok(NAME, format!("{found}: {format} at {width} x {height} pixels, of {}", offer.formats))
        }
        Err(unusable) => Check::failed(NAME, format!("{found} {}", unusable.what()), unusable.what_to_do()),
    }
}

/// Without the feature `box` the node cannot be asked, only that it exists is known.
#[cfg(not(feature = "box"))]
fn offered(_node: &Path, found: &str, _config: &CameraConfig) -> Check {
    Check::skipped(NAME, format!("{found} is there; this program was built without cameras"))
}

/// Without the feature `box` no node can be asked, so each is taken for one that takes pictures.
#[cfg(not(feature = "box"))]
pub fn captures(_node: &Path) -> bool {
    true
}

//! Which boards the `rppal` crate drives, by the model that a board calls itself.
//!
//! `rppal` writes to the registers of a Raspberry Pi, so it must know each model; its maintenance ended in July 2025. On
//! any other board the kernel's GPIO character device does the same work without knowing the board.

/// The models that rppal 0.22.1 knows by the device tree (`parse_base_model` in its `system.rs`), without the revision.
const KNOWN: [&str; 28] = [
    "Raspberry Pi Model A",
    "Raspberry Pi Model A+",
    "Raspberry Pi Model A Plus",
    "Raspberry Pi Model B",
    "Raspberry Pi Model B (no P5)",
    "Raspberry Pi Model B rev2",
    "Raspberry Pi Model B+",
    "Raspberry Pi Model B Plus",
    "Raspberry Pi Compute Module",
    "Raspberry Pi Zero",
    "Raspberry Pi Zero W",
    "Raspberry Pi Zero 2",
    "Raspberry Pi Zero 2 W",
    "Raspberry Pi 2 Model B",
    "Raspberry Pi 3 Model B",
    "Raspberry Pi 3 Model B+",
    "Raspberry Pi 3 Model B Plus",
    "Raspberry Pi 3 Model A Plus",
    "Raspberry Pi Compute Module 3",
    "Raspberry Pi Compute Module 3 Plus",
    "Raspberry Pi 4 Model B",
    "Raspberry Pi 400",
    "Raspberry Pi Compute Module 4",
    "Raspberry Pi Compute Module 4S",
    "Raspberry Pi 5 Model B",
    "Raspberry Pi 500",
    "Raspberry Pi Compute Module 5",
    "Raspberry Pi Compute Module 5 Lite",
];

/// Whether `rppal` knows the board with this model in its device tree (`/proc/device-tree/model`), such as
/// `Raspberry Pi 4 Model B Rev 1.4`. For other boards the backend `auto` takes the GPIO character device.
pub fn rppal_knows(model: &str) -> bool {
    let model = model.trim_end_matches('\0').trim();
    let name = model.split_once(" Rev ").map_or(model, |(name, _revision)| name);
    KNOWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rppal_drives_the_boards_that_it_knows_and_no_others() {
        for model in [
            "Raspberry Pi 3 Model B",
            "Raspberry Pi 3 Model B Plus Rev 1.3\0",
            "Raspberry Pi 4 Model B Rev 1.4\0",
            "Raspberry Pi 5 Model B Rev 1.0\0",
            "Raspberry Pi Compute Module 5 Rev 1.0\0",
            "Raspberry Pi Compute Module 5 Lite Rev 1.0",
            "Raspberry Pi Zero 2 W Rev 1.0",
            "Raspberry Pi Model B rev2 Rev 2.0",
        ] {
            assert!(rppal_knows(model), "{model:?}");
        }
        for model in [
            "",
            "Raspberry Pi",
            "Raspberry Pi 6 Model B Rev 1.0\0",
            "Raspberry Pi Compute Module 6 Rev 1.0\0",
            "Raspberry Pi 5 Model C Rev 1.0",
            "Xunlong Orange Pi Zero2",
            "Radxa ROCK 5B",
            "BeagleBoard.org BeaglePlay",
            "Generic clone of Raspberry Pi 4 Model B",
            "linux,dummy-virt",
        ] {
            assert!(!rppal_knows(model), "{model:?}");
        }
    }
}

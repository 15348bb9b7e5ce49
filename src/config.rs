//! The box's settings, from a TOML file: every entry has a default, and an unknown one is an error.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// All settings of `xray-triage run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub camera: Camera,
    pub display: Display,
    pub panel: Panel,
    pub triage: Triage,
    pub storage: Storage,
}

/// The camera over the light box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Camera {
    /// The V4L2 device: a path (`/dev/video0`, or a stable one under `/dev/v4l/by-id`), or the card's name.
    pub device: String,
    /// Wanted width of a frame, pixels; the camera's nearest size is taken.
    pub width: u32,
    /// Wanted height of a frame, pixels.
    pub height: u32,
    /// Fixed exposure time in units of 100 microseconds (V4L2_CID_EXPOSURE_ABSOLUTE); automatic without.
    pub exposure: Option<u32>,
    /// Fixed white balance in kelvin; automatic without.
    pub white_balance: Option<u32>,
    /// Fixed focus in the camera's own units; automatic without.
    pub focus: Option<u32>,
    /// How long a frame may take before the camera counts as gone, seconds.
    pub timeout_s: f64,
    /// Frames a second of the preview.
    pub preview_fps: f64,
}

impl Default for Camera {
    fn default() -> Self {
        Camera {
            device: "/dev/video0".into(),
            width: 1920,
            height: 1080,
            exposure: None,
            white_balance: None,
            focus: None,
            timeout_s: 3.0,
            preview_fps: 4.0,
        }
    }
}

/// The display.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Display {
    /// `auto` (a DRM display, else `/dev/fb0`), `none`, or a device's path.
    pub device: String,
    /// `en`, `fr`, `es`, `pt` or `zh`.
    pub language: String,
}

impl Default for Display {
    fn default() -> Self {
        Display { device: "auto".into(), language: "en".into() }
    }
}

/// The button and the LEDs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Panel {
    pub backend: PanelBackend,
    /// The GPIO character device, where that is used.
    pub chip: PathBuf,
    /// Line of the button (on a Raspberry Pi the BCM number).
    pub button: u32,
    /// Line of the LED that says *ready*.
    pub ready: u32,
    /// Line of the LED that asks for attention.
    pub attention: u32,
    /// Whether the pressed button pulls its line low.
    pub active_low: bool,
    /// Whether an LED is on when its line is low.
    pub leds_active_low: bool,
}

impl Default for Panel {
    fn default() -> Self {
        Panel {
            backend: PanelBackend::Auto,
            chip: "/dev/gpiochip0".into(),
            button: 17,
            ready: 27,
            attention: 22,
            active_low: true,
            leds_active_low: false,
        }
    }
}

/// What drives the button and the LEDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanelBackend {
    /// `rppal` on a Raspberry Pi, `gpiochip` elsewhere.
    Auto,
    /// A Raspberry Pi's registers.
    Rppal,
    /// The kernel's GPIO character device.
    Gpiochip,
}

/// How films are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Triage {
    /// How the pictures are taken: `film`, `screen`, `digital` or `auto`.
    pub profile: String,
    /// The operating point; the model's default one without.
    pub operating_point: Option<String>,
    /// The model bundle's folder; the built-in model without.
    pub model: Option<PathBuf>,
    /// Threads for the network, 1 to 64; one a processor without.
    pub threads: Option<u8>,
}

impl Default for Triage {
    fn default() -> Self {
        Triage { profile: "film".into(), operating_point: None, model: None, threads: None }
    }
}

/// Where cases are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// The case log's folder.
    pub folder: PathBuf,
    /// Free space below which no capture is taken, megabytes (10^6 bytes).
    pub reserve_mb: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Storage { folder: "/var/lib/xray-triage".into(), reserve_mb: 64 }
    }
}

//! Checking what the types of the settings do not say: ranges, names, and that lines differ.

use std::fmt::Display;
use std::ops::RangeInclusive;

use xray_triage_core::film::Profile;

use crate::camera::FORMATS;

use super::Config;

/// Sides of a camera's frame, pixels. Films below 160 are refused; above 7680, one frame would take tens of megabytes.
const SIDE: RangeInclusive<u32> = 160..=7680;
/// Exposure times in units of 100 microseconds: up to 10 s.
const EXPOSURE: RangeInclusive<u32> = 1..=100_000;
/// White balance, kelvin: from candle light to open shade, and some more.
const WHITE_BALANCE: RangeInclusive<u32> = 1000..=15_000;
/// Focus, in the camera's own units.
const FOCUS: RangeInclusive<u32> = 0..=65_535;
/// How long the camera may take for a frame, seconds.
const TIMEOUT: RangeInclusive<f64> = 0.1..=60.0;
/// How many frames the preview shows, per second.
const PREVIEW: RangeInclusive<f64> = 0.1..=30.0;
/// Numbers of GPIO lines.
const LINE: RangeInclusive<u32> = 0..=1023;
/// Threads of the network.
const THREADS: RangeInclusive<u8> = 1..=64;
/// Free space to keep, megabytes: up to 1 TB.
const RESERVE: RangeInclusive<u64> = 0..=1_000_000;

/// An entry of the settings whose value cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {value}, but must be {allowed}")]
pub struct InvalidValue {
    /// The entry, with a dot between section and key.
    pub key: &'static str,
    /// The value it has.
    pub value: String,
    /// The values it may have, in words.
    pub allowed: String,
}

impl Config {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// Returns the first entry whose value cannot be used.
    pub fn check(&self) -> Result<(), InvalidValue> {
        let Config { camera, display, panel, triage, storage } = self;
        filled("camera.device", &camera.device)?;
        within("camera.width", Some(camera.width), &SIDE, "pixels")?;
        within("camera.height", Some(camera.height), &SIDE, "pixels")?;
        if let Some(format) = &camera.format {
            one_of("camera.format", format, &FORMATS.map(|known| str::from_utf8(known).unwrap_or_default()))?;
        }
        within("camera.exposure", camera.exposure, &EXPOSURE, "times 100 microseconds")?;
        within("camera.white_balance", camera.white_balance, &WHITE_BALANCE, "kelvin")?;
        within("camera.focus", camera.focus, &FOCUS, "units of the camera")?;
        within("camera.timeout_s", Some(camera.timeout_s), &TIMEOUT, "seconds")?;
        within("camera.preview_fps", Some(camera.preview_fps), &PREVIEW, "frames a second")?;

        let device = display.device.as_str();
        let known = ["auto", "none"].contains(&device) || device.starts_with('/');
        require(known, "display.device", device, "\"auto\", \"none\" or a device's path such as \"/dev/fb0\"")?;

        filled("panel.chip", &panel.chip.to_string_lossy())?;
        let lines =
            [("panel.button", panel.button), ("panel.ready", panel.ready), ("panel.attention", panel.attention)];
        for (place, &(key, line)) in lines.iter().enumerate() {
            within(key, Some(line), &LINE, "")?;
            if let Some((other, _)) = lines[..place].iter().find(|(_, taken)| *taken == line) {
                let allowed = format!("another line than {other}");
                return Err(InvalidValue { key, value: line.to_string(), allowed });
            }
        }

        let profiles = Profile::ALL.map(Profile::name);
        one_of("triage.profile", &triage.profile, &[&profiles[..], &["auto"]].concat())?;
        if let Some(name) = &triage.operating_point {
            filled("triage.operating_point", name)?;
        }
        if let Some(model) = &triage.model {
            filled("triage.model", &model.to_string_lossy())?;
        }
        within("triage.threads", triage.threads, &THREADS, "")?;

        filled("storage.folder", &storage.folder.to_string_lossy())?;
        within("storage.reserve_mb", Some(storage.reserve_mb), &RESERVE, "megabytes")
    }
}

fn require(right: bool, key: &'static str, value: &str, allowed: &str) -> Result<(), InvalidValue> {
    if right { Ok(()) } else { Err(InvalidValue { key, value: format!("{value:?}"), allowed: allowed.into() }) }
}

fn filled(key: &'static str, value: &str) -> Result<(), InvalidValue> {
    require(!value.trim().is_empty(), key, value, "some text")
}

fn one_of(key: &'static str, value: &str, names: &[&str]) -> Result<(), InvalidValue> {
    require(names.contains(&value), key, value, &format!("one of {}", names.join(", ")))
}

/// Checks that a value is in its range, if there is a value. A NaN is in no range.
fn within<T: PartialOrd + Display>(
    key: &'static str,
    value: Option<T>,
    range: &RangeInclusive<T>,
    unit: &str,
) -> Result<(), InvalidValue> {
    match value {
        Some(value) if !range.contains(&value) => {
            let allowed = format!("{} to {} {unit}", range.start(), range.end());
            Err(InvalidValue { key, value: value.to_string(), allowed: allowed.trim_end().into() })
        }
        _ => Ok(()),
    }
}

//! Looks whether the box can work: camera, display, pins, model, storage, clock, memory, processor, heat.
//!
//! Each check says what it found and, if something is wrong, what to do. What the kernel tells is read from `/dev`,
//! `/proc` and `/sys`; nothing is switched, written or taken from a box that is running.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use rustix::fs::Access;
use serde::Serialize;
use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::Class;
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::{Options, Pipeline};

use crate::caselog::StorageConfig;
use crate::caselog::{self, CaseReader};
use crate::config::{Config, TriageConfig};
use crate::display::DisplayConfig;
use crate::embedded_model;
use crate::gpio::{GpioBackend, GpioConfig, rppal_knows};

mod camera;
mod storage;

/// The film that the model check judges: NIH ChestX-ray8, see tests/films/README.md.
const FILM: &[u8] = include_bytes!("../tests/films/nih_00002102_000.jpg");
/// The model whose answer on [`FILM`] is known, by the SHA-256 of its network, and that answer's most probable class.
const KNOWN: (&str, Class) = ("b76f9645293ee1ca9546609a8fe4152b92c412ea1ce2855beb6bf1d71c97bbe4", Class::Normal);
/// Less available memory is a warning, bytes: `run` may take 160 MB, and the system needs some.
const LEAST_MEMORY: u64 = 256_000_000;
/// From here on a warning, degrees Celsius: a Raspberry Pi slows its processor down from 80 on.
const HOT: f64 = 80.0;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Ok,
    /// The box works, but not as it could.
    Warning,
    /// The box does not work.
    Failed,
    /// There is nothing to check.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do; only for a warning or a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, status: Status::Ok, found: found.into(), advice: None }
    }

    fn skipped(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, status: Status::Skipped, found: found.into(), advice: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check { name, status: Status::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    fn failed(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Check {
        Check { name, status: Status::Failed, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Makes every check, the quick ones first. Loading the model and judging a film takes seconds, on a small board half a
/// minute.
pub fn examine(config: &Config) -> Vec<Check> {
    let system = System { root: "/".into(), captures: camera::captures };
    let mut checks = vec![
        system.camera(&config.camera),
        system.display(&config.display),
        system.panel(&config.panel),
        system.storage(&config.storage),
        storage::case_log(&config.storage),
        clock(Timestamp::now(), &config.storage),
        system.memory(),
        processor(),
        system.temperature(),
        system.throttling(),
    ];
    checks.extend(model(&config.triage));
    checks
}

/// What the kernel tells about the machine.
struct System {
    /// `/`, or a folder that stands in for it.
    root: PathBuf,
    /// Whether a video device takes pictures.
    captures: fn(&Path) -> bool,
}

impl System {
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file of one value; `None` if it is not there or not readable.
    fn value(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_string())
    }

    /// Names in a folder, sorted; none if it is not there.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether a device is there and may be read and written.
    fn usable(&self, device: &str) -> io::Result<()> {
        Ok(rustix::fs::access(self.path(device), Access::READ_OK | Access::WRITE_OK)?)
    }

    fn display(&self, config: &DisplayConfig) -> Check {
        const NAME: &str = "display";
        let frame_buffer = |node: &str| {
            let fact = |fact: &str| self.value(&format!("/sys/class/graphics/{node}/{fact}")).unwrap_or_default();
            format!("/dev/{node} ({}): {} pixels, {} bits", fact("name"), fact("virtual_size"), fact("bits_per_pixel"))
        };
        // The first connector of a card with a display, such as card0-HDMI-A-1, and what it is: its best mode comes first.
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
                // A name under /dev/dri/by-path leads to the node.
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

    fn panel(&self, config: &GpioConfig) -> Check {
        const NAME: &str = "panel";
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
            // As the box does, `auto` takes the chip where the registers cannot be used.
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

    fn memory(&self) -> Check {
        const NAME: &str = "memory";
        let text = self.value("/proc/meminfo").unwrap_or_default();
        let bytes = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok().map(|kilobytes: u64| 1024 * kilobytes)
        };
        let (Some(available), Some(total)) = (bytes("MemAvailable"), bytes("MemTotal")) else {
            return Check::skipped(NAME, "/proc/meminfo does not tell");
        };
        let found = format!("{} of {} MB available", available / 1_000_000, total / 1_000_000);
        if available < LEAST_MEMORY {
            let advice =
                format!("End other programs, or use a board with more memory: {} MB", LEAST_MEMORY / 1_000_000);
            return Check::warning(NAME, found, advice);
        }
        Check::ok(NAME, found)
    }

    fn temperature(&self) -> Check {
        const NAME: &str = "temperature";
        let zones = self.names("/sys/class/thermal").into_iter().filter(|zone| zone.starts_with("thermal_zone"));
        let degrees = zones.filter_map(|zone| {
            let thousandths: f64 = self.value(&format!("/sys/class/thermal/{zone}/temp"))?.parse().ok()?;
            Some(thousandths / 1000.0)
        });
        match degrees.reduce(f64::max) {
            None => Check::skipped(NAME, "no sensor"),
            Some(hottest) if hottest >= HOT => {
                Check::warning(NAME, format!("{hottest:.0} °C"), "Let air to the board, or give it a heat sink")
            }
            Some(hottest) => Check::ok(NAME, format!("{hottest:.0} °C")),
        }
    }

    /// A Raspberry Pi's firmware tells in bits; those from 16 on are the same since the start.
    fn throttling(&self) -> Check {
        const NAME: &str = "throttling";
        const BITS: [&str; 4] = ["under-voltage", "frequency capped", "throttled", "soft temperature limit"];
        let value = self.value("/sys/devices/platform/soc/soc:firmware/get_throttled");
        let bits = value.and_then(|value| u32::from_str_radix(value.trim_start_matches("0x"), 16).ok());
        let Some(bits) = bits else { return Check::skipped(NAME, "no Raspberry Pi firmware that tells") };
        let told: Vec<String> = (0..32)
            .filter(|bit| bits >> bit & 1 == 1)
            .filter_map(|bit| {
                let since_start = if bit < 16 { "now" } else { "since the start" };
                BITS.get(bit % 16).map(|what| format!("{what} {since_start}"))
            })
            .collect();
        if told.is_empty() {
            return Check::ok(NAME, "none since the start");
        }
        Check::warning(NAME, told.join(", "), "Use the board's own power supply and a short cable, and cool it")
    }
}

/// Whether the chip answers and has the panel's lines.
#[cfg(feature = "box")]
fn lines(chip: &Path, config: &GpioConfig) -> Check {
    const NAME: &str = "panel";
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

/// Built without pins: the chip is there, and that is all that can be said.
#[cfg(not(feature = "box"))]
fn lines(_chip: &Path, config: &GpioConfig) -> Check {
    Check::skipped("panel", format!("{} is there; this program was built without pins", config.chip.display()))
}

/// Whether the bundle is whole, and the network judges a film.
fn model(config: &TriageConfig) -> Vec<Check> {
    const BUNDLE: &str = "model";
    const FILM_NAME: &str = "inference";
    let advice = "Install the bundle again, or leave triage.model out to use the built-in one";
    let started = Instant::now();
    let loaded =
        config.model.as_deref().map_or_else(embedded_model::bundle, Bundle::load).map_err(|error| error.to_string());
    let triage = loaded.and_then(|bundle| {
        // The stored film is no photograph.
        let options = Options { profile: Some(Profile::Digital), ..config.options() };
        Pipeline::new(&bundle, &options).map_err(|error| error.to_string())
    });
    let triage = match triage {
        Ok(triage) => triage,
        Err(error) => {
            return vec![Check::failed(BUNDLE, error, advice), Check::skipped(FILM_NAME, "there is no model")];
        }
    };
    let name = triage.model();
    let verified =
        Check::ok(BUNDLE, format!("{} verified, loaded in {:.1} s", name.id, started.elapsed().as_secs_f64()));
    let frame = match image_file::decode(FILM) {
        Ok(frame) => frame,
        Err(error) => return vec![verified, Check::failed(FILM_NAME, error.to_string(), "Install the program again")],
    };
    let started = Instant::now();
    let record = triage.assess(frame, "stored film".into()).record;
    let seconds = started.elapsed().as_secs_f64();
    let known = (name.sha256 == KNOWN.0).then_some(KNOWN.1);
    let judged = match (record.top, record.probabilities) {
        (Some(top), Some(probabilities)) => {
            let found = format!("{} {:.1} % in {seconds:.1} s", top.label(), 100.0 * probabilities.of(top));
            match known {
                Some(wanted) if wanted != top => Check::failed(
                    FILM_NAME,
                    format!("{found}, but this model calls the stored film {}", wanted.label()),
                    "The processor or its memory gives wrong results: do not use this board",
                ),
                Some(_) => Check::ok(FILM_NAME, format!("{found}, as it must be")),
                None => Check::ok(FILM_NAME, format!("{found}; what another model must say is not known")),
            }
        }
        _ if known.is_none() && record.error.is_none() => Check::warning(
            FILM_NAME,
            format!("refused: {}", record.reasons.join(", ")),
            "Check the bundle's film space",
        ),
        _ => Check::failed(FILM_NAME, record.advice.join(" "), advice),
    };
    vec![verified, judged]
}

/// Whether the clock can be right. The box works without, but its cases then have no date.
fn clock(now: Timestamp, storage: &StorageConfig) -> Check {
    const NAME: &str = "clock";
    let advice = "Set it with `sudo date --set \"YYYY-MM-DD hh:mm\"`, and fit a battery-backed clock";
    let found = format!("{now:.0}");
    if caselog::clock_unset(now) {
        return Check::warning(NAME, format!("{found}: never set"), advice);
    }
    let newest = CaseReader::open(&storage.folder).and_then(|reader| reader.newest()).ok().flatten();
    match newest.as_ref().and_then(|taken| taken.parse::<Timestamp>().ok()) {
        Some(taken) if taken > now => {
            Check::warning(NAME, format!("{found}: before the newest case, {taken:.0}"), advice)
        }
        _ => Check::ok(NAME, found),
    }
}

/// What the processor has that makes the network fast.
fn processor() -> Check {
    const NAME: &str = "processor";
    #[cfg(target_arch = "aarch64")]
    let abilities = [
        ("neon (asimd)", std::arch::is_aarch64_feature_detected!("neon")),
        ("dot product (asimddp)", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("half floats (fphp)", std::arch::is_aarch64_feature_detected!("fp16")),
    ];
    #[cfg(target_arch = "x86_64")]
    let abilities = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
    ];
    #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
    let abilities = {
        // The kernel's list is all there is: the standard library detects nothing here.
        let list = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        [("neon", list.split_whitespace().any(|word| word == "neon"))]
    };
    let found: Vec<String> =
        abilities.iter().map(|(name, there)| format!("{}{name}", if *there { "" } else { "no " })).collect();
    let found = format!("{}: {}", std::env::consts::ARCH, found.join(", "));
    if abilities[0].1 {
        Check::ok(NAME, found)
    } else {
        Check::warning(NAME, found, "The network runs, but slowly. Use a newer board")
    }
}

#[cfg(test)]
mod tests;

//! The board itself: memory, processor, heat and power.

use super::{Check, System};

/// The available memory below which there is a warning, bytes: `run` may take 160 MB, and the system needs some.
const LEAST_MEMORY: u64 = 256_000_000;
/// The temperature from which on there is a warning, degrees Celsius: a Raspberry Pi slows its processor down from 80 on.
const HOT: f64 = 80.0;

impl System {
    /// Checks that enough memory is available.
    pub fn memory(&self) -> Check {
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

    /// Checks the hottest of the board's sensors.
    pub fn temperature(&self) -> Check {
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

    /// Checks whether a Raspberry Pi's firmware has slowed the processor down. The firmware tells it in bits: 0 to 3 say what
    /// holds now, 16 to 19 what has held since the start.
    pub fn throttling(&self) -> Check {
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

/// Checks that the processor has the instructions that make the network fast.
pub fn processor() -> Check {
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
        // The standard library detects nothing here, so the kernel's list is taken.
        let list = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
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

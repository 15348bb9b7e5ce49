//! A bundle: a folder with a network, an OOD model, and a manifest that says how to feed the network and how to read its
//! answers.
//!
//! Thresholds and scaling belong to one set of weights and one capture profile. They therefore travel with the weights,
//! and the manifest names the hash of every other file.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use xray_triage_core::bundle::Bundle;
//!
//! let bundle = Bundle::load(Path::new("models/densenet121-cbam"))?;
//! println!("{} takes {} pixels a side", bundle.manifest.id, bundle.manifest.input.size);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::decision::{Class, OperatingPoint, Rule, Scaling};
use crate::film::Profile;
use crate::input_file::{self, InputFileError};
use crate::ood::OodModel;
use crate::preprocess::InputSpec;

/// The manifest format this program reads and writes.
pub const FORMAT_VERSION: u32 = 4;
/// The manifest's file name in a bundle.
pub const MANIFEST_FILE: &str = "manifest.toml";
/// The network's usual file name in a bundle.
pub const MODEL_FILE: &str = "model.onnx";
/// The OOD model's usual file name in a bundle.
pub const OOD_FILE: &str = "film-space.json";

/// Most bytes a manifest may have. The shipped one has 3 kB.
const MAX_MANIFEST_BYTES: u64 = 1_000_000;
/// Most bytes a network may have. DenseNet-121 has 28 MB in float32.
const MAX_MODEL_BYTES: u64 = 128_000_000;
/// Most bytes an OOD model may have. The shipped one has 0.4 MB.
const MAX_OOD_BYTES: u64 = 16_000_000;

/// Why a bundle is not used.
#[derive(Debug, Error)]
pub enum BundleError {
    /// A file of the bundle cannot be read.
    #[error("cannot read {}: {cause}. A bundle is a folder with manifest.toml and the model it names", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why it is not read.
        cause: InputFileError,
    },
    /// The manifest is no TOML, or lacks or has surplus entries.
    #[error("{origin}: the manifest is not valid: {message}. Make the bundle again with `trainer export`")]
    Manifest {
        /// Which manifest.
        origin: String,
        /// The parser's message with line and column.
        message: String,
    },
    /// The bundle was written for another version of this program.
    #[error(
        "{origin}: the manifest has format version {found}, this program reads version {FORMAT_VERSION}. Use a bundle \
         and a program of the same release"
    )]
    FormatVersion {
        /// Which manifest.
        origin: String,
        /// The version found.
        found: i64,
    },
    /// An entry has a value that cannot be used.
    #[error("{origin}: `{entry}` {problem}. Make the bundle again with `trainer export`")]
    Entry {
        /// Which manifest.
        origin: String,
        /// The entry, with dots between its tables.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file is not the one the manifest was made for.
    #[error(
        "{origin}: the SHA-256 of {file} is {found}, but the manifest says {wanted}. The file is damaged or was \
         swapped: copy the bundle again"
    )]
    Hash {
        /// Which bundle.
        origin: String,
        /// Which of its files.
        file: String,
        /// Hash of the file.
        found: String,
        /// Hash in the manifest.
        wanted: String,
    },
    /// The operating point asked for is not in the bundle.
    #[error("model {id} has no operating point `{name}`; it has {}", available.join(", "))]
    OperatingPoint {
        /// The bundle's id.
        id: String,
        /// The name asked for.
        name: String,
        /// The names there are.
        available: Vec<String>,
    },
}

/// One value for each capture profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles<T> {
    /// Digital radiograph files.
    pub digital: T,
    /// Photographs of film on a light box.
    pub film: T,
    /// Photographs of a screen.
    pub screen: T,
}

impl<T> Profiles<T> {
    /// The value for `profile`.
    pub fn get(&self, profile: Profile) -> &T {
        match profile {
            Profile::Digital => &self.digital,
            Profile::Film => &self.film,
            Profile::Screen => &self.screen,
        }
    }

    /// Every profile with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Profile, &T)> {
        [Profile::Digital, Profile::Film, Profile::Screen].into_iter().map(|profile| (profile, self.get(profile)))
    }
}

/// How logits become a verdict for one capture profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileCalibration {
    /// What is done to the logits before the softmax.
    pub scaling: Scaling,
    /// The operating point used when none is asked for.
    pub default_operating_point: String,
    /// A rectified film whose OOD score ([`OodModel::score`]) is above this is refused. 0..=1.
    #[serde(rename = "unfamiliar_above")]
    pub ood_above: f64,
    /// Thresholds by name. Every profile has the same names.
    pub operating_points: BTreeMap<String, OperatingPoint>,
}

/// A file that a manifest names, and its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Its name within the bundle's folder.
    pub file: String,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The content of `manifest.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Short name with version, shown beside every verdict.
    pub id: String,
    /// File name of the ONNX network within the bundle's folder.
    pub model: String,
    /// SHA-256 of that file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The classes in the order of the logits: those of [`Class::ALL`].
    pub labels: Vec<String>,
    /// How a rectified film becomes the input tensor.
    pub input: InputSpec,
    /// The file that holds the [`OodModel`] as JSON.
    #[serde(rename = "film_space")]
    pub ood: BundleFile,
    /// Scaling and thresholds by capture profile.
    pub profiles: Profiles<ProfileCalibration>,
    /// Data, protocol and date of the training, for people to read.
    pub training: toml::Table,
    /// Measured figures with the set they were measured on, for people to read.
    pub metrics: toml::Table,
}

impl Manifest {
    /// Reads and checks the manifest of the bundle in `folder`, without the files that it names.
    ///
    /// # Errors
    /// The file is no regular file, is too large or cannot be read; or as [`Manifest::parse`].
    pub fn load(folder: &Path) -> Result<Manifest, BundleError> {
        let origin = folder.display().to_string();
        let text = String::from_utf8(read(folder, MANIFEST_FILE, MAX_MANIFEST_BYTES)?)
            .map_err(|error| BundleError::Manifest { origin: origin.clone(), message: error.to_string() })?;
        Manifest::parse(&text, &origin)
    }

    /// Parses and checks a manifest; `origin` names it in errors.
    ///
    /// # Errors
    /// [`BundleError::Manifest`], [`BundleError::FormatVersion`] or [`BundleError::Entry`].
    pub fn parse(text: &str, origin: &str) -> Result<Manifest, BundleError> {
        // The parser ends its message with a line break.
        let invalid = |error: toml::de::Error| BundleError::Manifest {
            origin: origin.into(),
            message: error.to_string().trim_end().into(),
        };
        // The version first: a newer manifest has entries the strict parser below would complain about.
        let table: toml::Table = text.parse().map_err(invalid)?;
        if let Some(found) = table.get("format_version").and_then(toml::Value::as_integer)
            && found != i64::from(FORMAT_VERSION)
        {
            return Err(BundleError::FormatVersion { origin: origin.into(), found });
        }
        let manifest: Manifest = toml::from_str(text).map_err(invalid)?;
        manifest.check().map_err(|(entry, problem)| BundleError::Entry { origin: origin.into(), entry, problem })?;
        Ok(manifest)
    }

    /// The manifest as TOML, checked as [`Manifest::parse`] checks it. It never holds NaN or infinity, which TOML has.
    ///
    /// # Errors
    /// [`BundleError::Entry`] for a value that reading would refuse, [`BundleError::Manifest`] for one that TOML cannot
    /// express.
    pub fn to_toml(&self) -> Result<String, BundleError> {
        let origin = || format!("manifest of {}", self.id);
        self.check().map_err(|(entry, problem)| BundleError::Entry { origin: origin(), entry, problem })?;
        toml::to_string_pretty(self)
            .map_err(|error| BundleError::Manifest { origin: origin(), message: error.to_string() })
    }

    /// The operating point `name` of each profile, or each profile's default one, ready for
    /// [`crate::decision::decide`].
    ///
    /// # Errors
    /// [`BundleError::OperatingPoint`] if the manifest has no point of that name.
    pub fn rules(&self, name: Option<&str>) -> Result<Profiles<Rule>, BundleError> {
        let rule = |calibration: &ProfileCalibration| {
            let name = name.unwrap_or(&calibration.default_operating_point);
            match calibration.operating_points.get(name) {
                Some(&point) => Ok(Rule {
                    name: name.into(),
                    scaling: calibration.scaling,
                    ood_above: calibration.ood_above,
                    point,
                }),
                None => Err(BundleError::OperatingPoint {
                    id: self.id.clone(),
                    name: name.into(),
                    available: calibration.operating_points.keys().cloned().collect(),
                }),
            }
        };
        Ok(Profiles {
            digital: rule(&self.profiles.digital)?,
            film: rule(&self.profiles.film)?,
            screen: rule(&self.profiles.screen)?,
        })
    }

    /// Checks what the types do not say; the error is an entry and what is wrong with it.
    fn check(&self) -> Result<(), (String, String)> {
        let require = |right: bool, entry: &str, problem: String| {
            if right { Ok(()) } else { Err((entry.to_string(), problem)) }
        };
        require(!self.id.trim().is_empty(), "id", "is empty".into())?;
        let space = &self.ood;
        for (entry, file) in [("model", &self.model), ("film_space.file", &space.file)] {
            let mut parts = Path::new(file).components();
            let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
            require(plain, entry, format!("is {file:?}, but must be a file name without a folder"))?;
        }
        for (entry, hash) in [("sha256", &self.sha256), ("film_space.sha256", &space.sha256)] {
            let hexadecimal = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            require(hexadecimal, entry, "must be 64 lower-case hexadecimal digits".into())?;
        }
        let labels = Class::ALL.map(Class::label);
        require(self.labels == labels, "labels", format!("are {:?}, but must be {labels:?}", self.labels))?;

        for (name, table) in [("training", &self.training), ("metrics", &self.metrics)] {
            if let Some(entry) = not_finite(&toml::Value::Table(table.clone())) {
                return Err((format!("{name}.{entry}"), "must be finite".into()));
            }
        }

        let input = &self.input;
        require((32..=1024).contains(&input.size), "input.size", "must be 32 to 1024 pixels".into())?;
        let [low, high] = input.stretch_percentiles;
        let ordered = 0.0 <= low && low < high && high <= 100.0;
        require(ordered, "input.stretch_percentiles", "must rise within 0 to 100".into())?;
        require(input.mean.iter().all(|mean| mean.is_finite()), "input.mean", "must be finite".into())?;
        let positive = input.std.iter().all(|std| std.is_finite() && *std > 0.0);
        require(positive, "input.std", "must be positive".into())?;

        for (profile, calibration) in self.profiles.iter() {
            let entry = |name: &str| format!("profiles.{}.{name}", profile.name());
            let Scaling { temperature, bias } = calibration.scaling;
            let usable = temperature.is_finite() && temperature > 0.0;
            require(usable, &entry("scaling.temperature"), "must be positive".into())?;
            require(bias.iter().all(|bias| bias.is_finite()), &entry("scaling.bias"), "must be finite".into())?;
            let within = (0.0..=1.0).contains(&calibration.ood_above);
            require(within, &entry("unfamiliar_above"), "must be 0 to 1".into())?;
            let points = &calibration.operating_points;
            let same = points.keys().eq(self.profiles.digital.operating_points.keys());
            require(same, &entry("operating_points"), "must have the names that profiles.digital has".into())?;
            let default = &calibration.default_operating_point;
            let known = points.contains_key(default);
            require(known, &entry("default_operating_point"), format!("is {default:?}, which is not defined"))?;
            for (name, point) in points {
                for (threshold, value) in
                    [("covid19_at_least", point.covid19_at_least), ("refer_below", point.refer_below)]
                {
                    let entry = entry(&format!("operating_points.{name}.{threshold}"));
                    require((0.0..=1.0).contains(&value), &entry, "must be a probability".into())?;
                }
            }
        }
        Ok(())
    }
}

/// A file of the bundle in `folder`: a regular one, of at most `limit` bytes.
fn read(folder: &Path, name: &str, limit: u64) -> Result<Vec<u8>, BundleError> {
    let path = folder.join(name);
    input_file::read(&path, limit).map_err(|cause| BundleError::Read { path, cause })
}

/// The first entry of a table or list whose number is NaN or infinite, with dots between tables and places. It is empty
/// if `value` itself is such a number.
pub fn not_finite(value: &toml::Value) -> Option<String> {
    let within = |entry: String, value: &toml::Value| {
        let below = not_finite(value)?;
        Some(if below.is_empty() { entry } else { format!("{entry}.{below}") })
    };
    match value {
        toml::Value::Float(number) => (!number.is_finite()).then(String::new),
        toml::Value::Array(values) => {
            values.iter().enumerate().find_map(|(place, value)| within(place.to_string(), value))
        }
        toml::Value::Table(table) => table.iter().find_map(|(key, value)| within(key.clone(), value)),
        _ => None,
    }
}

/// A verified bundle: its files are those the manifest was made for.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The checked manifest.
    pub manifest: Manifest,
    /// The ONNX file.
    pub model: Cow<'static, [u8]>,
    /// What frontal chest films look like.
    pub ood: OodModel,
}

impl Bundle {
    /// Reads and verifies the bundle in the folder `dir`. Each file is read once.
    ///
    /// # Errors
    /// As [`Manifest::load`] and [`Bundle::verify`].
    pub fn load(dir: &Path) -> Result<Bundle, BundleError> {
        let manifest = Manifest::load(dir)?;
        let model = read(dir, &manifest.model, MAX_MODEL_BYTES)?;
        let ood = read(dir, &manifest.ood.file, MAX_OOD_BYTES)?;
        Bundle::verify(manifest, model.into(), &ood, &dir.display().to_string())
    }

    /// A bundle from the contents of its files: the checked manifest, the ONNX network and the OOD model as JSON.
    /// `origin` names the bundle in errors.
    ///
    /// # Errors
    /// A file's SHA-256 is not the one in the manifest, or the OOD model is not usable.
    pub fn verify(
        manifest: Manifest,
        model: Cow<'static, [u8]>,
        ood: &[u8],
        origin: &str,
    ) -> Result<Bundle, BundleError> {
        let space = &manifest.ood;
        for (file, bytes, wanted) in [(&manifest.model, &*model, &manifest.sha256), (&space.file, ood, &space.sha256)] {
            let found = sha256_hex(bytes);
            if found != *wanted {
                return Err(BundleError::Hash {
                    origin: origin.into(),
                    file: file.clone(),
                    found,
                    wanted: wanted.clone(),
                });
            }
        }
        let fault = |problem: String| BundleError::Entry { origin: origin.into(), entry: space.file.clone(), problem };
        let ood: OodModel = serde_json::from_slice(ood).map_err(|error| fault(format!("is no OOD model: {error}")))?;
        if let Some(problem) = ood.fault() {
            return Err(fault(format!("is no OOD model: {problem}")));
        }
        Ok(Bundle { manifest, model, ood })
    }
}

/// SHA-256 as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::testing::{shipped, shipped_folder};

    use super::*;

    fn manifest_text() -> String {
        fs::read_to_string(shipped_folder().join(MANIFEST_FILE)).unwrap()
    }

    fn parse(text: &str) -> Result<Manifest, BundleError> {
        Manifest::parse(text, "test")
    }

    #[test]
    fn the_built_in_bundle_verifies_and_survives_a_round_trip() {
        let manifest = shipped().manifest;
        assert_eq!(parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn sha256_of_the_standard_example() {
        // FIPS 180-4 example, "abc".
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    /// Each edit makes the manifest unusable; the error must name what is wrong.
    #[test]
    fn unusable_manifests_are_refused_by_name() {
        type Edit = fn(&mut Manifest);
        let edits: [(Edit, &str); 15] = [
            (|m| m.id = " ".into(), "id"),
            (|m| m.model = "../model.onnx".into(), "model"),
            (|m| m.sha256 = "abc".into(), "sha256"),
            (|m| m.ood.file = "/film-space.json".into(), "film_space.file"),
            (|m| m.ood.sha256.push('0'), "film_space.sha256"),
            (|m| m.labels.swap(0, 1), "labels"),
            (|m| m.input.size = 0, "input.size"),
            (|m| m.input.std[1] = 0.0, "input.std"),
            (|m| m.profiles.film.scaling.temperature = -1.0, "profiles.film.scaling.temperature"),
            (|m| m.profiles.film.scaling.bias[1] = f64::NAN, "profiles.film.scaling.bias"),
            (|m| m.profiles.film.ood_above = f64::NAN, "profiles.film.unfamiliar_above"),
            (|m| drop(m.metrics.insert("accuracy".into(), f64::NAN.into())), "metrics.accuracy"),
            (|m| drop(m.training.insert("rates".into(), vec![0.1, f64::INFINITY].into())), "training.rates.1"),
            (|m| m.profiles.screen.default_operating_point = "none".into(), "profiles.screen.default_operating_point"),
            (
                |m| m.profiles.film.operating_points.values_mut().for_each(|p| p.refer_below = 1.5),
                "profiles.film.operating_points.",
            ),
        ];
        for (edit, entry) in edits {
            let mut manifest = shipped().manifest;
            edit(&mut manifest);
            let text = toml::to_string_pretty(&manifest).unwrap();
            for error in [parse(&text).unwrap_err(), manifest.to_toml().unwrap_err()] {
                assert!(matches!(error, BundleError::Entry { .. }), "{error}");
                assert!(error.to_string().contains(entry), "{error}");
            }
        }
    }

    #[test]
    fn another_format_version_is_named_before_its_unknown_entries() {
        let version = |number: u32| format!("format_version = {number}\n");
        let text = manifest_text().replace(&version(FORMAT_VERSION), &(version(99) + "new_entry = 1\n"));
        assert!(matches!(parse(&text), Err(BundleError::FormatVersion { found: 99, .. })));
    }

    #[test]
    fn unknown_entries_and_other_text_are_refused() {
        for text in ["new_entry = 1\n".to_string() + &manifest_text(), "no manifest".into(), String::new()] {
            let error = parse(&text).unwrap_err();
            assert!(matches!(error, BundleError::Manifest { .. }) && !error.to_string().contains("\n."), "{error}");
        }
    }

    #[test]
    fn a_film_space_that_does_not_fit_is_refused() {
        let bundle = shipped();
        let ood_bytes = &*fs::read(shipped_folder().join(OOD_FILE)).unwrap();
        let verify = |bytes: &[u8], hash: String| {
            let mut manifest = bundle.manifest.clone();
            manifest.ood.sha256 = hash;
            Bundle::verify(manifest, bundle.model.clone(), bytes, "test")
        };
        assert!(verify(ood_bytes, sha256_hex(ood_bytes)).is_ok());
        assert!(matches!(verify(b"{}", sha256_hex(ood_bytes)), Err(BundleError::Hash { .. })));
        for bytes in [&b"{}"[..], b"", br#"{"mean":[0.5],"components":[]}"#] {
            let error = verify(bytes, sha256_hex(bytes)).unwrap_err();
            assert!(
                matches!(error, BundleError::Entry { .. }) && error.to_string().contains("film-space.json"),
                "{error}"
            );
        }
    }

    /// A folder in the place of each file of a bundle, and a file larger than its limit.
    #[test]
    fn the_files_of_a_bundle_are_regular_and_bounded() {
        for name in [MANIFEST_FILE, MODEL_FILE, OOD_FILE] {
            let folder = tempfile::TempDir::new().unwrap();
            for file in [MANIFEST_FILE, MODEL_FILE, OOD_FILE] {
                fs::copy(shipped_folder().join(file), folder.path().join(file)).unwrap();
            }
            let path = folder.path().join(name);
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            let error = Bundle::load(folder.path()).unwrap_err();
            assert!(matches!(error, BundleError::Read { cause: InputFileError::Directory, .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
            fs::remove_dir(&path).unwrap();
            fs::File::create(&path).unwrap().set_len(MAX_MODEL_BYTES + 1).unwrap();
            let error = Bundle::load(folder.path()).unwrap_err();
            assert!(matches!(error, BundleError::Read { cause: InputFileError::TooLarge { .. }, .. }), "{error}");
        }
    }

    #[test]
    fn the_operating_point_asked_for_holds_in_every_profile() {
        let manifest = shipped().manifest;
        let rules = manifest.rules(Some("confirm")).unwrap();
        for (profile, calibration) in manifest.profiles.iter() {
            let point = calibration.operating_points["confirm"];
            assert_ne!(point, calibration.operating_points[&calibration.default_operating_point]);
            let ProfileCalibration { scaling, ood_above, .. } = *calibration;
            assert_eq!(rules.get(profile), &Rule { name: "confirm".into(), scaling, ood_above, point });
        }
    }

    #[test]
    fn an_unknown_operating_point_names_those_there_are() {
        let manifest = shipped().manifest;
        let default = &manifest.profiles.film.default_operating_point;
        assert_eq!(&manifest.rules(None).unwrap().film.name, default);
        let error = manifest.rules(Some("no-such-point")).unwrap_err().to_string();
        assert!(error.contains("no-such-point") && error.contains(default.as_str()), "{error}");
    }
}

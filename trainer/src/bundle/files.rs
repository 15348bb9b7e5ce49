//! The files of a bundle: reading the weights, and writing all files so that a bundle is valid at any moment.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use xray_triage_core::atomic_file;
use xray_triage_core::bundle::{BundleFile, MANIFEST_FILE, MODEL_FILE, Manifest, OOD_FILE, not_finite, sha256_hex};
use xray_triage_core::ood::OodModel;

use crate::model::architecture::Architecture;
use crate::model::state_dict::StateDict;

use super::BundlingError;

/// The file name of a bundle's weights: a checkpoint in half floats, to export again or to go on training from.
pub const WEIGHTS_FILE: &str = "weights.safetensors";

/// Reads a checkpoint as it ships: its architecture, and its values rounded to half floats.
///
/// # Errors
/// The file cannot be read, or does not name its architecture.
pub fn read_checkpoint(path: &Path) -> Result<(Architecture, StateDict), BundlingError> {
    let state = StateDict::load(path)?;
    let architecture = state.metadata.get("architecture").ok_or_else(|| BundlingError::NoArchitecture(path.into()))?;
    let architecture = serde_json::from_str(architecture)
        .map_err(|source| BundlingError::Architecture { path: path.into(), source })?;
    Ok((architecture, state.rounded_to_half()))
}

/// Puts figures into the manifest of a bundle under `name`. `measured` is the manifest of the bundle that was measured.
///
/// # Errors
/// The manifest in the folder is of another network, out-of-distribution model or calibration than `measured`; a figure
/// is NaN or infinite; or the file cannot be read or written.
pub fn record_metrics(
    folder: &Path,
    measured: &Manifest,
    name: &str,
    metrics: toml::Table,
) -> Result<(), BundlingError> {
    let mut manifest = Manifest::load(folder)?;
    let judges = |manifest: &Manifest| (manifest.sha256.clone(), manifest.ood.clone(), manifest.profiles.clone());
    if judges(&manifest) != judges(measured) {
        return Err(BundlingError::Changed(folder.into()));
    }
    manifest.metrics.insert(name.into(), toml::Value::Table(metrics));
    let text = manifest_text(folder, &manifest)?;
    write(&folder.join(MANIFEST_FILE), text.as_bytes())
}

/// Writes a bundle's manifest with the network (where it is new) and the out-of-distribution model that it is to name, and
/// sets their names and hashes in it. Stopped at any moment, the folder holds the old bundle, if there was one, or the new
/// one.
///
/// # Errors
/// A figure is not usable, or a file cannot be written.
pub(super) fn write_bundle(
    folder: &Path,
    manifest: &mut Manifest,
    model: Option<&[u8]>,
    ood: &OodModel,
) -> Result<(), BundlingError> {
    if let Some(fault) = ood.fault() {
        return Err(BundlingError::OodModel(fault));
    }
    let path = folder.join(OOD_FILE);
    let ood = serde_json::to_vec(ood).map_err(|error| BundlingError::Encode { path, reason: error.to_string() })?;
    let mut files = vec![NewFile { name: OOD_FILE, sha256: sha256_hex(&ood), bytes: &ood }];
    manifest.ood = BundleFile { file: OOD_FILE.into(), sha256: files[0].sha256.clone() };
    if let Some(model) = model {
        files.push(NewFile { name: MODEL_FILE, sha256: sha256_hex(model), bytes: model });
        (manifest.model, manifest.sha256) = (MODEL_FILE.into(), files[1].sha256.clone());
    }
    for step in steps(folder, manifest, &files)? {
        take(folder, &step)?;
    }
    Ok(())
}

/// A file that a new manifest names.
pub(super) struct NewFile<'a> {
    /// Its usual name, which the new manifest has.
    pub name: &'static str,
    pub sha256: String,
    pub bytes: &'a [u8],
}

impl NewFile<'_> {
    /// A name that the old bundle does not use, with the start of the hash.
    fn staged_name(&self) -> String {
        format!("{}-{}", &self.sha256[..16], self.name)
    }
}

/// One step of changing a bundle. No step leaves a file half written.
pub(super) enum Step<'a> {
    /// Writes a file of the bundle's folder.
    Write { name: String, bytes: Cow<'a, [u8]> },
    /// Removes a file of the bundle's folder if it is there.
    Remove { name: String },
}

/// The steps that replace the bundle in a folder.
///
/// The old bundle has the usual file names, and its manifest names the hashes of its files. So the new files are first
/// written under other names, and a manifest that names these makes the bundle the new one. Nothing needs the old files
/// any more then: the new files go to the usual names as well, and the manifest is written again with these.
pub(super) fn steps<'a>(
    folder: &Path,
    manifest: &Manifest,
    files: &[NewFile<'a>],
) -> Result<Vec<Step<'a>>, BundlingError> {
    let write = |name: String, file: &NewFile<'a>| Step::Write { name, bytes: Cow::Borrowed(file.bytes) };
    let write_manifest = |manifest: &Manifest| -> Result<Step<'a>, BundlingError> {
        let text = manifest_text(folder, manifest)?;
        Ok(Step::Write { name: MANIFEST_FILE.into(), bytes: Cow::Owned(text.into_bytes()) })
    };
    let finish = files.iter().map(|file| write(file.name.into(), file)).chain([write_manifest(manifest)?]);
    if !folder.join(MANIFEST_FILE).exists() {
        return Ok(finish.collect());
    }

    let mut staged = manifest.clone();
    for file in files {
        let name = if file.name == OOD_FILE { &mut staged.ood.file } else { &mut staged.model };
        *name = file.staged_name();
    }
    let mut steps: Vec<Step> = files.iter().map(|file| write(file.staged_name(), file)).collect();
    steps.push(write_manifest(&staged)?);
    steps.extend(finish);
    // Nothing needs the staged files of this change any more, nor those of an earlier one that was stopped.
    let mut staged_names: BTreeSet<String> = files.iter().map(NewFile::staged_name).collect();
    staged_names.extend(names(folder)?.into_iter().filter(|name| is_staged(name)));
    staged_names.retain(|name| *name != manifest.ood.file && *name != manifest.model);
    steps.extend(staged_names.into_iter().map(|name| Step::Remove { name }));
    Ok(steps)
}

/// The names of what is in a folder.
fn names(folder: &Path) -> Result<Vec<String>, BundlingError> {
    let entries = std::fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let entries = entries.map_err(|source| BundlingError::Io { path: folder.into(), source })?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Whether a name is one that [`NewFile::staged_name`] gives.
fn is_staged(name: &str) -> bool {
    let usual = name.split_at_checked(17).filter(|(hash, _)| hash.ends_with('-')).map(|(_, usual)| usual);
    usual.is_some_and(|usual| [MODEL_FILE, OOD_FILE].contains(&usual))
}

/// Takes a step, and puts it on the disk before the next one.
pub(super) fn take(folder: &Path, step: &Step) -> Result<(), BundlingError> {
    match step {
        Step::Write { name, bytes } => write(&folder.join(name), bytes)?,
        Step::Remove { name } => {
            let path = folder.join(name);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(BundlingError::Io { path, source });
                }
                _ => {}
            }
        }
    }
    atomic_file::sync_folder(folder).map_err(|source| BundlingError::Io { path: folder.into(), source })
}

/// The text of a manifest, which the device will accept.
fn manifest_text(folder: &Path, manifest: &Manifest) -> Result<String, BundlingError> {
    let path = folder.join(MANIFEST_FILE);
    let text = toml_text(&path, manifest)?;
    Manifest::parse(&text, &folder.display().to_string())?;
    Ok(text)
}

/// Writes a value as TOML, and makes the file's folder if it is not there.
///
/// # Errors
/// A number is NaN or infinite, or the file cannot be written.
pub(super) fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), BundlingError> {
    let text = toml_text(path, value)?;
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    write(path, text.as_bytes())
}

fn toml_text(path: &Path, value: &impl Serialize) -> Result<String, BundlingError> {
    let encode = |error: toml::ser::Error| BundlingError::Encode { path: path.into(), reason: error.to_string() };
    if let Some(entry) = not_finite(&toml::Value::try_from(value).map_err(encode)?) {
        return Err(BundlingError::NotFinite { path: path.into(), entry });
    }
    toml::to_string_pretty(value).map_err(encode)
}

/// Makes a folder, and those that it lies in, unless they are there.
pub(super) fn create_folder(folder: &Path) -> Result<(), BundlingError> {
    std::fs::create_dir_all(folder).map_err(|source| BundlingError::Io { path: folder.into(), source })
}

/// Writes a whole file or none.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), BundlingError> {
    atomic_file::write(path, bytes).map_err(|source| BundlingError::Io { path: path.into(), source })
}

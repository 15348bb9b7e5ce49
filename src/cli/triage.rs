//! `xray-triage triage`: judges picture files.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use log::{error, info};
use xray_triage_core::DISCLAIMER;
use xray_triage_core::image_file;

use crate::ui::screens;

use super::failure::Failure;
use super::output::{print_json, print_record};
use super::{CAM_ENDING, JudgeArgs, ProfileChoice, UNREADABLE, pictures, set_up};

#[derive(Args)]
pub struct TriageArgs {
    /// Pictures (JPEG or PNG), or folders of pictures.
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    /// How the pictures were taken.
    #[arg(long, value_enum, default_value_t = ProfileChoice::Auto)]
    profile: ProfileChoice,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Draw film, activation map and verdict as PNG. OUT is the file to write for a single FILE, otherwise a folder.
    #[arg(long, value_name = "OUT")]
    cam: Option<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// Judges the pictures that the arguments name, and prints a record of each.
pub fn run(args: &TriageArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let jobs = list(&args.inputs);
    let targets = match &args.cam {
        Some(cam) => cam_targets(cam, args, &jobs)?,
        None => vec![None; jobs.len()],
    };
    let pipeline = set_up(&args.judge, args.profile)?;

    let mut unreadable = false;
    for (job, target) in jobs.iter().zip(targets) {
        let (record, picture) = match job {
            Job::Film(path) => {
                let assessment = pipeline.assess_file(path);
                let picture = target.and_then(|target| Some((target, screens::picture(&assessment)?)));
                (assessment.record, picture)
            }
            Job::Unusable(fault) => {
                (pipeline.fault(fault.folder().display().to_string(), fault.code(), fault.to_string()), None)
            }
        };
        if let Some(error) = &record.error {
            unreadable = true;
            error!("{error}");
        }
        if args.json { print_json(&record, out) } else { print_record(&record, out) }.map_err(Failure::Stdout)?;
        if let Some((path, picture)) = picture {
            image_file::write_png(&path, &picture).map_err(|cause| Failure::Cam { path: path.clone(), cause })?;
            info!("wrote {}", path.display());
        }
    }
    if !args.json {
        writeln!(out, "Model {}. {DISCLAIMER}", pipeline.model().id).map_err(Failure::Stdout)?;
    }
    Ok(if unreadable { UNREADABLE.into() } else { ExitCode::SUCCESS })
}

/// Something that the user asked to be judged.
enum Job {
    /// A file that should be a picture.
    Film(PathBuf),
    /// A folder that gives no pictures.
    Unusable(FolderError),
}

/// Why a folder gives no pictures. The message says what to do.
#[derive(Debug, thiserror::Error)]
enum FolderError {
    #[error("{}: the folder has no .jpg, .jpeg or .png file. Name another", folder.display())]
    Empty { folder: PathBuf },
    #[error("{}: the folder cannot be read: {cause}. Check its permissions", folder.display())]
    Unreadable { folder: PathBuf, cause: io::Error },
}

impl FolderError {
    fn folder(&self) -> &Path {
        match self {
            FolderError::Empty { folder } | FolderError::Unreadable { folder, .. } => folder,
        }
    }

    /// The reason's code in the record.
    fn code(&self) -> &'static str {
        match self {
            FolderError::Empty { .. } => "empty_folder",
            FolderError::Unreadable { .. } => "unreadable_folder",
        }
    }
}

/// What the arguments ask to be judged: files as they are named, and for a folder the pictures in it.
fn list(inputs: &[PathBuf]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            jobs.push(Job::Film(input.clone()));
            continue;
        }
        match pictures(input) {
            Ok(pictures) if pictures.is_empty() => {
                jobs.push(Job::Unusable(FolderError::Empty { folder: input.clone() }));
            }
            Ok(pictures) => jobs.extend(pictures.into_iter().map(Job::Film)),
            Err(cause) => jobs.push(Job::Unusable(FolderError::Unreadable { folder: input.clone(), cause })),
        }
    }
    jobs
}

/// The path of each job's CAM picture. If the pictures go into a folder, it is made.
fn cam_targets(cam: &Path, args: &TriageArgs, jobs: &[Job]) -> Result<Vec<Option<PathBuf>>, Failure> {
    let single = matches!(&args.inputs[..], [input] if !input.is_dir()) && !cam.is_dir();
    if !single {
        fs::create_dir_all(cam).map_err(|cause| Failure::Cam { path: cam.into(), cause })?;
    }
    let films: HashSet<PathBuf> = jobs
        .iter()
        .filter_map(|job| match job {
            Job::Film(path) => path.canonicalize().ok(),
            Job::Unusable(_) => None,
        })
        .collect();
    let mut taken = HashSet::new();
    jobs.iter()
        .map(|job| {
            let Job::Film(film) = job else { return Ok(None) };
            let target = if single { cam.to_path_buf() } else { free_target(cam, film, &mut taken) };
            match target.canonicalize() {
                Ok(target) if films.contains(&target) => Err(Failure::CamOverFilm(target)),
                _ => Ok(Some(target)),
            }
        })
        .collect()
}

/// The path `<stem>.cam.png` in `folder`; from the second film of the same stem on, the stem gets a number.
fn free_target(folder: &Path, film: &Path, taken: &mut HashSet<PathBuf>) -> PathBuf {
    let stem = film.file_stem().unwrap_or_default();
    let name = |number: usize| {
        let mut name = OsString::from(stem);
        if number > 1 {
            name.push(format!("-{number}"));
        }
        name.push(CAM_ENDING);
        folder.join(name)
    };
    let mut number = 1;
    while !taken.insert(name(number)) {
        number += 1;
    }
    name(number)
}

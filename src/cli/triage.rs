//! `xray-triage triage`: judges picture files.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use log::{error, info};
use xray_triage_core::DISCLAIMER;
use xray_triage_core::image_file;

use crate::ui::screens;

use super::{CAM_ENDING, Failure, JudgeArgs, ProfileChoice, UNREADABLE, pictures, print, print_json, set_up};

#[derive(Args)]
pub struct TriageArgs {
    /// Pictures (JPEG, PNG), or folders of pictures.
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    /// How the pictures were taken.
    #[arg(long, value_enum, default_value_t = ProfileChoice::Auto)]
    profile: ProfileChoice,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Draw film, activation map and verdict as PNG: the file to write for a single FILE, else a folder.
    #[arg(long, value_name = "OUT")]
    cam: Option<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
}

/// Judges what the arguments name and prints a record each.
pub fn triage(args: &TriageArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let jobs = list(&args.inputs);
    let targets = match &args.cam {
        Some(cam) => cam_targets(cam, args, &jobs)?,
        None => vec![None; jobs.len()],
    };
    let triage = set_up(&args.judge, args.profile)?;

    let mut unreadable = false;
    for (job, target) in jobs.iter().zip(targets) {
        let (record, picture) = match job {
            Job::Film(path) => {
                let assessment = triage.assess_file(path);
                let picture = target.and_then(|target| Some((target, screens::picture(&assessment)?)));
                (assessment.record, picture)
            }
            Job::Fault { path, code, error } => (triage.fault(path.display().to_string(), code, error.clone()), None),
        };
        if let Some(error) = &record.error {
            unreadable = true;
            error!("{error}");
        }
        if args.json { print_json(&record, out) } else { print(&record, out) }.map_err(Failure::Stdout)?;
        if let Some((path, picture)) = picture {
            image_file::write_png(&path, &picture).map_err(|source| Failure::Cam { path: path.clone(), source })?;
            info!("wrote {}", path.display());
        }
    }
    if !args.json {
        writeln!(out, "Model {}. {DISCLAIMER}", triage.model().id).map_err(Failure::Stdout)?;
    }
    Ok(if unreadable { UNREADABLE.into() } else { ExitCode::SUCCESS })
}

/// Something the user asked to be judged.
enum Job {
    /// A file that should be a picture.
    Film(PathBuf),
    /// A folder without pictures.
    Fault { path: PathBuf, code: &'static str, error: String },
}

/// The pictures meant by the arguments: files as they are, folders as their pictures by name, not those of folders
/// within.
fn list(inputs: &[PathBuf]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            jobs.push(Job::Film(input.clone()));
            continue;
        }
        match pictures(input) {
            Ok(pictures) if pictures.is_empty() => jobs.push(Job::Fault {
                path: input.clone(),
                code: "empty_folder",
                error: format!("{}: the folder has no .jpg, .jpeg or .png file. Name another", input.display()),
            }),
            Ok(pictures) => jobs.extend(pictures.into_iter().map(Job::Film)),
            Err(error) => jobs.push(Job::Fault {
                path: input.clone(),
                code: "unreadable_folder",
                error: format!("{}: the folder cannot be read: {error}. Check its permissions", input.display()),
            }),
        }
    }
    jobs
}

/// Where each job's CAM picture goes. Makes the folder if there is to be one.
fn cam_targets(cam: &Path, args: &TriageArgs, jobs: &[Job]) -> Result<Vec<Option<PathBuf>>, Failure> {
    let single = matches!(&args.inputs[..], [input] if !input.is_dir()) && !cam.is_dir();
    if !single {
        fs::create_dir_all(cam).map_err(|source| Failure::Cam { path: cam.into(), source })?;
    }
    let films: HashSet<PathBuf> = jobs
        .iter()
        .filter_map(|job| match job {
            Job::Film(path) => path.canonicalize().ok(),
            Job::Fault { .. } => None,
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

/// `<stem>.cam.png` in `folder`; films of the same stem get a number.
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

//! `trainer report`.

use std::path::{Path, PathBuf};

use clap::Args;
use trainer::bundle;
use trainer::data::dataset::Manifest;
use trainer::disk::{self, at};
use trainer::report::cam_sheet::{self, SheetFilm};
use trainer::report::card::{self, Facts};
use trainer::report::document;
use trainer::report::measurements::Measurements;
use trainer::report::run::Run;
use xray_triage_core::bundle::Bundle;
use xray_triage_core::image_file;

use super::{AnyError, files};

/// The model card's file name in a bundle.
const CARD_FILE: &str = "MODEL_CARD.md";
/// The endings of a folder's files that are taken for measurements.
const MEASUREMENT_ENDINGS: [&str; 2] = ["json", "jsonl"];

/// Write a report on a bundle, a page of HTML with plots, and its model card, from saved measurements.
///
/// Measurements are what `trainer evaluate`, `localize`, `ood` and `compare`, and for speed `xray-triage triage`, print with
/// --json. Measurements of other weights are refused. What is not there is said to be not measured. docs/guide/report.md has
/// the commands.
#[derive(Args)]
pub struct ReportArgs {
    /// The bundle's folder. MODEL_CARD.md is written into it.
    #[arg(long)]
    bundle: PathBuf,
    /// Saved measurements, or folders of them (*.json, *.jsonl). The name of a file of times stands for the machine.
    #[arg(long, alias = "measurements", required = true, num_args = 1..)]
    records: Vec<PathBuf>,
    /// The page of HTML that is written.
    #[arg(long)]
    out: PathBuf,
    /// The split whose measurements are shown.
    #[arg(long, default_value = "test")]
    split: String,
    /// Folders of training runs whose curves are shown.
    #[arg(long, num_args = 1..)]
    run: Vec<PathBuf>,
    /// Other models to compare with: bundles, or float checkpoints (a run's folder, for its best weights, or a file of
    /// weights). Their activation maps are shown side by side.
    #[arg(long, num_args = 1..)]
    beside: Vec<PathBuf>,
    /// Films to show with their activation maps: pictures of the film alone and upright, or folders of them.
    ///
    /// The films become part of the page: whoever gets the page gets the films. Name only films that you may pass on, such
    /// as NIH's (ChestX-ray8: no restrictions, attribution asked for), or keep the page to yourself.
    #[arg(long, num_args = 1..)]
    maps_of: Vec<PathBuf>,
    /// Films of a data set to show with the activation maps of their class, by image_id. What --maps-of says of passing them
    /// on holds for these, too.
    #[arg(long, num_args = 1.., requires = "manifest")]
    maps_of_id: Vec<String>,
    /// The manifest of the data set for --maps-of-id.
    #[arg(long)]
    manifest: Option<PathBuf>,
    /// Threads for the networks.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub fn report(args: ReportArgs) -> Result<(), AnyError> {
    let reported = Bundle::load(&args.bundle)?;
    let beside = args.beside.iter().map(|path| bundle::open(path, None)).collect::<Result<Vec<_>, _>>()?;
    let bundles: Vec<&Bundle> = std::iter::once(&reported).chain(&beside).collect();
    let models: Vec<_> = bundles.iter().map(|bundle| &bundle.manifest).collect();
    let measurements = Measurements::read(&measurement_files(&args.records)?, &models)?;
    let runs = args.run.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>, _>>()?;

    let mut films = pictures(&args.maps_of)?;
    if let Some(manifest) = &args.manifest {
        films.extend(films_of(manifest, &args.maps_of_id)?);
    }
    let sheet = match films.is_empty() {
        true => None,
        false => Some(cam_sheet::sheet(&bundles, &films, args.threads)?),
    };

    let facts =
        Facts { bundle: &reported, beside: models[1..].to_vec(), split: &args.split, measurements, runs, sheet };
    let parts = card::report(&facts)?;
    let card = args.bundle.join(CARD_FILE);
    write(&card, &document::to_markdown(&parts))?;
    write(&args.out, &document::to_html(&format!("Report on {}", reported.manifest.id), &parts))?;
    println!("wrote {} and {}", args.out.display(), card.display());
    Ok(())
}

/// The files that were named, and of folders those that may be measurements by their ending.
fn measurement_files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, AnyError> {
    let mut measurements = files(arguments)?;
    let looks_right =
        |file: &Path| file.extension().is_some_and(|end| MEASUREMENT_ENDINGS.iter().any(|known| end == *known));
    measurements.retain(|file| arguments.contains(file) || looks_right(file));
    if measurements.is_empty() {
        return Err("no .json or .jsonl file in the folders given by --records; see docs/guide/report.md".into());
    }
    Ok(measurements)
}

/// Films of which only the picture is known.
fn pictures(arguments: &[PathBuf]) -> Result<Vec<SheetFilm>, AnyError> {
    let film = |file: PathBuf| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(SheetFilm { name, class: None, picture: image_file::read(&file)? })
    };
    files(arguments)?.into_iter().map(film).collect()
}

/// Films of a manifest, in the order of `ids`.
fn films_of(manifest: &Path, ids: &[String]) -> Result<Vec<SheetFilm>, AnyError> {
    let all = Manifest::read(manifest)?;
    let film = |id: &String| {
        let film = all.film(id).ok_or_else(|| format!("{}: there is no film {id}", manifest.display()))?;
        Ok(SheetFilm { name: film.image_id.clone(), class: Some(film.label), picture: image_file::read(&film.path)? })
    };
    ids.iter().map(film).collect()
}

fn write(path: &Path, text: &str) -> Result<(), AnyError> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(at(path))?;
    Ok(disk::write(path, text.as_bytes())?)
}

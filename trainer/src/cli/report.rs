//! `trainer report`.

use std::path::{Path, PathBuf};

use clap::Args;
use trainer::bundle;
use trainer::data::dataset::Manifest;
use trainer::disk::{self, at};
use trainer::report::cam_sheet::{self, SheetFilm};
use trainer::report::card::{self, Facts};
use trainer::report::document;
use trainer::report::measurements::Records;
use trainer::report::run::Run;
use xray_triage_core::bundle::Bundle;
use xray_triage_core::image_file;

use super::{AnyError, files};

/// The model card's file name in a bundle.
const CARD_FILE: &str = "MODEL_CARD.md";
/// Endings of the files of a folder that are taken for records.
const RECORD_ENDINGS: [&str; 2] = ["json", "jsonl"];

/// Write a page of HTML with plots about a bundle, and its model card, from saved measurements.
///
/// Measurements are what `trainer evaluate`, `localize` and `foreign`, and for speed `xray-triage triage`, print with --json.
/// Those of other weights are refused; what is not there is said to be not measured. docs/guide/report.md has the commands.
#[derive(Args)]
pub struct ReportArgs {
    /// The bundle's folder; MODEL_CARD.md is written into it.
    #[arg(long)]
    bundle: PathBuf,
    /// Saved measurements, or folders of them (*.json, *.jsonl). The name of a file of times stands for the machine.
    #[arg(long, required = true, num_args = 1..)]
    records: Vec<PathBuf>,
    /// The page.
    #[arg(long)]
    out: PathBuf,
    /// The split that is reported.
    #[arg(long, default_value = "test")]
    split: String,
    /// Folders of training runs, for their curves.
    #[arg(long, num_args = 1..)]
    run: Vec<PathBuf>,
    /// Others to compare with, their maps side by side: bundles, or float checkpoints (a run's folder, for its best
    /// weights, or the file).
    #[arg(long, num_args = 1..)]
    beside: Vec<PathBuf>,
    /// Films to show with their activation maps: pictures of the film alone and upright, or folders of them.
    ///
    /// They become part of the page: whoever gets it gets the films. Name only films that you may pass on, such as NIH's
    /// (ChestX-ray8: no restrictions, attribution asked for), or keep the page to yourself.
    #[arg(long, num_args = 1..)]
    maps_of: Vec<PathBuf>,
    /// The same for films of a manifest, by image_id: their maps are those of their class.
    #[arg(long, num_args = 1.., requires = "manifest")]
    maps_of_id: Vec<String>,
    /// Where --maps-of-id looks.
    #[arg(long)]
    manifest: Option<PathBuf>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub fn report(args: ReportArgs) -> Result<(), AnyError> {
    let reported = Bundle::load(&args.bundle)?;
    let beside = args.beside.iter().map(|path| bundle::open(path, None)).collect::<Result<Vec<_>, _>>()?;
    let bundles: Vec<&Bundle> = std::iter::once(&reported).chain(&beside).collect();
    let models: Vec<_> = bundles.iter().map(|bundle| &bundle.manifest).collect();
    let records = Records::read(&record_files(&args.records)?, &models)?;
    let runs = args.run.iter().map(|folder| Run::read(folder)).collect::<Result<Vec<_>, _>>()?;

    let mut films = pictures(&args.maps_of)?;
    if let Some(manifest) = &args.manifest {
        films.extend(films_of(manifest, &args.maps_of_id)?);
    }
    let sheet = match films.is_empty() {
        true => None,
        false => Some(cam_sheet::sheet(&bundles, &films, args.threads)?),
    };

    let facts = Facts { bundle: &reported, beside: models[1..].to_vec(), split: &args.split, records, runs, sheet };
    let parts = card::report(&facts)?;
    let card = args.bundle.join(CARD_FILE);
    write(&card, &document::to_markdown(&parts))?;
    write(&args.out, &document::to_html(&format!("Report on {}", reported.manifest.id), &parts))?;
    println!("wrote {} and {}", args.out.display(), card.display());
    Ok(())
}

/// The files named, and those of folders that look like records.
fn record_files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, AnyError> {
    let mut records = files(arguments)?;
    let looks_right =
        |file: &Path| file.extension().is_some_and(|end| RECORD_ENDINGS.iter().any(|known| end == *known));
    records.retain(|file| arguments.contains(file) || looks_right(file));
    if records.is_empty() {
        return Err("no .json or .jsonl file in the folders given by --records; see docs/guide/report.md".into());
    }
    Ok(records)
}

/// Films of which no more than the picture is known.
fn pictures(arguments: &[PathBuf]) -> Result<Vec<SheetFilm>, AnyError> {
    let film = |file: PathBuf| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(SheetFilm { name, class: None, picture: image_file::read(&file)? })
    };
    files(arguments)?.into_iter().map(film).collect()
}

/// Films of a manifest, in the order asked for.
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

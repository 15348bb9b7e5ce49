//! `trainer prepare`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use trainer::data::prepare::source::{ClassFolder, Source};
use trainer::data::prepare::split::Shares;
use trainer::data::prepare::{self, Encoding, Options};

use super::AnyError;

/// Make a data set of public collections and of your own films: one label and one copy of each film, each patient in
/// one split.
///
/// See docs/guide/prepare-data.md.
#[derive(Args)]
#[command(group = ArgGroup::new("sources").required(true).multiple(true))]
pub struct PrepareArgs {
    /// The data set's folder: pictures, manifest.csv, dropped.csv.
    #[arg(long)]
    out: PathBuf,
    /// A manifest in our format; its films keep their splits.
    #[arg(long, group = "sources")]
    manifest: Vec<PathBuf>,
    /// A folder with the folders covid19, pneumonia and normal, or what --class names.
    #[arg(long, group = "sources")]
    folders: Vec<PathBuf>,
    /// A folder in those of --folders that is a class's though it does not bear its name, as FOLDER=LABEL, for instance
    /// COVID/images=covid19. May be given several times.
    #[arg(long, value_name = "FOLDER=LABEL", requires = "folders")]
    class: Vec<ClassFolder>,
    /// covid-chestxray-dataset: metadata.csv and images/.
    #[arg(long, group = "sources")]
    cohen: Option<PathBuf>,
    /// Figure1-COVID-chestxray-dataset: metadata.csv and images/.
    #[arg(long, group = "sources")]
    figure1: Option<PathBuf>,
    /// Actualmed-COVID-chestxray-dataset: metadata.csv and images/.
    #[arg(long, group = "sources")]
    actualmed: Option<PathBuf>,
    /// NIH ChestX-ray14: Data_Entry_2017_v2020.csv and the pictures in any folders.
    #[arg(long, group = "sources")]
    nih: Option<PathBuf>,
    /// RSNA Pneumonia Detection Challenge: stage_2_detailed_class_info.csv and stage_2_train_images/ (DICOM).
    #[arg(long, group = "sources")]
    rsna: Option<PathBuf>,
    /// Shares of train, val and test, percent.
    #[arg(long, default_value_t = Shares::PAPER)]
    splits: Shares,
    /// Draws which patient comes into which split.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw new splits for the films of manifests, too.
    #[arg(long)]
    resplit: bool,
    /// Longest side of a picture, pixels; smaller ones are not enlarged.
    #[arg(long, default_value_t = 640, value_parser = clap::value_parser!(u32).range(1..))]
    longest_side: u32,
    #[arg(long, value_enum, default_value_t = Encoding::Jpeg)]
    encoding: Encoding,
    /// Go on where a class has no film, for a set to evaluate on.
    #[arg(long)]
    allow_missing_class: bool,
}

pub fn prepare(args: PrepareArgs) -> Result<(), AnyError> {
    let mut sources: Vec<Source> = args.manifest.into_iter().map(Source::Manifest).collect();
    sources.extend(args.folders.into_iter().map(Source::Folders));
    sources.extend(args.cohen.map(Source::Cohen));
    sources.extend(args.figure1.map(Source::Figure1));
    sources.extend(args.actualmed.map(Source::Actualmed));
    sources.extend(args.nih.map(Source::Nih));
    sources.extend(args.rsna.map(Source::Rsna));
    let options = Options {
        shares: args.splits,
        seed: args.seed,
        longest_side: args.longest_side,
        encoding: args.encoding,
        resplit: args.resplit,
        allow_missing_class: args.allow_missing_class,
        class_folders: args.class,
    };
    print!("{}", prepare::prepare(&args.out, &sources, &options)?);
    Ok(())
}

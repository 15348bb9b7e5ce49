//! `trainer prepare`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use trainer::data::prepare::sources::{ClassFolder, Source};
use trainer::data::prepare::split::Shares;
use trainer::data::prepare::{self, Encoding, Options};

use super::AnyError;

/// The files that pictures are written to.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// JPEG, of the quality that --jpeg-quality gives.
    Jpeg,
    /// PNG, without loss.
    Png,
}

/// Make a data set of public collections and of your own films, with one label and one copy of each film, and each
/// patient in one split.
///
/// See docs/guide/prepare-data.md.
#[derive(Args)]
#[command(group = ArgGroup::new("sources").required(true).multiple(true))]
pub struct PrepareArgs {
    /// The data set's folder. It gets the pictures, manifest.csv and dropped.csv, and must be new or empty.
    #[arg(long)]
    out: PathBuf,
    /// A manifest in this project's format. Its films keep their splits.
    #[arg(long, group = "sources")]
    manifest: Vec<PathBuf>,
    /// A folder with the folders covid19, pneumonia and normal, or with those that --class names.
    #[arg(long, group = "sources")]
    folders: Vec<PathBuf>,
    /// The class of a folder, inside those of --folders, that does not have the class's name: FOLDER=LABEL, for instance
    /// COVID/images=covid19. May be given several times.
    #[arg(long, value_name = "FOLDER=LABEL", requires = "folders")]
    class: Vec<ClassFolder>,
    /// The folder of covid-chestxray-dataset, with metadata.csv and images/.
    #[arg(long, group = "sources")]
    cohen: Option<PathBuf>,
    /// The folder of Figure1-COVID-chestxray-dataset, with metadata.csv and images/.
    #[arg(long, group = "sources")]
    figure1: Option<PathBuf>,
    /// The folder of Actualmed-COVID-chestxray-dataset, with metadata.csv and images/.
    #[arg(long, group = "sources")]
    actualmed: Option<PathBuf>,
    /// The folder of NIH ChestX-ray14, with Data_Entry_2017_v2020.csv, and the pictures in any folders below it.
    #[arg(long, group = "sources")]
    nih: Option<PathBuf>,
    /// The folder of the RSNA Pneumonia Detection Challenge, with stage_2_detailed_class_info.csv and
    /// stage_2_train_images/ (DICOM).
    #[arg(long, group = "sources")]
    rsna: Option<PathBuf>,
    /// A table of what radiologists saw of films of the sources: with the columns film (an id or a file's name) and reading,
    /// or the four-reader labels for NIH films with Image Index and Airspace opacity. May be given several times.
    #[arg(long)]
    readings: Vec<PathBuf>,
    /// Shares of train, val and test in percent.
    #[arg(long, default_value_t = Shares::PAPER)]
    splits: Shares,
    /// Decides which patient comes into which split.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also draw new splits for the films of manifests.
    #[arg(long)]
    resplit: bool,
    /// Longer side of a written picture, pixels. Smaller pictures keep their size.
    #[arg(long, default_value_t = 640, value_parser = clap::value_parser!(u32).range(1..))]
    longest_side: u32,
    /// How pictures are written.
    #[arg(long, value_enum, default_value_t = Format::Jpeg)]
    encoding: Format,
    /// The quality of JPEG files, 1 to 100.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    jpeg_quality: u8,
    /// Go on where a class has no film. The set is then good for evaluation only.
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
        encoding: match args.encoding {
            Format::Jpeg => Encoding::Jpeg { quality: args.jpeg_quality },
            Format::Png => Encoding::Png,
        },
        resplit: args.resplit,
        allow_missing_class: args.allow_missing_class,
        readings: args.readings,
        class_folders: args.class,
    };
    print!("{}", prepare::prepare(&args.out, &sources, &options)?);
    Ok(())
}

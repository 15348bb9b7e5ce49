//! `trainer calibrate`.

use std::path::PathBuf;

use clap::Args;
use trainer::bundle::ood::FilmDescriptions;
use trainer::bundle::probabilities;
use trainer::bundle::{self, Arithmetic};
use trainer::data::dataset::{self, Manifest};

use super::{AnyError, calibration_file};

/// Calibrate a bundle's probabilities, and set its operating points and its out-of-distribution threshold.
///
/// The out-of-distribution model is fitted on `train`. Scaling, operating points and the out-of-distribution threshold of
/// each capture profile are fitted on `val`. All of it is written into the bundle.
#[derive(Args)]
pub struct CalibrateArgs {
    /// The bundle's folder.
    #[arg(long)]
    bundle: PathBuf,
    /// The data set's manifest.
    #[arg(long)]
    manifest: PathBuf,
    /// The file that the result is also written to, with its origin. Without this flag it is
    /// calibration/BUNDLE/operating-points.toml, where BUNDLE is the name of the bundle's folder.
    #[arg(long)]
    operating_points: Option<PathBuf>,
    /// The network whose logits are fitted. The float one is many times faster on processors without int8
    /// instructions, and its probabilities are close to the int8 one's (see docs/design/export.md).
    #[arg(long, value_enum, default_value_t = Arithmetic::Int8)]
    network: Arithmetic,
    /// Threads for the network.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

pub fn calibrate(args: CalibrateArgs) -> Result<(), AnyError> {
    let manifest = Manifest::read(&args.manifest)?;
    let training_films = FilmDescriptions::of(&dataset::read_films(manifest.split("train")?)?.0);
    let (films, _) = dataset::read_films(manifest.split("val")?)?;
    dataset::check_classes("val", &films)?;
    let origin = args.operating_points.unwrap_or_else(|| calibration_file(&args.bundle, "operating-points.toml"));
    let manifest = bundle::calibrate(&args.bundle, &origin, &training_films, &films, args.network, args.threads)?;
    for (profile, calibration) in manifest.profiles.iter() {
        println!(
            "{}: temperature {:.3}, bias {}, out-of-distribution above {:.4}",
            profile.name(),
            calibration.scaling.temperature,
            probabilities::shown_bias(&calibration.scaling),
            calibration.ood_above
        );
        for (name, point) in &calibration.operating_points {
            println!("  {name}: {point}");
        }
    }
    Ok(())
}

//! `trainer simulate`.

use std::path::PathBuf;

use clap::Args;
use trainer::disk::at;
use trainer::simulate::{self, Effect, Effects};
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;

use super::AnyError;

/// Simulate a photograph of a film on a light box or on a screen, and print the film's true corners in it: x and y in
/// pixels, clockwise from the film's top left.
#[derive(Args)]
pub struct SimulateArgs {
    /// The digital film.
    film: PathBuf,
    /// The photograph. A PNG file has it as it is; a JPEG file codes it once more.
    out: PathBuf,
    #[arg(long, value_parser = super::profile_parser(), default_value = Profile::Film.name())]
    kind: Profile,
    /// How bad the photograph is in all respects, 0 to 4; only a negative it never is.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=4))]
    level: u8,
    /// Draw a level for each effect instead, mostly low ones.
    #[arg(long, conflicts_with = "level")]
    mix: bool,
    /// One effect's own level, NAME=LEVEL, for instance glare=3; can be repeated.
    #[arg(long = "effect", value_name = "NAME=LEVEL", value_parser = Effect::at_level)]
    effects: Vec<(Effect, u8)>,
    /// Write the true plate here, too: the sheet or picture as it is shown, a JPEG or PNG file.
    #[arg(long)]
    plate: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn simulate(args: SimulateArgs) -> Result<(), AnyError> {
    let simulate =
        simulate::simulator(args.kind).ok_or("a digital film needs no photograph; give --kind film or screen")?;
    let base = if args.mix { Effects::mixed(args.seed) } else { Effects::all(args.level) };
    let effects = args.effects.iter().fold(base, |effects, (effect, level)| effects.with(*effect, *level));
    let snapshot = simulate(&image_file::read(&args.film)?, &effects, args.seed);
    snapshot.photo.save(&args.out).map_err(at(&args.out))?;
    if let Some(path) = &args.plate {
        snapshot.plate.save(path).map_err(at(path))?;
    }
    println!("{}", snapshot.corners.map(|[x, y]| format!("{x:.1},{y:.1}")).join(" "));
    Ok(())
}

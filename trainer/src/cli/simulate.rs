//! `trainer simulate`.

use std::path::PathBuf;

use clap::Args;
use trainer::disk::at;
use trainer::simulate::{self, Effect, Effects, Mount};
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;

use super::AnyError;

/// Make a simulated photograph of a digital film on a light box or on a screen, and print the film's true corners in it:
/// x and y in pixels, clockwise from the film's top left.
#[derive(Args)]
pub struct SimulateArgs {
    /// The digital film, a JPEG or PNG file.
    film: PathBuf,
    /// Where the photograph goes. A PNG file has it as it is; a JPEG file codes it once more.
    out: PathBuf,
    /// What is photographed: a film on a light box, or a screen that shows the film.
    #[arg(long, value_parser = super::profile_parser(), default_value = Profile::Film.name())]
    kind: Profile,
    /// How bad the photograph is in all respects, 0 to 4. It is never a negative.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=4))]
    level: u8,
    /// Draw a level for each effect instead, mostly a low one.
    #[arg(long, conflicts_with = "level")]
    mix: bool,
    /// The level of one effect, as NAME=LEVEL, for instance glare=3. May be given several times.
    #[arg(long = "effect", value_name = "NAME=LEVEL", value_parser = Effect::at_level)]
    effects: Vec<(Effect, u8)>,
    /// How the film hangs on the light box: words with commas between them. `rail` is a rail over its upper edge; `top`,
    /// `right`, `bottom` and `left` are sides at which the panel ends with the film; `empty` is no film. The corners are
    /// then those of what is seen of the film.
    #[arg(long, value_name = "WORDS", value_parser = Mount::of_words)]
    mount: Option<Mount>,
    /// Also write the true rectified film here: the film as it is shown, straight and alone, a JPEG or PNG file.
    #[arg(long = "plate", value_name = "FILE")]
    rectified: Option<PathBuf>,
    /// Decides every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn simulate(args: SimulateArgs) -> Result<(), AnyError> {
    let simulate =
        simulate::simulator(args.kind).ok_or("a digital film needs no photograph; give --kind film or screen")?;
    let base = if args.mix { Effects::mixed(args.seed) } else { Effects::all(args.level) };
    let effects = args.effects.iter().fold(base, |effects, (effect, level)| effects.with(*effect, *level));
    let film = image_file::read(&args.film)?;
    let photograph = match &args.mount {
        None => simulate(&film, &effects, args.seed),
        Some(mount) if args.kind == Profile::Film => simulate::mounted_film(&film, &effects, args.seed, mount),
        Some(_) => return Err("--mount is for a light box; leave --kind out".into()),
    };
    photograph.photo.save(&args.out).map_err(at(&args.out))?;
    if let Some(path) = &args.rectified {
        photograph.rectified.save(path).map_err(at(path))?;
    }
    println!("{}", photograph.corners.map(|[x, y]| format!("{x:.1},{y:.1}")).join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};

    #[test]
    fn snapshot_is_the_same_command() {
        let folder = tempfile::tempdir().unwrap();
        let film = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/films/nih_00001872_004.jpg");
        let [new, old] = ["simulate", "snapshot"].map(|command| {
            let [photo, rectified] = ["photo", "film"].map(|name| folder.path().join(format!("{command}-{name}.png")));
            let arguments = ["trainer", command, film, photo.to_str().unwrap(), "--effect", "glare=3", "--seed", "7"];
            let cli = Cli::try_parse_from([&arguments[..], &["--plate", rectified.to_str().unwrap()]].concat());
            let Command::Simulate(args) = cli.unwrap().command else { panic!("`{command}` is another command") };
            super::simulate(args).unwrap();
            [photo, rectified].map(|path| std::fs::read(path).unwrap())
        });
        assert!(new == old && new[0] != new[1]);
    }
}

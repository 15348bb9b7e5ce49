//! The command line, with a module for each command.
//!
//! Results go to stdout, everything else goes to stderr through [`log`]. Exit code 0 means that every film got an outcome.
//! 1 means that some file could not be read, or that a check found a fault. 2 means wrong usage, a failed set-up, or
//! hardware that failed.

mod cases;
mod config;
mod doctor;
mod failure;
mod model;
mod output;
mod record;
mod run;
mod simulation;
mod triage;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use log::{LevelFilter, error, info};
use xray_triage_core::DISCLAIMER;
use xray_triage_core::bundle::{Bundle, BundleError};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::{Options, Pipeline};

use crate::embedded_model;

use failure::Failure;

/// Exit code: some file could not be read.
const UNREADABLE: u8 = 1;
/// Exit code: a check found something wrong.
const FINDINGS: u8 = 1;
/// Exit code: wrong usage or a failed set-up.
const SETUP: u8 = 2;

/// Ending of the pictures that `--cam` writes into a folder. They are left out when a folder's films are listed.
const CAM_ENDING: &str = ".cam.png";
/// Endings of the files of a folder that are taken for pictures, in lower case.
const PICTURE_EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Triage of chest X-ray films: covid19, pneumonia, normal, or refer. Research use only, not for diagnosis.
#[derive(Parser)]
#[command(name = "xray-triage", disable_version_flag = true, arg_required_else_help = true)]
struct Cli {
    /// Print the program's version and the built-in model's id.
    #[arg(short = 'V', long)]
    version: bool,
    /// Log errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log more; give it twice for details.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Judge pictures of films.
    Triage(triage::TriageArgs),
    /// Run the box: judge the film on the light box at each press of the button.
    Run(run::RunArgs),
    /// Record what the camera sends, for `run --simulate`.
    Record(record::RecordArgs),
    /// Check a model.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// List, show or check the cases of the case log.
    #[command(subcommand)]
    Cases(cases::CasesCommand),
    /// Check or show the box's settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check whether the box can work: camera, display, pins, model, storage, clock and the board itself.
    Doctor(doctor::DoctorArgs),
}

/// Arguments that decide a verdict, apart from the picture.
#[derive(Args)]
struct JudgeArgs {
    /// Use the model bundle in this folder instead of the built-in one.
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// Use the thresholds of this operating point [default: the bundle's default one for each profile].
    #[arg(long, value_name = "NAME")]
    operating_point: Option<String>,
    /// Run the network on this many threads, 1 to 64 [default: one for each processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileChoice {
    /// A film on a light box.
    Film,
    /// A photograph of a screen.
    Screen,
    /// A digital radiograph or a scan.
    Digital,
    /// Find out from each picture.
    Auto,
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is a success; a usage error goes to stderr. If it cannot be printed, the exit code
            // still says which it was.
            let _ = error.print();
            return if error.use_stderr() { SETUP.into() } else { ExitCode::SUCCESS };
        }
    };
    start_log(cli.quiet, cli.verbose);
    let is_box = matches!(cli.command, Some(Command::Run(_)));
    let mut stdout = io::stdout().lock();
    let done = match cli.command {
        _ if cli.version => version(&mut stdout),
        Some(Command::Triage(args)) => triage::run(&args, &mut stdout),
        Some(Command::Run(args)) => run::run(&args, &mut stdout),
        Some(Command::Record(args)) => record::run(&args, &mut stdout),
        Some(Command::Model(command)) => model::run(&command, &mut stdout),
        Some(Command::Cases(command)) => cases::run(&command, &mut stdout),
        Some(Command::Config(command)) => config::run(&command, &mut stdout),
        Some(Command::Doctor(args)) => doctor::run(&args, &mut stdout),
        None => Cli::command().error(clap::error::ErrorKind::MissingSubcommand, "no command given").exit(),
    };
    // The box's exit code says whether the board is to be switched off, so an output that nobody reads must not change it.
    let flushed = |code| if is_box { Ok(code) } else { stdout.flush().map(|()| code).map_err(Failure::Stdout) };
    match done.and_then(flushed) {
        Ok(code) => code,
        // Whoever read the output has closed it and wants no more.
        Err(Failure::Stdout(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            SETUP.into()
        }
    }
}

/// Starts logging to stderr, in lines such as `error: message`.
fn start_log(quiet: bool, verbose: u8) {
    let ours = match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, _) => LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(if verbose > 1 { LevelFilter::Warn } else { LevelFilter::Error })
        .filter_module("xray_triage", ours)
        .format(|out, record| writeln!(out, "{}: {}", record.level().as_str().to_lowercase(), record.args()))
        .init();
}

fn version(out: &mut impl Write) -> Result<ExitCode, Failure> {
    let model = embedded_model::bundle()?.manifest.id;
    writeln!(out, "xray-triage {}\nmodel {model}\n{DISCLAIMER}", env!("CARGO_PKG_VERSION")).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// Loads the bundle in a folder, or the built-in one.
fn load(bundle: Option<&Path>) -> Result<Bundle, BundleError> {
    bundle.map_or_else(embedded_model::bundle, Bundle::load)
}

/// Sets up the pipeline that the arguments ask for.
fn set_up(args: &JudgeArgs, profile: ProfileChoice) -> Result<Pipeline, Failure> {
    let defaults = Options::default();
    let options = Options {
        profile: match profile {
            ProfileChoice::Film => Some(Profile::Film),
            ProfileChoice::Screen => Some(Profile::Screen),
            ProfileChoice::Digital => Some(Profile::Digital),
            ProfileChoice::Auto => None,
        },
        operating_point: args.operating_point.clone(),
        threads: args.threads.map_or(defaults.threads, usize::from),
    };
    let pipeline = Pipeline::new(&load(args.model.as_deref())?, &options)?;
    info!("model {} on {} threads", pipeline.model().id, options.threads);
    Ok(pipeline)
}

/// The pictures in a folder, sorted by name, without those in folders within it and those that `--cam` wrote.
fn pictures(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let ours = path.to_string_lossy().ends_with(CAM_ENDING);
        if PICTURE_EXTENSIONS.contains(&extension.as_str()) && !ours && !path.is_dir() {
            pictures.push(path);
        }
    }
    pictures.sort();
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use clap::Command;
    use tempfile::TempDir;

    use crate::camera::PlaybackCamera;
    use crate::caselog::{CaseLog, CaseReader};
    use crate::config::Config;

    use super::*;

    /// The manual page's text, without its typefaces and with plain hyphens.
    fn manual() -> String {
        let page = include_str!("../packaging/xray-triage.1").replace("\\-", "-");
        ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, typeface| page.replace(typeface, ""))
    }

    /// What the manual page must have about a command: its flags, the names of its subcommands, and their flags.
    fn words(command: &Command) -> Vec<String> {
        let flags = command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?)));
        let below = command.get_subcommands().flat_map(|below| [vec![below.get_name().into()], words(below)].concat());
        flags.chain(below).collect()
    }

    fn has(text: &str, word: &str) -> bool {
        text.split(|letter: char| !letter.is_alphanumeric() && letter != '-').any(|found| found == word)
    }

    #[test]
    fn the_manual_page_has_every_command_and_flag_and_what_the_program_is_not_for() {
        let page = manual();
        let (general, commands) = page.split_once("\n.SH COMMANDS\n").expect("commands");
        let (commands, _) = commands.split_once("\n.SH ").expect("more after the commands");
        assert!(general.contains(DISCLAIMER));
        assert!(general.contains(&format!("xray-triage {}", env!("CARGO_PKG_VERSION"))));
        let mut sections: Vec<&str> = commands.split(".SS ").skip(1).collect();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let place = sections.iter().position(|section| section.split_whitespace().next() == Some(name));
            let section = sections.remove(place.unwrap_or_else(|| panic!("{name} is missing")));
            for word in words(command) {
                assert!(has(section, &word), "{name} lacks {word}: {section}");
            }
        }
        assert!(sections.is_empty(), "no such commands: {sections:?}");
        for flag in ["--quiet", "--verbose", "--version", "--help"] {
            assert!(has(general, flag), "{flag}");
        }
    }

    /// Every kind of failure that can be provoked here, as the program would print it: each with the words of its cause,
    /// and the path if there is one.
    #[test]
    fn a_failure_is_printed_with_its_cause_and_no_phrase_twice() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).map(|()| path(name)).unwrap();
        let nowhere = path("nowhere");
        let missing = || io::Error::from(ErrorKind::NotFound);
        let settings = |text: &str| Config::read(&write("config.toml", text)).unwrap_err();
        let wrong_network = {
            let mut bundle = embedded_model::bundle().unwrap();
            bundle.model = b"no network"[..].into();
            Pipeline::new(&bundle, &Options::default()).err().unwrap()
        };
        let unknown_point =
            embedded_model::bundle().unwrap().manifest.rules(Some("no-such-point")).map(drop).unwrap_err();
        let broken_bundle = path("bundle");
        fs::create_dir(&broken_bundle).unwrap();
        write("bundle/manifest.toml", "not a manifest");
        write("frames.jsonl", "{\"at_ms\":0}\n");
        fs::create_dir(path("log")).unwrap();
        symlink("cases.sqlite", path("log/cases.sqlite")).unwrap();
        let in_the_way = write("in-the-way", "");

        let failures: [(Failure, &str); 15] = [
            (Failure::Stdout(missing()), "entity not found"),
            (Config::read(&nowhere).unwrap_err().into(), "No such file"),
            (settings("[camera]\nwidht = 640\n").into(), "unknown field"),
            (settings("[camera]\nwidth = 0\n").into(), "camera.width is 0"),
            (load(Some(&nowhere)).unwrap_err().into(), "no such file"),
            (load(Some(&broken_bundle)).unwrap_err().into(), "the manifest is not valid"),
            (unknown_point.into(), "no operating point `no-such-point`"),
            (wrong_network.into(), "the network"),
            (CaseReader::open(&nowhere).unwrap_err().into(), "no case log"),
            (CaseReader::open(&path("log")).unwrap_err().into(), "unable to open database file"),
            (CaseLog::open(&in_the_way).unwrap_err().into(), "Not a directory"),
            (PlaybackCamera::open(folder.path()).err().unwrap().into(), "line 1: missing field"),
            (Failure::Cam { path: nowhere.clone(), cause: missing() }, "entity not found"),
            (Failure::SimulatedButton { path: nowhere.clone(), cause: missing() }, "entity not found"),
            (Failure::SimulatedCamera { path: nowhere.clone(), cause: missing() }, "entity not found"),
        ];
        for (failure, cause) in failures {
            let printed = failure.to_string();
            assert_eq!(printed.matches(cause).count(), 1, "{cause}: {printed}");
            assert!(printed.matches(folder.path().to_str().unwrap()).count() <= 1, "{printed}");
            let words: Vec<&str> = printed.split_whitespace().collect();
            for (place, phrase) in words.windows(4).enumerate() {
                let again = words[place + 1..].windows(4).any(|other| other == phrase);
                assert!(!again, "{phrase:?} stands twice: {printed}");
            }
        }
    }
}

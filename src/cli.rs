//! The command line, a module for each command.
//!
//! Results go to stdout, everything else through [`log`] to stderr. Exit codes: 0 every film got an outcome, 1 some
//! file could not be read, or a check found a fault, 2 usage or set-up error, or hardware that failed.

mod cases;
mod config;
mod doctor;
mod model;
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
use serde::Serialize;
use xray_triage_core::DISCLAIMER;
use xray_triage_core::bundle::{Bundle, BundleError};
use xray_triage_core::decision::{Class, Probabilities};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::{Options, Pipeline, SetupError};
use xray_triage_core::record::Record;

use crate::appliance::ApplianceError;
use crate::camera::CameraError;
use crate::caselog::CaseLogError;
use crate::config::ConfigError;
use crate::embedded_model;

/// Some file could not be read.
const UNREADABLE: u8 = 1;
/// A check found something wrong.
const FINDINGS: u8 = 1;
/// Usage or set-up error.
const SETUP: u8 = 2;

/// Ending of the pictures `--cam` writes into a folder. A folder's films are listed without them.
const CAM_ENDING: &str = ".cam.png";
const PICTURE_EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Triage of chest X-ray films: covid19, pneumonia, normal, or refer. Research use only, not for diagnosis.
#[derive(Parser)]
#[command(name = "xray-triage", disable_version_flag = true, arg_required_else_help = true)]
struct Cli {
    /// Print version and model.
    #[arg(short = 'V', long)]
    version: bool,
    /// Log errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Log more; twice for details.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Judge film pictures.
    Triage(triage::TriageArgs),
    /// Be the box: judge the film on the light box whenever the button is pressed.
    Run(run::RunArgs),
    /// Record what the camera sends, for `run --simulate`.
    Record(record::RecordArgs),
    /// Look after models.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Look into the case log.
    #[command(subcommand)]
    Cases(cases::CasesCommand),
    /// Look at the box's settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look whether the box can work: camera, display, pins, model, storage, clock and the board itself.
    Doctor(doctor::DoctorArgs),
}

/// What decides a verdict, beside the picture.
#[derive(Args)]
struct JudgeArgs {
    /// Model bundle (a folder) to use instead of the built-in one.
    #[arg(long, value_name = "BUNDLE")]
    model: Option<PathBuf>,
    /// Thresholds to use [default: the bundle's choice for each profile].
    #[arg(long, value_name = "NAME")]
    operating_point: Option<String>,
    /// Threads for the network, 1 to 64 [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: Option<u8>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileChoice {
    /// Photograph of a film on a light box.
    Film,
    /// Photograph of a screen.
    Screen,
    /// Digital radiograph.
    Digital,
    /// Find out.
    Auto,
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is success, a usage error to stderr. If neither can be written to, the exit
            // code is all there is to say.
            let _ = error.print();
            return if error.use_stderr() { SETUP.into() } else { ExitCode::SUCCESS };
        }
    };
    start_log(cli.quiet, cli.verbose);
    let is_box = matches!(cli.command, Some(Command::Run(_)));
    let mut stdout = io::stdout().lock();
    let done = match cli.command {
        _ if cli.version => version(&mut stdout),
        Some(Command::Triage(args)) => triage::triage(&args, &mut stdout),
        Some(Command::Run(args)) => run::run(&args, &mut stdout),
        Some(Command::Record(args)) => record::run(&args, &mut stdout),
        Some(Command::Model(command)) => model::run(&command, &mut stdout),
        Some(Command::Cases(command)) => cases::run(&command, &mut stdout),
        Some(Command::Config(command)) => config::run(&command, &mut stdout),
        Some(Command::Doctor(args)) => doctor::run(&args, &mut stdout),
        None => Cli::command().error(clap::error::ErrorKind::MissingSubcommand, "no command given").exit(),
    };
    // The box ends as its button or a signal says, whoever reads: its exit code switches the board off or does not.
    let flushed = |code| if is_box { Ok(code) } else { stdout.flush().map(|()| code).map_err(Failure::Stdout) };
    match done.and_then(flushed) {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(Failure::Stdout(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            SETUP.into()
        }
    }
}

/// What ends the program with exit code 2.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("cannot write {}: {source}. Choose another place with --cam", path.display())]
    Cam { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    CaseLog(#[from] CaseLogError),
    #[error("the box cannot go on: {0}")]
    Appliance(#[from] ApplianceError),
    #[error("cannot simulate with {}: {reason}", path.display())]
    Simulation { path: PathBuf, reason: String },
    #[error("--cam {} would overwrite a film. Choose another name", .0.display())]
    CamOverFilm(PathBuf),
    #[error(transparent)]
    Camera(#[from] CameraError),
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        Failure::Setup(error.into())
    }
}

/// Log lines to stderr as `level: message`.
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

fn load(bundle: Option<&Path>) -> Result<Bundle, BundleError> {
    bundle.map_or_else(embedded_model::bundle, Bundle::load)
}

/// The judgement that the arguments ask for.
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
    let triage = Pipeline::new(&load(args.model.as_deref())?, &options)?;
    info!("model {} on {} threads", triage.model().id, options.threads);
    Ok(triage)
}

/// The pictures of a folder by name, not those of folders within, nor those `--cam` wrote.
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

/// One JSON value and the end of the line.
fn print_json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// All probabilities in percent, in one line.
fn shares(probabilities: &Probabilities) -> String {
    Class::ALL.map(|class| format!("{} {:.1} %", class.label(), 100.0 * probabilities.of(class))).join(", ")
}

fn print(record: &Record, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n  {}: {}", record.file, record.outcome.headline(), record.outcome.meaning())?;
    if let Some(probabilities) = &record.probabilities {
        writeln!(out, "  {}", shares(probabilities))?;
    }
    if let (Some(profile), Some(point), Some(thresholds)) = (record.profile, &record.operating_point, record.thresholds)
        && record.probabilities.is_some()
    {
        writeln!(out, "  profile {}, operating point {point}: {thresholds}", profile.name())?;
    }
    for advice in &record.advice {
        writeln!(out, "  {advice}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// The manual page as it is read, near enough: without its typefaces, hyphens as they are typed.
    fn manual() -> String {
        let page = include_str!("../packaging/xray-triage.1").replace("\\-", "-");
        ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, typeface| page.replace(typeface, ""))
    }

    /// What must stand about a command: the names of those below it, and the flags of all.
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
}

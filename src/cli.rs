//! The command line: `xray-triage triage`, `xray-triage run`, `xray-triage model`.
//!
//! Results go to stdout, everything else through [`log`] to stderr. Exit codes: 0 every film got an outcome, 1 some
//! file could not be read, 2 usage or set-up error, or hardware that failed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use log::{LevelFilter, error, info, warn};

use crate::appliance::{self, ApplianceError, Hardware};
use crate::bundle::{self, Bundle, BundleError};
use crate::camera::{self, CameraError, SimulatedCamera};
use crate::display::{self, NoDisplay, SimulatedDisplay};
use crate::film::Profile;
use crate::panel::{self, PanelError, Pins, SimulatedPanel};
use crate::pipeline::{Options, Record, SetupError, Triage};
use crate::triage::Class;
use crate::{DISCLAIMER, overlay, picture};

/// Some file could not be read.
const UNREADABLE: u8 = 1;
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
    Triage(TriageArgs),
    /// Be the box: judge the film on the light box whenever the button is pressed.
    Run(RunArgs),
    /// Look after models.
    #[command(subcommand)]
    Model(ModelCommand),
}

#[derive(Args)]
struct TriageArgs {
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

#[derive(Args)]
struct RunArgs {
    /// No hardware: this folder's pictures in turn for the camera, screen.cam.png in it for the display, the Enter key
    /// for the button, the log (-v) for the LEDs.
    #[arg(long, value_name = "DIR")]
    simulate: Option<PathBuf>,
    /// The camera.
    #[arg(long, value_name = "DEVICE", default_value = "/dev/video0")]
    camera: PathBuf,
    /// The display's framebuffer. Without one the LEDs and the records have to do.
    #[arg(long, value_name = "DEVICE", default_value = "/dev/fb0")]
    display: PathBuf,
    /// GPIO number (BCM) of the button, which connects it to ground.
    #[arg(long, value_name = "GPIO", default_value_t = 17)]
    button_pin: u8,
    /// GPIO number of the LED that says: ready.
    #[arg(long, value_name = "GPIO", default_value_t = 27)]
    ready_pin: u8,
    /// GPIO number of the LED that asks for attention.
    #[arg(long, value_name = "GPIO", default_value_t = 22)]
    attention_pin: u8,
    /// How the pictures are taken.
    #[arg(long, value_enum, default_value_t = ProfileChoice::Film)]
    profile: ProfileChoice,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    judge: JudgeArgs,
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

#[derive(Subcommand)]
enum ModelCommand {
    /// Check a bundle, and that its network loads; print its id and hashes.
    Verify {
        /// The bundle's folder [default: the built-in model].
        bundle: Option<PathBuf>,
    },
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
    let mut stdout = io::stdout().lock();
    let done = match cli.command {
        _ if cli.version => version(&mut stdout),
        Some(Command::Triage(args)) => triage(&args, &mut stdout),
        Some(Command::Run(args)) => run(&args, &mut stdout),
        Some(Command::Model(ModelCommand::Verify { bundle })) => verify(bundle.as_deref(), &mut stdout),
        None => Cli::command().error(clap::error::ErrorKind::MissingSubcommand, "no command given").exit(),
    };
    match done.and_then(|code| stdout.flush().map(|()| code).map_err(Failure::Stdout)) {
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
    Camera(#[from] CameraError),
    #[error(transparent)]
    Panel(#[from] PanelError),
    #[error("cannot simulate with {}: {reason}. Name a folder of pictures", path.display())]
    Simulation { path: PathBuf, reason: String },
    #[error("--cam {} would overwrite a film. Choose another name", .0.display())]
    CamOverFilm(PathBuf),
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
    let model = Bundle::embedded()?.manifest.id;
    writeln!(out, "xray-triage {}\nmodel {model}\n{DISCLAIMER}", env!("CARGO_PKG_VERSION")).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn load(bundle: Option<&Path>) -> Result<Bundle, BundleError> {
    bundle.map_or_else(Bundle::embedded, Bundle::load)
}

fn verify(dir: Option<&Path>, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let bundle = load(dir)?;
    Triage::new(&bundle, &Options { threads: 1, ..Options::default() })?;
    let manifest = &bundle.manifest;
    writeln!(out, "id {}\nsha256 {}\nformat {}", manifest.id, manifest.sha256, manifest.format_version)
        .map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// The judgement that the arguments ask for.
fn set_up(args: &JudgeArgs, profile: ProfileChoice) -> Result<Triage, Failure> {
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
    let triage = Triage::new(&load(args.model.as_deref())?, &options)?;
    info!("model {} on {} threads", triage.model().id, options.threads);
    Ok(triage)
}

fn run(args: &RunArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let mut hardware = match &args.simulate {
        Some(folder) => simulated(folder)?,
        None => Hardware {
            camera: camera::open(&args.camera)?,
            display: display::open(&args.display).unwrap_or_else(|error| {
                warn!("{error}. Going on without a display");
                Box::new(NoDisplay)
            }),
            panel: panel::open(Pins { button: args.button_pin, ready: args.ready_pin, attention: args.attention_pin })?,
        },
    };
    let triage = set_up(&args.judge, args.profile)?;
    let report = |record: &Record| {
        if args.json { print_json(record, out) } else { print(record, out) }.and_then(|()| out.flush())
    };
    appliance::run(&triage, &mut hardware, report).map_err(|error| match error {
        ApplianceError::Panel(error) => Failure::Panel(error),
        ApplianceError::Report(error) => Failure::Stdout(error),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn simulated(folder: &Path) -> Result<Hardware, Failure> {
    let unusable = |reason: String| Failure::Simulation { path: folder.into(), reason };
    let pictures = pictures(folder).map_err(|error| unusable(error.to_string()))?;
    let camera =
        SimulatedCamera::new(pictures).ok_or_else(|| unusable("it has no .jpg, .jpeg or .png file".to_string()))?;
    Ok(Hardware {
        camera: Box::new(camera),
        display: Box::new(SimulatedDisplay::new(&folder.join(format!("screen{CAM_ENDING}")))),
        panel: Box::new(SimulatedPanel::new(io::stdin().lock())),
    })
}

fn triage(args: &TriageArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
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
                let picture = target.and_then(|target| Some((target, overlay::draw(&assessment)?)));
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
            picture::write_png(&path, &picture).map_err(|source| Failure::Cam { path: path.clone(), source })?;
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

fn print_json(record: &Record, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    writeln!(out)
}

fn print(record: &Record, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n  {}: {}", record.file, record.outcome.headline(), record.outcome.meaning())?;
    if let Some(probabilities) = &record.probabilities {
        let shares = Class::ALL.map(|class| format!("{} {:.1} %", class.label(), 100.0 * probabilities.of(class)));
        writeln!(out, "  {}", shares.join(", "))?;
    }
    if let (Some(profile), Some(point), Some(thresholds)) = (record.profile, &record.operating_point, record.thresholds)
        && record.probabilities.is_some()
    {
        writeln!(out, "  profile {}, operating point {point}: {thresholds}", bundle::profile_name(profile))?;
    }
    for advice in &record.advice {
        writeln!(out, "  {advice}")?;
    }
    writeln!(out)
}

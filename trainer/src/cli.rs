//! The command line: subcommands and their arguments.

mod ablation;
mod calibrate;
mod compare;
mod export;
mod measure;
mod prepare;
mod probe;
mod report;
mod simulate;
mod train;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use xray_triage_core::film::Profile;

type AnyError = Box<dyn std::error::Error>;

/// Trains, measures and exports the network of xray-triage. Research use only, not for diagnosis.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Prepare(prepare::PrepareArgs),
    Train(train::TrainArgs),
    Export(export::ExportArgs),
    Calibrate(calibrate::CalibrateArgs),
    Evaluate(measure::EvaluateArgs),
    Compare(compare::CompareArgs),
    Ablation(ablation::AblationArgs),
    Localize(measure::LocalizeArgs),
    #[command(alias = "foreign")]
    Ood(measure::OodArgs),
    Probe(probe::ProbeArgs),
    Report(report::ReportArgs),
    #[command(alias = "snapshot")]
    Simulate(simulate::SimulateArgs),
    Dump(export::DumpArgs),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("trainer=info,warn")).init();
    let outcome = match Cli::parse().command {
        Command::Prepare(args) => prepare::prepare(args),
        Command::Train(args) => train::train(args),
        Command::Export(args) => export::export(args),
        Command::Calibrate(args) => calibrate::calibrate(args),
        Command::Evaluate(args) => measure::evaluate(args),
        Command::Compare(args) => compare::compare(args),
        Command::Ablation(args) => ablation::ablation(args),
        Command::Localize(args) => measure::localize(args),
        Command::Ood(args) => measure::ood(args),
        Command::Probe(args) => probe::probe(args),
        Command::Report(args) => report::report(args),
        Command::Simulate(args) => simulate::simulate(args),
        Command::Dump(args) => export::dump(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trainer: {error}");
            ExitCode::from(2)
        }
    }
}

/// Reads a capture profile by its [`Profile::name`].
fn profile_parser() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(Profile::ALL.map(Profile::name))
        .try_map(|name| Profile::named(&name).ok_or("there is no such profile"))
}

/// Prints a measurement as one JSON object, or as text for people.
fn print_measurement<T>(measurement: &T, json: bool) -> Result<(), AnyError>
where
    T: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Display,
{
    match json {
        true => println!("{}", trainer::measure::to_json(measurement)?),
        false => print!("{measurement}"),
    }
    Ok(())
}

/// The files that arguments stand for. A folder stands for all files in it, by name.
fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, AnyError> {
    let mut files = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            files.push(argument.clone());
            continue;
        }
        let entries = std::fs::read_dir(argument)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>());
        let mut entries = entries.map_err(|error| format!("{}: {error}", argument.display()))?;
        entries.retain(|entry| entry.is_file());
        entries.sort();
        files.extend(entries);
    }
    Ok(files)
}

/// Where a command writes the origin of a bundle's figures unless it is told another place: `calibration/BUNDLE/`, with the
/// name of the bundle's folder.
fn calibration_file(bundle: &Path, file: &str) -> PathBuf {
    let folder = bundle.canonicalize().unwrap_or_else(|_| bundle.into());
    Path::new("calibration").join(folder.file_name().unwrap_or_default()).join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_names_of_commands_still_work() {
        for name in ["ood", "foreign"] {
            let arguments = ["trainer", name, "--bundle", "b", "--manifest", "m", "pictures"];
            let command = Cli::try_parse_from(arguments).unwrap().command;
            assert!(matches!(command, Command::Ood(_)), "{name}");
        }
    }

    #[test]
    fn origins_go_to_a_folder_of_the_bundles_name() {
        let file = Path::new("calibration/mine-2/quantization.toml");
        assert_eq!(calibration_file(Path::new("models/mine-2"), "quantization.toml"), file);
        assert_eq!(calibration_file(Path::new("models/mine-2/"), "quantization.toml"), file);
        let here = calibration_file(Path::new("."), "quantization.toml");
        assert_eq!(here.components().count(), 3, "the folder one stands in has a name: {}", here.display());
    }
}

//! `xray-triage cases`: looks into the case log.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{FINDINGS, Failure, print_json, shares};
use crate::caselog::{Case, CaseId, CaseReader, Findings};
use crate::config::Config;
use crate::triage::Class;

#[derive(Subcommand)]
pub enum CasesCommand {
    /// List the cases, the newest first.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show one case and its files.
    Show {
        /// Its number, such as 123 or 000123.
        id: CaseId,
        #[command(flatten)]
        place: Place,
    },
    /// Check that the log is whole and every case's files are there and readable.
    Check {
        #[command(flatten)]
        place: Place,
    },
}

/// Which case log, and how to print.
#[derive(Args)]
pub struct Place {
    /// The case log's folder [default: storage.folder of the settings].
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    folder: Option<PathBuf>,
    /// Settings file that names the folder [default: /etc/xray-triage/config.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON: an object a line.
    #[arg(long)]
    json: bool,
}

impl Place {
    fn open(&self) -> Result<CaseReader, Failure> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => Config::load(self.config.as_deref())?.storage.folder,
        };
        Ok(CaseReader::open(&folder)?)
    }
}

/// Does what the command says.
pub fn run(command: &CasesCommand, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    match command {
        CasesCommand::List { place } => {
            let cases = place.open()?.cases()?;
            cases.iter().try_for_each(|case| if place.json { print_json(case, out) } else { line(case, out) })
        }
        CasesCommand::Show { id, place } => {
            let case = place.open()?.case(*id)?;
            if place.json { print_json(&case, out) } else { show(&case, out) }
        }
        CasesCommand::Check { place } => {
            let findings = place.open()?.check()?;
            if !findings.problems.is_empty() {
                code = FINDINGS.into();
            }
            if place.json { print_json(&findings, out) } else { report(&findings, out) }
        }
    }
    .map_err(Failure::Stdout)?;
    Ok(code)
}

fn line(case: &Case, out: &mut impl Write) -> io::Result<()> {
    let why = case.reasons.join(", ");
    let text = format!("{}  {}  {:<9}  {:>7}  {why}", case.id, taken(case), case.outcome, top_share(case));
    writeln!(out, "{}", text.trim_end())
}

/// When the case was taken, with a mark if the clock had not been set.
fn taken(case: &Case) -> String {
    let doubt = if case.clock_unset { '?' } else { ' ' };
    format!("{}{doubt}", case.taken)
}

/// The probability of the most probable class.
fn top_share(case: &Case) -> String {
    let top = Class::ALL.into_iter().find(|class| case.top.as_deref() == Some(class.label()));
    match (top, case.probabilities) {
        (Some(top), Some(probabilities)) => format!("{:.1} %", 100.0 * probabilities.of(top)),
        _ => String::new(),
    }
}

fn show(case: &Case, out: &mut impl Write) -> io::Result<()> {
    let doubt = if case.clock_unset { " (the clock had not been set)" } else { "" };
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let file = |path: &Option<PathBuf>| path.as_ref().map_or("none".into(), |path| path.display().to_string());
    writeln!(out, "case             {}", case.id)?;
    writeln!(out, "taken            {}{doubt}", case.taken)?;
    writeln!(out, "outcome          {}", case.outcome)?;
    if let Some(probabilities) = case.probabilities {
        writeln!(out, "probabilities    {}", shares(&probabilities))?;
    }
    if !case.reasons.is_empty() {
        writeln!(out, "reasons          {}", case.reasons.join(", "))?;
    }
    writeln!(out, "profile          {}", or_none(&case.profile))?;
    writeln!(out, "operating point  {}", or_none(&case.operating_point))?;
    writeln!(out, "model            {} {}", case.model_id, case.model_sha256)?;
    writeln!(out, "program          {}", case.version)?;
    writeln!(out, "plate            {}", file(&case.plate))?;
    writeln!(out, "activation maps  {}", file(&case.cam))
}

fn report(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    for problem in &findings.problems {
        writeln!(out, "{problem}")?;
    }
    for file in &findings.unfinished {
        writeln!(out, "{}: of an unfinished capture; removed when the box starts", file.display())?;
    }
    writeln!(out, "{} cases, {} problems", findings.cases, findings.problems.len())
}

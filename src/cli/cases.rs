//! `xray-triage cases`: lists, shows and checks the cases of the case log.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use xray_triage_core::decision::Class;

use crate::caselog::{Case, CaseId, CaseReader, Findings};
use crate::config::Config;

use super::FINDINGS;
use super::failure::Failure;
use super::output::{in_percent, print_json};

#[derive(Subcommand)]
pub enum CasesCommand {
    /// List the cases, the newest first.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Show one case and its files.
    Show {
        /// The case's number, such as 123 or 000123.
        id: CaseId,
        #[command(flatten)]
        place: Place,
    },
    /// Check the log's database, and that every case's files are there and readable.
    Check {
        #[command(flatten)]
        place: Place,
    },
}

/// Arguments that say which case log is meant, and how to print.
#[derive(Args)]
pub struct Place {
    /// The case log's folder [default: the settings' storage.folder].
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    folder: Option<PathBuf>,
    /// The settings file that names the folder [default: /etc/xray-triage/config.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object per line.
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

/// Runs the command.
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

/// Prints a case in one line.
fn line(case: &Case, out: &mut impl Write) -> io::Result<()> {
    let why = case.reasons.join(", ");
    let text = format!("{}  {}  {:<9}  {:>16}  {why}", case.id, taken(case), case.outcome, share(case));
    writeln!(out, "{}", text.trim_end())
}

/// When the case was taken, with a question mark if the clock had not been set.
fn taken(case: &Case) -> String {
    let doubt = if case.clock_unset { '?' } else { ' ' };
    format!("{}{doubt}", case.taken)
}

/// The probability of the outcome's class; for a referred film, the most probable class and its probability.
fn share(case: &Case) -> String {
    let Some(probabilities) = case.probabilities else { return String::new() };
    let percent = |class| format!("{:.1} %", 100.0 * probabilities.of(class));
    match Class::ALL.into_iter().find(|class| class.label() == case.outcome) {
        Some(class) => percent(class),
        None => format!("{} {}", probabilities.top().label(), percent(probabilities.top())),
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
        writeln!(out, "probabilities    {}", in_percent(&probabilities))?;
    }
    if !case.reasons.is_empty() {
        writeln!(out, "reasons          {}", case.reasons.join(", "))?;
    }
    writeln!(out, "profile          {}", or_none(&case.profile))?;
    writeln!(out, "operating point  {}", or_none(&case.operating_point))?;
    writeln!(out, "model            {} {}", case.model_id, case.model_sha256)?;
    writeln!(out, "program          {}", case.version)?;
    writeln!(out, "film             {}", file(&case.film))?;
    writeln!(out, "activation maps  {}", file(&case.cam))
}

fn report(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    for problem in &findings.problems {
        writeln!(out, "{problem}")?;
    }
    for file in &findings.unfinished {
        writeln!(
            out,
            "{}: belongs to an unfinished capture; the box removes it or sets it aside when it starts",
            file.display()
        )?;
    }
    writeln!(out, "{} cases, {} problems", findings.cases, findings.problems.len())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tempfile::TempDir;
    use xray_triage_core::decision::{Outcome, Probabilities};

    use crate::caselog::CaseLog;
    use crate::caselog::tests::assessment;

    use super::*;

    #[test]
    fn a_line_has_the_probability_of_its_outcome_and_names_the_class_of_another() {
        let folder = TempDir::new().unwrap();
        let mut log = CaseLog::open(folder.path()).unwrap();
        // From its threshold on, COVID-19 is the outcome even if pneumonia is more probable.
        for outcome in [Outcome::Covid19, Outcome::Refer] {
            let mut film = assessment(0);
            film.record.outcome = outcome;
            film.record.probabilities = Some(Probabilities { covid19: 0.375, pneumonia: 0.5, normal: 0.125 });
            log.add(&film, Timestamp::UNIX_EPOCH).unwrap();
        }
        let mut list = Vec::new();
        for case in CaseReader::open(folder.path()).unwrap().cases().unwrap() {
            line(&case, &mut list).unwrap();
        }
        let list = String::from_utf8(list).unwrap();
        let after_time: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().skip(2).collect()).collect();
        assert_eq!(after_time, [vec!["refer", "pneumonia", "50.0", "%"], vec!["covid19", "37.5", "%"]]);
    }
}

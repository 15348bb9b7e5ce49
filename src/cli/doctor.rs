//! `xray-triage doctor`: checks whether the box can work.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::Config;
use crate::doctor::{self, Check, Status};

use super::FINDINGS;
use super::failure::Failure;
use super::output::print_json;

#[derive(Args)]
pub struct DoctorArgs {
    /// The box's settings [default: /etc/xray-triage/config.toml if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print a JSON array with one object for each check.
    #[arg(long)]
    json: bool,
}

/// Makes every check and prints what it found.
pub fn run(args: &DoctorArgs, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let checks = doctor::examine(&Config::load(args.config.as_deref())?);
    if args.json { print_json(&checks, out) } else { table(&checks, out) }.map_err(Failure::Stdout)?;
    Ok(code(&checks).into())
}

/// The exit code: 0 if no check failed.
fn code(checks: &[Check]) -> u8 {
    if checks.iter().any(|check| check.status == Status::Failed) { FINDINGS } else { 0 }
}

fn table(checks: &[Check], out: &mut impl Write) -> io::Result<()> {
    for Check { name, status, found, advice } in checks {
        let word = match status {
            Status::Ok => "ok",
            Status::Warning => "WARNING",
            Status::Failed => "FAILED",
            Status::Skipped => "skipped",
        };
        writeln!(out, "{name:<12} {word:<8} {found}")?;
        if let Some(advice) = advice {
            writeln!(out, "{:<21} {advice}", "")?;
        }
    }
    let count = |wanted| checks.iter().filter(|check| check.status == wanted).count();
    writeln!(out, "{} failed, {} warnings", count(Status::Failed), count(Status::Warning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(statuses: &[Status]) -> Vec<Check> {
        let check = |&status| Check {
            name: "clock",
            status,
            found: "2026-03-01T12:00:00Z".into(),
            advice: matches!(status, Status::Warning | Status::Failed).then(|| "Set it".into()),
        };
        statuses.iter().map(check).collect()
    }

    #[test]
    fn only_a_failed_check_makes_the_exit_code_1() {
        use Status::{Failed, Ok, Skipped, Warning};
        assert_eq!(code(&checks(&[Ok, Skipped, Warning, Ok])), 0);
        assert_eq!(code(&checks(&[Ok, Failed, Warning])), 1);
    }

    #[test]
    fn the_table_has_a_line_for_each_check_and_one_for_what_to_do() {
        use Status::{Failed, Ok, Skipped, Warning};
        let mut table = Vec::new();
        super::table(&checks(&[Ok, Warning, Failed, Skipped]), &mut table).unwrap();
        assert_eq!(
            String::from_utf8(table).unwrap(),
            "clock        ok       2026-03-01T12:00:00Z\n\
             clock        WARNING  2026-03-01T12:00:00Z\n                      Set it\n\
             clock        FAILED   2026-03-01T12:00:00Z\n                      Set it\n\
             clock        skipped  2026-03-01T12:00:00Z\n\
             1 failed, 1 warnings\n"
        );
    }
}

//! Printing results.

use std::io::{self, Write};

use serde::Serialize;
use xray_triage_core::decision::{Class, Probabilities};
use xray_triage_core::record::Record;

/// Prints one JSON value and ends the line.
pub fn print_json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// Prints a film's record as text, with an empty line after it.
pub fn print_record(record: &Record, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}\n  {}: {}", record.file, record.outcome.headline(), record.outcome.meaning())?;
    if let Some(probabilities) = &record.probabilities {
        writeln!(out, "  {}", in_percent(probabilities))?;
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

/// All probabilities in percent, in one line.
pub fn in_percent(probabilities: &Probabilities) -> String {
    Class::ALL.map(|class| format!("{} {:.1} %", class.label(), 100.0 * probabilities.of(class))).join(", ")
}

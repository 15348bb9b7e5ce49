//! A report on a bundle: one page of HTML with plots, and a model card, both of the same measurements.
//!
//! The measurements are saved ones ([`measurements`]); only the sheet of activation maps ([`cam_sheet`]) runs a network. The
//! text is that of `card.md`; [`card`] fills in what was measured, and [`document`] makes the two files of it.

pub mod cam_sheet;
pub mod card;
pub mod document;
pub mod latency;
pub mod measurements;
pub mod plots;
pub mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use xray_triage_core::network::NetworkError;
use xray_triage_core::pipeline::SetupError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: not a usable record: {reason}. Give what `trainer evaluate`, `localize` or `foreign` or `xray-triage triage` \
         of this release prints with --json",
        path.display()
    )]
    NotARecord { path: PathBuf, reason: String },
    #[error(
        "{}: measured with model {id} ({sha256}), but the report is about {}. Measure again with that bundle, leave the \
         file out, or name its own bundle or checkpoint by --beside",
        path.display(),
        known.join(", ")
    )]
    ForeignModel { path: PathBuf, id: String, sha256: String, known: Vec<String> },
    #[error("{}: the same measurement is in another file already; leave one of the two out", .0.display())]
    Twice(PathBuf),
    #[error(
        "{}: not the epochs of a run ({source}); give a folder that `trainer train` wrote, or its metrics.csv",
        path.display()
    )]
    Run { path: PathBuf, source: csv::Error },
    #[error("{}: no epoch is finished yet; wait, or leave the run out", .0.display())]
    EmptyRun(PathBuf),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("{name}: {source}")]
    Film { name: String, source: NetworkError },
    #[error("a picture of the sheet cannot be coded: {0}")]
    Picture(#[from] image::ImageError),
    #[error("a plot cannot be drawn: {0}")]
    Plot(#[from] plots::PlotError),
}

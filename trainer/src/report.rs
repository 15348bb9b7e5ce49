//! A report on a bundle: one page of HTML with plots, and a model card. Both are made of the same measurements.
//!
//! The measurements were saved earlier ([`measurements`]). Only the sheet of activation maps ([`cam_sheet`]) runs a
//! network. The fixed text is in `card.md`; [`card`] fills in what was measured, and [`document`] makes the two files of
//! it.

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
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file holds no measurement, or one that cannot be used.
    #[error(
        "{}: not a usable measurement: {reason}. Give what `trainer evaluate`, `localize`, `ood` or `compare`, or \
         `xray-triage triage`, of this release prints with --json",
        path.display()
    )]
    NotAMeasurement {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A measurement is of a network that the report is not about.
    #[error(
        "{}: measured with model {id} ({sha256}), but the report is about {}. Measure again with that bundle, leave the \
         file out, or name its own bundle or checkpoint by --beside",
        path.display(),
        known.join(", ")
    )]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The id of the bundle that was measured.
        id: String,
        /// SHA-256 of the network that was measured.
        sha256: String,
        /// The models of the report, each with its hash.
        known: Vec<String>,
    },
    /// The same measurement is in two files. This is the second one.
    #[error("{}: the same measurement is in another file already; leave one of the two out", .0.display())]
    Twice(PathBuf),
    /// A training run cannot be read.
    #[error(
        "{}: not the epochs of a run ({source}); give a folder that `trainer train` wrote, or its metrics.csv",
        path.display()
    )]
    Run {
        /// The run's `metrics.csv`.
        path: PathBuf,
        /// The reader's error.
        source: csv::Error,
    },
    /// A training run has no finished epoch.
    #[error("{}: no epoch is finished yet; wait, or leave the run out", .0.display())]
    EmptyRun(PathBuf),
    /// A figure of a training run is NaN or infinite.
    #[error("{}: epoch {epoch} has a loss or an accuracy that is not a finite number; leave the run out", path.display())]
    NotFiniteRun {
        /// The run's `metrics.csv`.
        path: PathBuf,
        /// The number of the epoch.
        epoch: usize,
    },
    /// A network for the sheet of activation maps cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The network fails on a film of the sheet.
    #[error("{name}: {source}")]
    Film {
        /// The film.
        name: String,
        /// What failed.
        source: NetworkError,
    },
    /// A picture of the sheet cannot be coded as PNG.
    #[error("a picture of the sheet cannot be coded: {0}")]
    Picture(#[from] image::ImageError),
    /// A plot cannot be drawn.
    #[error("a plot cannot be drawn: {0}")]
    Plot(#[from] plots::PlotError),
}

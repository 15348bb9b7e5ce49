//! The films of each kind of source, as its owner distributes them, with the class that the source's own words give.
//!
//! Each collection has a file of its own with one function, `list`. It reads the collection's tables and no picture.

mod actualmed;
mod cases;
mod cohen;
mod figure1;
mod folders;
mod listing;
mod manifest;
mod nih;
mod rsna;
pub(super) mod table;

use std::path::PathBuf;

use super::error::PrepareError;

pub use folders::ClassFolder;
pub use listing::{Candidate, Listing};

pub(super) use listing::short_hash;

/// A place that films come from. If a film is there twice, the copy of the first source in this order is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A manifest in this project's own format.
    Manifest(PathBuf),
    /// A folder with a folder of films for each class. It has the class's name, or a [`ClassFolder`] says its class.
    Folders(PathBuf),
    /// The folder of <https://github.com/ieee8023/covid-chestxray-dataset>.
    Cohen(PathBuf),
    /// The folder of <https://github.com/agchung/Figure1-COVID-chestxray-dataset>.
    Figure1(PathBuf),
    /// The folder of <https://github.com/agchung/Actualmed-COVID-chestxray-dataset>.
    Actualmed(PathBuf),
    /// The folder of ChestX-ray14, <https://nihcc.app.box.com/v/ChestXray-NIHCC>.
    Nih(PathBuf),
    /// The folder of the RSNA Pneumonia Detection Challenge,
    /// <https://www.kaggle.com/c/rsna-pneumonia-detection-challenge>.
    Rsna(PathBuf),
}

/// The names of the known collections. The ids of their films and patients begin with them.
const COLLECTIONS: [&str; 5] = [cohen::NAME, figure1::NAME, actualmed::NAME, nih::NAME, rsna::NAME];

impl Source {
    /// Lists the source's films without reading any picture. `class_folders` is for [`Source::Folders`] and is looked at
    /// before the classes' own names.
    ///
    /// # Errors
    /// A table is not there or lacks a column, a folder cannot be read, or an imported manifest is wrong.
    pub fn list(&self, class_folders: &[ClassFolder]) -> Result<Listing, PrepareError> {
        match self {
            Source::Manifest(path) => manifest::list(path, &COLLECTIONS),
            Source::Folders(root) => folders::list(root, class_folders),
            Source::Cohen(root) => cohen::list(root),
            Source::Figure1(root) => figure1::list(root),
            Source::Actualmed(root) => actualmed::list(root),
            Source::Nih(root) => nih::list(root),
            Source::Rsna(root) => rsna::list(root),
        }
    }
}

#[cfg(test)]
mod tests;

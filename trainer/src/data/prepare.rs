//! A data set from collections of films as their owners distribute them: honest labels, every film once, every patient in
//! one split, and the reason why each film that is not in it was left out. See docs/guide/prepare-data.md.
//!
//! The modules are in the order of the work: [`sources`] list the films, and [`finding`] says what class a source's words
//! mean. `pictures` reads each picture ([`dicom`] those of hospitals) and writes it. [`duplicates`] finds copies,
//! `readings` joins what readers saw,
//! `patients` joins the films of each patient, and [`split`] gives each patient a split. [`report`] counts what is in the
//! set, and [`dropped`] says what is not.

pub mod dicom;
pub mod dropped;
pub mod duplicates;
mod error;
pub mod finding;
mod groups;
mod patients;
mod pictures;
mod readings;
pub mod report;
pub mod sources;
pub mod split;
mod tables;

use std::path::{Path, PathBuf};

use xray_triage_core::decision::Class;

use crate::data::dataset::{Label, Row};

pub use error::PrepareError;
pub use pictures::Encoding;

use dropped::{Dropped, Reason};
use report::Report;
use sources::{Candidate, ClassFolder, Source};
use split::Shares;

/// How a data set is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shares of train, val and test.
    pub shares: Shares,
    /// Draws which patient comes into which split.
    pub seed: u64,
    /// Longest side of a written picture, pixels. Smaller pictures keep their size.
    pub longest_side: u32,
    /// How pictures are written.
    pub encoding: Encoding,
    /// Also draw the splits of films whose imported manifest gives one.
    pub resplit: bool,
    /// Go on where a class has no film.
    pub allow_missing_class: bool,
    /// Tables of readings, which are joined to the films of the sources.
    pub readings: Vec<PathBuf>,
    /// Folders of [`Source::Folders`] that do not have their class's name.
    pub class_folders: Vec<ClassFolder>,
}

/// Makes a data set in the folder `out`: pictures, `manifest.csv` and `dropped.csv`. The manifest is written last, so that
/// a run that was stopped leaves none.
///
/// A film that cannot be used is no error: it is left out and listed.
///
/// # Errors
/// A source is not what it should be, a class has no film, or a file cannot be written.
pub fn prepare(out: &Path, sources: &[Source], options: &Options) -> Result<Report, PrepareError> {
    if out.exists() && !std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none()) {
        return Err(PrepareError::Occupied { out: out.into() });
    }
    let (mut candidates, mut dropped) = list(sources, options)?;
    for table in &options.readings {
        let joined = readings::join(table, candidates.iter_mut().map(|candidate| &mut candidate.row))?;
        log::info!(
            "{}: {} films read; {} of its films are in no source",
            table.display(),
            joined.films,
            joined.not_there
        );
    }
    pictures::name(&mut candidates, options.encoding);
    let taken = pictures::take_all(out, candidates, options.longest_side, options.encoding)?;
    dropped.extend(taken.dropped);
    let mut rows = taken.rows;

    let pairs = duplicates::pairs(&taken.fingerprints);
    let patients = patients::join(&mut rows, &pairs);
    let disagree = readings::spread(&mut rows, &pairs);
    let mut left_out = duplicates::leave_out(&rows, &pairs);
    for (film, readings) in disagree {
        left_out.insert(film, Dropped::new(&rows[film], Reason::ReadingsDisagree, readings));
    }
    split::share_out(&mut rows, &patients, options.shares, options.seed, &mut left_out);

    let mut kept = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        match left_out.remove(&index) {
            None => kept.push(row),
            Some(drop) => {
                pictures::remove(out, &row)?;
                dropped.push(drop);
            }
        }
    }
    write(out, kept, dropped, options)
}

/// Lists the films of all sources, and those that are left out already. Where splits are drawn anew, no film has one.
fn list(sources: &[Source], options: &Options) -> Result<(Vec<Candidate>, Vec<Dropped>), PrepareError> {
    let mut sources = sources.to_vec();
    sources.sort();
    let (mut candidates, mut dropped) = (Vec::new(), Vec::new());
    for source in &sources {
        let listing = source.list(&options.class_folders)?;
        candidates.extend(listing.candidates);
        dropped.extend(listing.dropped);
    }
    if options.resplit {
        candidates.iter_mut().for_each(|candidate| candidate.row.split.clear());
    }
    Ok((candidates, dropped))
}

/// Writes the tables of the data set, the manifest last.
fn write(out: &Path, films: Vec<Row>, dropped: Vec<Dropped>, options: &Options) -> Result<Report, PrepareError> {
    let list = out.join("dropped.csv");
    tables::write(&list, &dropped)?;
    let missing = Class::ALL.into_iter().find(|class| !films.iter().any(|row| row.shown() == Ok(Label::Class(*class))));
    if let Some(class) = missing
        && !options.allow_missing_class
    {
        return Err(PrepareError::EmptyClass { label: class.label(), list });
    }
    tables::write(&out.join("manifest.csv"), &films)?;
    Ok(Report { films, dropped })
}

#[cfg(test)]
mod tests;

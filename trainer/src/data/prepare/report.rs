//! The report of a prepared data set: what it holds, and how many films were left out for which reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use xray_triage_core::decision::Class;

use crate::data::dataset::{Label, Row};

use super::dropped::Dropped;
use super::split::SPLITS;

/// What a prepared data set holds. Its display is tables of counts, with warnings below.
pub struct Report {
    /// The films in the set.
    pub films: Vec<Row>,
    /// The films that were left out.
    pub dropped: Vec<Dropped>,
}

impl Report {
    /// The splits that have films: train, val, test, then others sorted by name.
    fn splits(&self) -> Vec<&str> {
        let found: BTreeSet<&str> = self.films.iter().map(|row| row.split.as_str()).collect();
        let mut splits: Vec<&str> = SPLITS.into_iter().filter(|split| found.contains(split)).collect();
        splits.extend(found.into_iter().filter(|split| !SPLITS.contains(split)));
        splits
    }

    /// The films of each label and source, split by split, and the patients.
    fn write_films(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let splits = self.splits();
        let count = |wanted: &dyn Fn(&Row) -> bool| self.films.iter().filter(|row| wanted(row)).count();
        write!(formatter, "{:<12}{:<16}", "label", "source")?;
        splits.iter().try_for_each(|split| write!(formatter, "{split:>9}"))?;
        writeln!(formatter, "{:>9}", "all")?;
        let line = |formatter: &mut fmt::Formatter, label: &str, source: &str, wanted: &dyn Fn(&Row) -> bool| {
            write!(formatter, "{label:<12}{source:<16}")?;
            for split in &splits {
                write!(formatter, "{:>9}", count(&|row| wanted(row) && row.split == *split))?;
            }
            writeln!(formatter, "{:>9}", count(wanted))
        };
        let sources: BTreeSet<&str> = self.films.iter().map(|row| row.source.as_str()).collect();
        for label in Class::ALL.map(Label::Class).into_iter().chain([Label::Other]) {
            let shows = |row: &Row| row.shown() == Ok(label);
            for source in &sources {
                let wanted = |row: &Row| shows(row) && row.source == *source;
                if count(&wanted) > 0 {
                    line(formatter, label.text(), source, &wanted)?;
                }
            }
            if label != Label::Other || count(&shows) > 0 {
                line(formatter, label.text(), "all", &shows)?;
            }
        }
        line(formatter, "all", "", &|_| true)?;
        let patients = |split: Option<&str>| {
            let films = self.films.iter().filter(|row| split.is_none_or(|split| row.split == split));
            films.map(|row| &row.patient_id).filter(|id| !id.is_empty()).collect::<BTreeSet<_>>().len()
        };
        write!(formatter, "{:<28}", "patients")?;
        splits.iter().try_for_each(|split| write!(formatter, "{:>9}", patients(Some(split))))?;
        writeln!(formatter, "{:>9}", patients(None))
    }

    /// The films that were left out, by source and reason.
    fn write_dropped(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut counts: BTreeMap<(&str, _), usize> = BTreeMap::new();
        for dropped in &self.dropped {
            *counts.entry((&dropped.source, dropped.reason)).or_default() += 1;
        }
        writeln!(formatter, "{} films left out", self.dropped.len())?;
        for ((source, reason), count) in counts {
            writeln!(formatter, "{count:>9}  {source:<14}  {reason}")?;
        }
        Ok(())
    }

    /// What a user should know before training.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let nobodys = self.films.iter().filter(|row| row.patient_id.is_empty()).count();
        if nobodys > 0 {
            warnings.push(format!("{nobodys} films name no patient; films of one patient may be in different splits"));
        }
        for split in self.splits() {
            for class in Class::ALL {
                let shows = |row: &&Row| row.split == split && row.shown() == Ok(Label::Class(class));
                if self.films.iter().find(shows).is_none() {
                    warnings.push(format!("{split} has no {} film", class.label()));
                }
            }
        }
        warnings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.write_films(formatter)?;
        writeln!(formatter)?;
        self.write_dropped(formatter)?;
        self.warnings().iter().try_for_each(|warning| writeln!(formatter, "warning: {warning}"))
    }
}

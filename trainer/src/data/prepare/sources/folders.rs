//! Films in folders: one folder for each class.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use xray_triage_core::decision::Class;

use crate::data::dataset::{LabelSource, Row};
use crate::data::prepare::dropped::Reason;
use crate::data::prepare::error::PrepareError;
use crate::data::prepare::finding::UNKNOWN_VIEW;

use super::listing::{EXTRA, Listing, files_below, name_of, short_hash};

/// A folder of films of one class that does not have the class's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFolder {
    /// The folder, relative to the source's folder: `COVID` or `COVID/images`.
    pub folder: PathBuf,
    /// The class of all films in it.
    pub class: Class,
}

impl FromStr for ClassFolder {
    type Err = String;

    /// Reads `FOLDER=LABEL`, for instance `COVID/images=covid19`.
    fn from_str(text: &str) -> Result<Self, String> {
        let labels = || Class::ALL.map(Class::label).join(", ");
        let help = || format!("`{text}` names no class; write FOLDER=LABEL with one of {}", labels());
        let (folder, label) = text.rsplit_once('=').ok_or_else(help)?;
        let class = Class::ALL.into_iter().find(|class| class.label() == label).ok_or_else(help)?;
        if folder.is_empty() {
            return Err(help());
        }
        Ok(ClassFolder { folder: folder.into(), class })
    }
}

/// Lists the films below a class's folder as films of that class. The films in a folder within it are one patient's.
pub fn list(root: &Path, class_folders: &[ClassFolder]) -> Result<Listing, PrepareError> {
    let source = name_of(root);
    let mut named = class_folders.to_vec();
    named.extend(Class::ALL.map(|class| ClassFolder { folder: class.label().into(), class }));
    let mut listing = Listing::default();
    for path in files_below(root)? {
        let inside = path.strip_prefix(root).unwrap_or(&path);
        let found = named.iter().find_map(|named| Some((named, inside.strip_prefix(&named.folder).ok()?)));
        let folder = found.map_or(inside.parent().unwrap_or(Path::new("")), |(named, _)| &named.folder);
        let mut below = found.iter().flat_map(|(_, below)| below.iter());
        let patient = match (below.next(), below.next()) {
            (Some(patient), Some(_)) => format!("{source}_{}", patient.to_string_lossy()),
            _ => String::new(),
        };
        let origin_name = inside.iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/");
        let row = Row {
            image_id: format!("{source}_{}", short_hash(&origin_name)),
            source: source.clone(),
            patient_id: patient,
            view: UNKNOWN_VIEW.into(),
            finding: folder.display().to_string(),
            protocol: EXTRA.into(),
            origin_name,
            label_source: LabelSource::Folder.label().into(),
            ..Row::default()
        };
        let class = found.map(|(named, _)| named.class);
        listing.add(path, row, class.ok_or((Reason::NoLabel, "in no folder of a class".into())));
    }
    if listing.candidates.is_empty() {
        return Err(PrepareError::NoClassFolder { root: root.into() });
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use crate::data::prepare::sources::tests::{summary, write};
    use crate::data::prepare::sources::{Candidate, Source};

    use super::*;

    #[test]
    fn folders_name_class_and_patient() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("clinic");
        for file in ["covid19/a.png", "normal/p1/a.png", "normal/p1/b.png", "flu/c.png", "readme.txt", ".hidden"] {
            write(path.join(file), "");
        }
        let (films, dropped) = summary(Source::Folders(path.clone()));
        let films: Vec<(&str, &str)> = films.iter().map(|[_, patient, label, _]| (&**patient, &**label)).collect();
        assert_eq!(films, [("", "covid19"), ("clinic_p1", "normal"), ("clinic_p1", "normal")]);
        assert_eq!(dropped, [("flu/c.png".into(), Reason::NoLabel), ("readme.txt".into(), Reason::NoLabel)]);
    }

    #[test]
    fn folders_of_other_names_are_taken_for_the_class_they_are_said_to_be() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("kaggle");
        for file in ["COVID/images/a.png", "COVID/masks/a.png", "normal/b.png", "Viral Pneumonia/p2/c.png"] {
            write(path.join(file), "");
        }
        let folders = ["COVID/images=covid19", "Viral Pneumonia=pneumonia"].map(|text| text.parse().unwrap());
        let listing = Source::Folders(path).list(&folders).unwrap();
        let films: Vec<(&str, &str, &str)> = listing
            .candidates
            .iter()
            .map(|Candidate { row, .. }| (row.finding.as_str(), row.label.as_str(), row.patient_id.as_str()))
            .collect();
        let expected =
            [("COVID/images", "covid19", ""), ("Viral Pneumonia", "pneumonia", "kaggle_p2"), ("normal", "normal", "")];
        assert_eq!(films, expected);
        assert_eq!(listing.dropped[0].origin_name, "COVID/masks/a.png");
        for wrong in ["COVID", "COVID=flu", "=normal"] {
            let error = wrong.parse::<ClassFolder>().unwrap_err();
            assert!(error.contains("FOLDER=LABEL") && error.contains("covid19, pneumonia, normal"), "{error}");
        }
    }
}

//! ChestX-ray14 of the NIH, <https://nihcc.app.box.com/v/ChestXray-NIHCC>.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::data::dataset::{LabelSource, Row};
use crate::data::prepare::dropped::Reason;
use crate::data::prepare::error::PrepareError;
use crate::data::prepare::finding::{self, years};

use super::listing::{Listing, SEED, files_below};
use super::table;

/// The collection's name in manifests and ids.
pub const NAME: &str = "nih";

/// A row of `Data_Entry_2017.csv` or `Data_Entry_2017_v2020.csv`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "image index")]
    image: String,
    #[serde(rename = "finding labels")]
    labels: String,
    #[serde(rename = "patient id")]
    patient: String,
    #[serde(rename = "patient age")]
    age: String,
    #[serde(rename = "patient gender", alias = "patient sex")]
    sex: String,
    #[serde(rename = "view position")]
    view: String,
}

/// Lists the collection's films. The pictures may lie in any folders below `root`.
pub fn list(root: &Path) -> Result<Listing, PrepareError> {
    let files = files_below(root)?;
    let file_name = |path: &PathBuf| path.file_name().map(OsStr::to_os_string);
    let is_entries = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("Data_Entry_2017") && name.ends_with(".csv")
    };
    // The newest corrected table comes last.
    let Some(entries) = files.iter().rfind(is_entries) else {
        return Err(PrepareError::NoTable { root: root.into(), table: "Data_Entry_2017_v2020.csv" });
    };
    let pictures: HashMap<_, _> = files.iter().filter_map(|path| Some((file_name(path)?, path))).collect();
    let columns = ["image index", "finding labels", "patient id", "view position"];
    let mut listing = Listing::default();
    for entry in table::read::<Entry>(entries, &columns)? {
        let path = pictures.get(OsStr::new(&entry.image)).map_or_else(|| root.join(&entry.image), |&path| path.clone());
        let class = if !finding::is_frontal(&entry.view) {
            Err((Reason::NotFrontal, entry.view.clone()))
        } else {
            finding::nih_class(&entry.labels).map_err(|reason| (reason, entry.labels.clone()))
        };
        let row = Row {
            image_id: format!("{NAME}_{}", Path::new(&entry.image).with_extension("").display()),
            source: NAME.into(),
            patient_id: patient(&entry.patient),
            view: entry.view,
            sex: entry.sex,
            age: years(&entry.age),
            protocol: SEED.into(),
            finding: entry.labels,
            license: "NIH ChestX-ray8: no restrictions on use; attribution requested".into(),
            origin_name: entry.image,
            url_or_doi: "https://nihcc.app.box.com/v/ChestXray-NIHCC".into(),
            label_source: LabelSource::ReportText.label().into(),
            ..Row::default()
        };
        listing.add(path, row, class);
    }
    Ok(listing)
}

/// The id of a patient with this number. It has eight digits, as the names of the picture files have.
pub fn patient(number: &str) -> String {
    if number.is_empty() { String::new() } else { format!("{NAME}_{number:0>8}") }
}

#[cfg(test)]
mod tests {
    use crate::data::prepare::sources::Source;
    use crate::data::prepare::sources::tests::{summary, write};

    use super::*;

    #[test]
    fn nih_pictures_may_lie_in_several_folders() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("Data_Entry_2017.csv"),
            "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
             OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n\
             00000001_000.png,No Finding,0,1,058Y,M,PA,2682,2749,0.143,0.143\n\
             00000001_001.png,Infiltration|Pneumonia,1,1,058Y,M,AP,2682,2749,0.143,0.143,\n\
             00000002_000.png,Hernia,0,2,058Y,M,PA,2682,2749,0.143,0.143\n",
        );
        write(path.join("images_001/images/00000001_000.png"), "");
        write(path.join("images_002/images/00000001_001.png"), "");
        let (films, dropped) = summary(Source::Nih(path.into()));
        assert_eq!(
            films,
            [
                ["nih_00000001_000", "nih_00000001", "normal", "seed"],
                ["nih_00000001_001", "nih_00000001", "pneumonia", "seed"],
            ]
        );
        assert_eq!(dropped, [("00000002_000.png".to_owned(), Reason::OtherFinding)]);
        assert_eq!(Source::Nih(path.into()).list(&[]).unwrap().candidates[0].row.age, "58");
    }
}

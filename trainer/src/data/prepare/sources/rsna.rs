//! The RSNA Pneumonia Detection Challenge, <https://www.kaggle.com/c/rsna-pneumonia-detection-challenge>.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::data::dataset::{LabelSource, Row};
use crate::data::prepare::error::PrepareError;
use crate::data::prepare::finding::{self, UNKNOWN_VIEW};

use super::listing::{Listing, SEED};
use super::{nih, table};

/// The collection's name in manifests and ids.
pub const NAME: &str = "rsna";

/// The table that names the NIH film of each RSNA film.
pub(super) const ORIGINS: &str = "pneumonia-challenge-dataset-mappings_2018.json";

/// A row of `stage_2_detailed_class_info.csv`. A film has one for each box drawn on it.
#[derive(Deserialize)]
struct FilmClass {
    #[serde(rename = "patientid")]
    film: String,
    class: String,
}

/// An entry of [`ORIGINS`].
#[derive(Deserialize)]
struct Origin {
    #[serde(rename = "subset_img_id")]
    film: String,
    /// The NIH film's file name, `PATIENT_FOLLOWUP.png`.
    #[serde(rename = "img_id")]
    nih_image: String,
}

/// Lists the collection's films.
pub fn list(root: &Path) -> Result<Listing, PrepareError> {
    let mut classes = table::read::<FilmClass>(&root.join("stage_2_detailed_class_info.csv"), &["patientid", "class"])?;
    classes.sort_by(|a, b| a.film.cmp(&b.film));
    classes.dedup_by(|a, b| a.film == b.film);
    let patients = patients(&root.join(ORIGINS))?;
    let mut listing = Listing::default();
    for FilmClass { film, class } in classes {
        let path = root.join("stage_2_train_images").join(format!("{film}.dcm"));
        let mut row = Row {
            image_id: format!("{NAME}_{film}"),
            source: NAME.into(),
            // What the table calls a patient is one film. Only the other table says whose film it is.
            patient_id: patients.get(&film).cloned().unwrap_or_else(|| format!("{NAME}_{film}")),
            view: UNKNOWN_VIEW.into(),
            protocol: SEED.into(),
            license: "RSNA Pneumonia Detection Challenge: terms of use of the competition".into(),
            origin_name: format!("{film}.dcm"),
            url_or_doi: "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge".into(),
            finding: class,
            ..Row::default()
        };
        let label = match finding::rsna_label(&row.finding) {
            Ok((label, reading)) => {
                row.label_source = LabelSource::Radiologists.label().into();
                row.reading = format!("{reading}@{NAME}");
                row.reader_label = label.text().into();
                Ok(label)
            }
            Err(reason) => Err((reason, row.finding.clone())),
        };
        listing.add(path, row, label);
    }
    Ok(listing)
}

/// The NIH patient of each RSNA film. It is empty if the table is not there.
fn patients(path: &Path) -> Result<HashMap<String, String>, PrepareError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            log::warn!(
                "{}: not there. RSNA films of one patient may come into different splits; the RSNA offers the file \
                 beside the challenge's data",
                path.display()
            );
            return Ok(HashMap::new());
        }
        Err(source) => return Err(PrepareError::Read { path: path.into(), source }),
    };
    let origins: Vec<Origin> =
        serde_json::from_slice(&text).map_err(|source| PrepareError::RsnaOrigins { path: path.into(), source })?;
    let patient = |image: &str| nih::patient(image.split('_').next().unwrap_or_default());
    Ok(origins.into_iter().map(|origin| (origin.film, patient(&origin.nih_image))).collect())
}

#[cfg(test)]
mod tests {
    use crate::data::prepare::dropped::Reason;
    use crate::data::prepare::sources::tests::{summary, write};
    use crate::data::prepare::sources::{Candidate, Source};

    use super::*;

    #[test]
    fn rsna_films_get_their_nih_patient_where_the_table_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("stage_2_detailed_class_info.csv"),
            "patientId,class\nf1,Lung Opacity\nf1,Lung Opacity\nf2,Normal\nf3,No Lung Opacity / Not Normal\nf4,Nodule\n",
        );
        for name in ["f1.dcm", "f2.dcm", "f3.dcm", "f4.dcm"] {
            write(path.join("stage_2_train_images").join(name), "");
        }
        let patients = |path: &Path| -> Vec<String> {
            let (films, dropped) = summary(Source::Rsna(path.into()));
            assert_eq!(dropped, [("f4.dcm".to_owned(), Reason::OtherFinding)]);
            films.into_iter().map(|[_, patient, ..]| patient).collect()
        };
        assert_eq!(patients(path), ["rsna_f1", "rsna_f2", "rsna_f3"]);
        write(path.join(ORIGINS), r#"[{"subset_img_id": "f1", "img_id": "00000013_005.png", "x": 1}]"#);
        assert_eq!(patients(path), ["nih_00000013", "rsna_f2", "rsna_f3"]);
    }

    #[test]
    fn what_the_readers_saw_is_kept_and_other_findings_are_films_too() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("stage_2_detailed_class_info.csv"),
            "patientId,class\nf1,Lung Opacity\nf2,Normal\nf3,No Lung Opacity / Not Normal\n",
        );
        for name in ["f1.dcm", "f2.dcm", "f3.dcm"] {
            write(path.join("stage_2_train_images").join(name), "");
        }
        let listing = Source::Rsna(path.into()).list(&[]).unwrap();
        let read: Vec<[&str; 4]> = listing
            .candidates
            .iter()
            .map(|Candidate { row, .. }| [&*row.label, &*row.label_source, &*row.reading, &*row.reader_label])
            .collect();
        assert_eq!(
            read,
            [
                ["pneumonia", "radiologists", "lung_opacity@rsna", "pneumonia"],
                ["normal", "radiologists", "normal@rsna", "normal"],
                ["other", "radiologists", "abnormal_no_opacity@rsna", "other"],
            ]
        );
    }
}

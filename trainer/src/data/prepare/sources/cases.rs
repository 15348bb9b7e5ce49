//! What the three collections of COVID-19 cases share: the layout of their table, `metadata.csv`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use xray_triage_core::decision::Class;

use crate::data::dataset::{LabelSource, Row};
use crate::data::prepare::dropped::Reason;
use crate::data::prepare::error::PrepareError;
use crate::data::prepare::finding::{self, UNKNOWN_VIEW};

use super::listing::{EXTRA, Listing, SEED, short_hash};
use super::table;

/// How a collection differs from the other two.
pub struct CaseCollection {
    /// The collection's name in manifests and ids.
    pub name: &'static str,
    /// The column that names the picture. Without one the picture has the patient's name.
    pub picture_column: Option<&'static str>,
    /// Whether the films are frontal where no view is stated.
    pub frontal_by_default: bool,
    /// The view that a COVID-19 film must have to be one that the paper took. Without one the paper took them all.
    pub protocol_view: Option<&'static str>,
    /// The licence of films whose row states none.
    pub license: &'static str,
    /// The address of films whose row states none.
    pub url: &'static str,
}

/// A row of `metadata.csv`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Case {
    patientid: String,
    sex: String,
    age: String,
    finding: String,
    view: String,
    modality: String,
    #[serde(alias = "imagename")]
    filename: String,
    folder: String,
    license: String,
    doi: String,
    url: String,
}

/// Lists the films of a collection of cases.
pub fn list(root: &Path, collection: &CaseCollection) -> Result<Listing, PrepareError> {
    let mut columns = vec!["patientid", "finding", "view", "modality"];
    columns.extend(collection.picture_column);
    let source = collection.name;
    let mut listing = Listing::default();
    for case in table::read::<Case>(&root.join("metadata.csv"), &columns)? {
        let folder = root.join(if case.folder.is_empty() { "images" } else { &case.folder });
        let (path, image, patient) = match collection.picture_column {
            Some(_) => (folder.join(&case.filename), short_hash(&case.filename), case.patientid.as_str()),
            // COVID-00003a and COVID-00003b are two films of one patient.
            None => (
                picture_named(&folder, &case.patientid),
                case.patientid.trim_start_matches("COVID-").into(),
                case.patientid.trim_end_matches(char::is_alphabetic),
            ),
        };
        let or = |given: &str, otherwise: &str| if given.is_empty() { otherwise.to_owned() } else { given.to_owned() };
        let mut row = Row {
            image_id: format!("{source}_{image}"),
            source: source.into(),
            patient_id: if patient.is_empty() { String::new() } else { format!("{source}_{patient}") },
            view: or(&case.view, UNKNOWN_VIEW),
            license: or(&case.license, collection.license),
            url_or_doi: or(&case.url, &or(&case.doi, collection.url)),
            origin_name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            sex: case.sex,
            age: case.age,
            finding: case.finding,
            label_source: LabelSource::Clinical.label().into(),
            ..Row::default()
        };
        let class = if case.modality != "X-ray" {
            Err((Reason::NotRadiograph, case.modality))
        } else if !finding::is_frontal(&row.view) {
            Err((Reason::NotFrontal, row.view.clone()))
        } else if row.view == UNKNOWN_VIEW && !collection.frontal_by_default {
            Err((Reason::ViewNotStated, String::new()))
        } else {
            finding::case_class(&row.finding).map_err(|reason| (reason, row.finding.clone()))
        };
        let in_paper = class == Ok(Class::Covid19) && collection.protocol_view.is_none_or(|view| row.view == view);
        row.protocol = if in_paper { SEED } else { EXTRA }.into();
        listing.add(path, row, class);
    }
    Ok(listing)
}

/// `FOLDER/NAME` with the ending of a picture that is there, or else with the first ending.
fn picture_named(folder: &Path, name: &str) -> PathBuf {
    let files = ["jpg", "jpeg", "png"].map(|ending| folder.join(format!("{name}.{ending}")));
    let [first, ..] = &files;
    files.iter().find(|file| file.is_file()).unwrap_or(first).clone()
}

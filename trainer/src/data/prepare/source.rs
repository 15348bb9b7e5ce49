//! The films of each kind of source, as their owners distribute them, with the class that the source's own words give.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::decision::Class;

use crate::data::dataset::{self, Row};

use super::PrepareError;
use super::finding::{self, Reason, UNKNOWN_VIEW};

/// A place that films come from. Of a film that is there twice the first source's is kept, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A manifest in our own format.
    Manifest(PathBuf),
    /// A folder with a folder of films for each class: of the class's name, or of a [`ClassFolder`].
    Folders(PathBuf),
    /// <https://github.com/ieee8023/covid-chestxray-dataset>
    Cohen(PathBuf),
    /// <https://github.com/agchung/Figure1-COVID-chestxray-dataset>
    Figure1(PathBuf),
    /// <https://github.com/agchung/Actualmed-COVID-chestxray-dataset>
    Actualmed(PathBuf),
    /// ChestX-ray14, <https://nihcc.app.box.com/v/ChestXray-NIHCC>
    Nih(PathBuf),
    /// The RSNA Pneumonia Detection Challenge, <https://www.kaggle.com/c/rsna-pneumonia-detection-challenge>
    Rsna(PathBuf),
}

/// A folder of films of one class that does not bear the class's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFolder {
    /// Within the source's folder, as `COVID` or `COVID/images`.
    pub folder: PathBuf,
    pub class: Class,
}

impl FromStr for ClassFolder {
    type Err = String;

    /// `FOLDER=LABEL`, for instance `COVID/images=covid19`.
    fn from_str(text: &str) -> Result<Self, String> {
        let help = || format!("`{text}` names no class; write FOLDER=LABEL with one of {}", labels());
        let (folder, label) = text.rsplit_once('=').ok_or_else(help)?;
        let class = Class::ALL.into_iter().find(|class| class.label() == label).ok_or_else(help)?;
        if folder.is_empty() {
            return Err(help());
        }
        Ok(ClassFolder { folder: folder.into(), class })
    }
}

/// A film that may be taken: its class is known, its picture not yet read.
pub struct Candidate {
    /// The picture.
    pub path: PathBuf,
    /// What the source says. `split` is empty unless an imported manifest gives it.
    pub row: Row,
}

/// A film that is left out, a row of `dropped.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    pub source: String,
    pub origin_name: String,
    pub finding: String,
    pub reason: Reason,
    /// The view, the error, the other film.
    pub detail: String,
}

impl Dropped {
    pub fn new(row: &Row, reason: Reason, detail: impl Into<String>) -> Self {
        Dropped {
            source: row.source.clone(),
            origin_name: row.origin_name.clone(),
            finding: row.finding.clone(),
            reason,
            detail: detail.into(),
        }
    }
}

/// All films of a source.
#[derive(Default)]
pub struct Listing {
    pub candidates: Vec<Candidate>,
    pub dropped: Vec<Dropped>,
}

impl Listing {
    fn add(&mut self, path: PathBuf, mut row: Row, class: Result<Class, (Reason, String)>) {
        match class {
            Ok(_) if !path.is_file() => {
                self.dropped.push(Dropped::new(&row, Reason::PictureMissing, path.display().to_string()));
            }
            Ok(class) => {
                row.label = class.label().into();
                self.candidates.push(Candidate { path, row });
            }
            Err((reason, detail)) => self.dropped.push(Dropped::new(&row, reason, detail)),
        }
    }
}

impl Source {
    /// Lists the source's films without reading any picture. `class_folders` is for [`Source::Folders`], and goes before
    /// the classes' own names.
    ///
    /// # Errors
    /// A table is not there or lacks a column, a folder cannot be read, an imported manifest is wrong.
    pub fn list(&self, class_folders: &[ClassFolder]) -> Result<Listing, PrepareError> {
        match self {
            Source::Manifest(path) => manifest(path),
            Source::Folders(root) => folders(root, class_folders),
            Source::Cohen(root) => cases(root, &COHEN),
            Source::Figure1(root) => cases(root, &FIGURE1),
            Source::Actualmed(root) => cases(root, &ACTUALMED),
            Source::Nih(root) => nih(root),
            Source::Rsna(root) => rsna(root),
        }
    }
}

fn manifest(path: &Path) -> Result<Listing, PrepareError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut rows = dataset::read_rows(path)?;
    for (row, _) in rows.iter_mut().filter(|(row, _)| row.source.is_empty()) {
        row.source = name_of(folder);
    }
    // A film's patient may be known by another source: copies join patients, and RSNA's are NIH's.
    let sources = rows.iter().map(|(row, _)| row.source.as_str()).chain(COLLECTIONS);
    let prefixes: HashSet<String> = sources.map(|source| format!("{source}_")).collect();
    let mut listing = Listing::default();
    for (mut row, class) in rows {
        let names_source = prefixes.iter().any(|prefix| row.patient_id.starts_with(prefix.as_str()));
        // A patient of another source may bear the same number.
        if !row.patient_id.is_empty() && !names_source {
            row.patient_id = format!("{}_{}", row.source, row.patient_id);
        }
        if row.origin_name.is_empty() {
            row.origin_name = row.file.display().to_string();
        }
        listing.add(folder.join(&row.file), row, Ok(class));
    }
    Ok(listing)
}

/// Films below a class's folder are of that class; those in a folder within it are one patient's.
fn folders(root: &Path, class_folders: &[ClassFolder]) -> Result<Listing, PrepareError> {
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

/// The labels, with commas.
fn labels() -> String {
    Class::ALL.map(Class::label).join(", ")
}

/// One of the three collections of COVID-19 cases. They share the layout of their table.
struct CaseCollection {
    source: &'static str,
    /// The column that names the picture; without one it is named after the patient.
    picture_column: Option<&'static str>,
    /// Whether the films are frontal where no view is stated.
    frontal_by_default: bool,
    /// What holds for a film whose row has none.
    license: &'static str,
    url: &'static str,
}

const COHEN: CaseCollection = CaseCollection {
    source: "cohen",
    picture_column: Some("filename"),
    frontal_by_default: false,
    license: "unspecified",
    url: "https://github.com/ieee8023/covid-chestxray-dataset",
};
const FIGURE1: CaseCollection = CaseCollection {
    source: "figure1",
    picture_column: None,
    frontal_by_default: true,
    license: "none stated; research purposes only (repository README)",
    url: "https://github.com/agchung/Figure1-COVID-chestxray-dataset",
};
const ACTUALMED: CaseCollection = CaseCollection {
    source: "actualmed",
    picture_column: Some("imagename"),
    frontal_by_default: true,
    license: "none stated; research purposes only (repository README)",
    url: "https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
};

/// A row of metadata.csv of a case collection.
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

fn cases(root: &Path, collection: &CaseCollection) -> Result<Listing, PrepareError> {
    let mut columns = vec!["patientid", "finding", "view", "modality"];
    columns.extend(collection.picture_column);
    let source = collection.source;
    let mut listing = Listing::default();
    for case in table::<Case>(&root.join("metadata.csv"), &columns)? {
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
        // The paper took Cohen's COVID-19 films in PA view, and all of the other two collections.
        let in_paper = class == Ok(Class::Covid19) && (source != COHEN.source || row.view == "PA");
        row.protocol = if in_paper { SEED } else { EXTRA }.into();
        listing.add(path, row, class);
    }
    Ok(listing)
}

/// `FOLDER/NAME` with the ending of a picture.
fn picture_named(folder: &Path, name: &str) -> PathBuf {
    let files = ["jpg", "jpeg", "png"].map(|ending| folder.join(format!("{name}.{ending}")));
    let [first, ..] = &files;
    files.iter().find(|file| file.is_file()).unwrap_or(first).clone()
}

/// A row of Data_Entry_2017.csv or Data_Entry_2017_v2020.csv.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NihEntry {
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

fn nih(root: &Path) -> Result<Listing, PrepareError> {
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
    for entry in table::<NihEntry>(entries, &columns)? {
        let path = pictures.get(OsStr::new(&entry.image)).map_or_else(|| root.join(&entry.image), |&path| path.clone());
        let class = if !finding::is_frontal(&entry.view) {
            Err((Reason::NotFrontal, entry.view.clone()))
        } else {
            finding::nih_class(&entry.labels).map_err(|reason| (reason, entry.labels.clone()))
        };
        let row = Row {
            image_id: format!("{NIH}_{}", Path::new(&entry.image).with_extension("").display()),
            source: NIH.into(),
            patient_id: nih_patient(&entry.patient),
            view: entry.view,
            sex: entry.sex,
            age: years(&entry.age),
            protocol: SEED.into(),
            finding: entry.labels,
            license: "NIH ChestX-ray8: no restrictions on use; attribution requested".into(),
            origin_name: entry.image,
            url_or_doi: "https://nihcc.app.box.com/v/ChestXray-NIHCC".into(),
            ..Row::default()
        };
        listing.add(path, row, class);
    }
    Ok(listing)
}

const NIH: &str = "nih";
const RSNA: &str = "rsna";

/// What the ids of each known collection's films and patients begin with.
const COLLECTIONS: [&str; 5] = [COHEN.source, FIGURE1.source, ACTUALMED.source, NIH, RSNA];

/// The patient of an NIH film, as the film's file name has it: eight digits.
fn nih_patient(number: &str) -> String {
    if number.is_empty() { String::new() } else { format!("{NIH}_{number:0>8}") }
}

/// A row of stage_2_detailed_class_info.csv. A film has one for each box drawn on it.
#[derive(Deserialize)]
struct RsnaClass {
    #[serde(rename = "patientid")]
    film: String,
    class: String,
}

/// An entry of RSNA's table of the NIH films its own were made from.
#[derive(Deserialize)]
struct RsnaOrigin {
    #[serde(rename = "subset_img_id")]
    film: String,
    /// The NIH film's file name, `PATIENT_FOLLOWUP.png`.
    #[serde(rename = "img_id")]
    nih_image: String,
}

const RSNA_ORIGINS: &str = "pneumonia-challenge-dataset-mappings_2018.json";

fn rsna(root: &Path) -> Result<Listing, PrepareError> {
    let mut classes = table::<RsnaClass>(&root.join("stage_2_detailed_class_info.csv"), &["patientid", "class"])?;
    classes.sort_by(|a, b| a.film.cmp(&b.film));
    classes.dedup_by(|a, b| a.film == b.film);
    let patients = rsna_patients(&root.join(RSNA_ORIGINS))?;
    let mut listing = Listing::default();
    for RsnaClass { film, class } in classes {
        let path = root.join("stage_2_train_images").join(format!("{film}.dcm"));
        let row = Row {
            image_id: format!("{RSNA}_{film}"),
            source: RSNA.into(),
            // What the table calls a patient is one film. Whose it is, only RSNA's other table says.
            patient_id: patients.get(&film).cloned().unwrap_or_else(|| format!("{RSNA}_{film}")),
            view: UNKNOWN_VIEW.into(),
            protocol: SEED.into(),
            license: "RSNA Pneumonia Detection Challenge: terms of use of the competition".into(),
            origin_name: format!("{film}.dcm"),
            url_or_doi: "https://www.kaggle.com/c/rsna-pneumonia-detection-challenge".into(),
            finding: class,
            ..Row::default()
        };
        let class = finding::rsna_class(&row.finding).map_err(|reason| (reason, row.finding.clone()));
        listing.add(path, row, class);
    }
    Ok(listing)
}

/// The NIH patient of each RSNA film; empty where the table is not there.
fn rsna_patients(path: &Path) -> Result<HashMap<String, String>, PrepareError> {
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
    let origins: Vec<RsnaOrigin> =
        serde_json::from_slice(&text).map_err(|source| PrepareError::RsnaOrigins { path: path.into(), source })?;
    let patient = |image: &str| nih_patient(image.split('_').next().unwrap_or_default());
    Ok(origins.into_iter().map(|origin| (origin.film, patient(&origin.nih_image))).collect())
}

/// `protocol` of films that the paper would take, and of others.
const SEED: &str = "seed";
const EXTRA: &str = "extra";

/// An age in years, without the form that DICOM and the first NIH table give it: 58 of `058Y`.
pub fn years(age: &str) -> String {
    match age.strip_suffix('Y').unwrap_or(age).parse::<u16>() {
        Ok(years) => years.to_string(),
        Err(_) => age.into(),
    }
}

/// Enough of a hash for a name: 12 hexadecimal digits of SHA-256.
pub fn short_hash(text: &str) -> String {
    sha256_hex(text.as_bytes()).chars().take(12).collect()
}

/// The name of a folder, to name a source by.
fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    whole.file_name().map_or_else(|| "local".into(), |name| name.to_string_lossy().into_owned())
}

/// Reads a table with these columns, whatever the case of their names. What is not UTF-8 in it costs its letter only.
fn table<T: DeserializeOwned>(path: &Path, columns: &[&str]) -> Result<Vec<T>, PrepareError> {
    let fault = |source| PrepareError::Table { path: path.into(), source };
    let reader = csv::ReaderBuilder::new().flexible(true).from_path(path);
    let mut reader = reader.map_err(fault)?;
    let names = StringRecord::from_byte_record_lossy(reader.byte_headers().map_err(fault)?.clone());
    let names: StringRecord = names.iter().map(|name| name.trim().to_lowercase()).collect();
    let missing: Vec<&str> =
        columns.iter().filter(|&&column| !names.iter().any(|name| name == column)).copied().collect();
    if !missing.is_empty() {
        return Err(PrepareError::Columns { path: path.into(), missing: missing.join(", ") });
    }
    let mut rows = Vec::new();
    for record in reader.byte_records() {
        let mut record = StringRecord::from_byte_record_lossy(record.map_err(fault)?);
        record.trim();
        // Rows are shorter than the header line where that ends with a comma.
        while record.len() < names.len() {
            record.push_field("");
        }
        rows.push(record.deserialize(Some(&names)).map_err(fault)?);
    }
    Ok(rows)
}

/// All files in a folder and in those in it, in the order of their names, without hidden ones.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, PrepareError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let read = |source| PrepareError::Read { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let path = entry.path();
            match path.is_dir() {
                _ if entry.file_name().as_encoded_bytes().starts_with(b".") => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Film, patient, label and protocol of what may be taken; file and reason of what is left out.
    fn summary(source: Source) -> (Vec<[String; 4]>, Vec<(String, Reason)>) {
        let listing = source.list(&[]).unwrap();
        let films = listing.candidates.into_iter().map(|candidate| candidate.row);
        let dropped = listing.dropped.into_iter().map(|dropped| (dropped.origin_name, dropped.reason));
        (films.map(|row| [row.image_id, row.patient_id, row.label, row.protocol]).collect(), dropped.collect())
    }

    #[test]
    fn cohen_takes_frontal_radiographs_with_a_class() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("metadata.csv"),
            "Patientid,offset,sex,age,finding,view,modality,folder,filename,doi,url,license\n\
             2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.jpg,10.1/x,https://x,CC BY\n\
             2,3,M,65,COVID-19,AP Supine,X-ray,images,b.jpg,,,\n\
             3,0,F,40,COVID-19,L,X-ray,images,c.jpg,,,\n\
             3,0,F,40,COVID-19,Axial,CT,volumes,d.nii.gz,,,\n\
             4,0,F,40,Tuberculosis,PA,X-ray,images,e.jpg,,,\n\
             5,0,F,40,todo,PA,X-ray,images,f.jpg,,,\n\
             6,0,F,40,Pneumonia,PA,X-ray,images,gone.jpg,,,\n\
             7,0,F,40,Pneumonia,,X-ray,images,a.jpg,,,\n",
        );
        for name in ["a.jpg", "b.jpg"] {
            write(path.join("images").join(name), "");
        }
        let (films, dropped) = summary(Source::Cohen(path.into()));
        let film = |name: &str, protocol: &str| {
            [format!("cohen_{}", short_hash(name)), "cohen_2".into(), "covid19".into(), protocol.into()]
        };
        assert_eq!(films, [film("a.jpg", "seed"), film("b.jpg", "extra")]);
        let reasons: Vec<Reason> = dropped.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(
            reasons,
            [
                Reason::NotFrontal,
                Reason::NotRadiograph,
                Reason::OtherFinding,
                Reason::NoLabel,
                Reason::PictureMissing,
                Reason::ViewNotStated,
            ]
        );
        let row = &Source::Cohen(path.into()).list(&[]).unwrap().candidates[0].row;
        assert_eq!((row.license.as_str(), row.url_or_doi.as_str()), ("CC BY", "https://x"));
    }

    #[test]
    fn figure1_names_pictures_by_patient_and_unlabelled_films_are_not_covid() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("metadata.csv"),
            "patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,notes\n\
             COVID-00003a,8,M,28,COVID-19,,39.1,90,AP erect,X-ray,\n\
             COVID-00003b,8,M,28,COVID-19,,39.1,90,,X-ray,\n\
             COVID-00005,,,,,,,,,X-ray,\n\
             COVID-00006,,,,No finding,,,,,X-ray,\n",
        );
        for name in ["COVID-00003a.jpg", "COVID-00003b.jpeg", "COVID-00005.jpg", "COVID-00006.png"] {
            write(path.join("images").join(name), "");
        }
        let (films, dropped) = summary(Source::Figure1(path.into()));
        assert_eq!(
            films,
            [
                ["figure1_00003a", "figure1_COVID-00003", "covid19", "seed"],
                ["figure1_00003b", "figure1_COVID-00003", "covid19", "seed"],
                ["figure1_00006", "figure1_COVID-00006", "normal", "extra"],
            ]
        );
        assert_eq!(dropped, [("COVID-00005.jpg".to_owned(), Reason::NoLabel)]);
    }

    #[test]
    fn a_letter_that_is_not_utf_8_costs_no_table() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(path.join("images/COVID-00003a.jpg"), "");
        // Latin-1's degree sign.
        let table = b"patientid,finding,view,modality,notes \xB0\nCOVID-00003a,COVID-19,PA,X-ray,39.1 \xB0C\n";
        fs::write(path.join("metadata.csv"), table).unwrap();
        let (films, dropped) = summary(Source::Figure1(path.into()));
        assert_eq!(films, [["figure1_00003a", "figure1_COVID-00003", "covid19", "seed"]]);
        assert!(dropped.is_empty(), "{dropped:?}");
    }

    #[test]
    fn patients_of_other_sources_keep_their_ids() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("manifest.csv");
        fs::write(root.path().join("a.png"), "").unwrap();
        let rows = [
            ("a", "rsna", "nih_00000013"),
            ("b", "mine", "clinic_p1"),
            ("c", "clinic", "clinic_p1"),
            ("d", "mine", "p2"),
            ("e", "mine", ""),
        ];
        let rows = rows.map(|(film, source, patient)| format!("{film},a.png,normal,{source},{patient},train\n"));
        write(path.clone(), &format!("image_id,file,label,source,patient_id,split\n{}", rows.concat()));
        let patients: Vec<String> =
            summary(Source::Manifest(path)).0.into_iter().map(|[_, patient, ..]| patient).collect();
        assert_eq!(patients, ["nih_00000013", "clinic_p1", "clinic_p1", "mine_p2", ""]);
    }

    #[test]
    fn actualmed_names_pictures_in_its_own_column() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("metadata.csv"),
            "patientid,finding,view,modality,imagename\n\
             ANON1,COVID-19,AP,X-ray,one.png\n\
             ANON1,No finding,PA,X-ray,two.png\n\
             ANON2,,PA,X-ray,three.png\n",
        );
        for name in ["one.png", "two.png", "three.png"] {
            write(path.join("images").join(name), "");
        }
        let (films, dropped) = summary(Source::Actualmed(path.into()));
        let labels: Vec<&str> = films.iter().map(|[_, _, label, _]| label.as_str()).collect();
        assert_eq!(labels, ["covid19", "normal"]);
        assert_eq!(dropped, [("three.png".to_owned(), Reason::NoLabel)]);
    }

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

    #[test]
    fn rsna_films_get_their_nih_patient_where_the_table_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("stage_2_detailed_class_info.csv"),
            "patientId,class\nf1,Lung Opacity\nf1,Lung Opacity\nf2,Normal\nf3,No Lung Opacity / Not Normal\n",
        );
        for name in ["f1.dcm", "f2.dcm", "f3.dcm"] {
            write(path.join("stage_2_train_images").join(name), "");
        }
        let patients = |path: &Path| -> Vec<String> {
            let (films, dropped) = summary(Source::Rsna(path.into()));
            assert_eq!(dropped, [("f3.dcm".to_owned(), Reason::OtherFinding)]);
            films.into_iter().map(|[_, patient, ..]| patient).collect()
        };
        assert_eq!(patients(path), ["rsna_f1", "rsna_f2"]);
        write(path.join(RSNA_ORIGINS), r#"[{"subset_img_id": "f1", "img_id": "00000013_005.png", "x": 1}]"#);
        assert_eq!(patients(path), ["nih_00000013", "rsna_f2"]);
    }

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

    #[test]
    fn a_wrong_folder_is_told_with_what_it_lacks() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        let error = |source: Source| source.list(&[]).err().unwrap().to_string();
        assert!(error(Source::Folders(path.into())).contains("covid19, pneumonia, normal"));
        assert!(error(Source::Nih(path.into())).contains("Data_Entry_2017"));
        assert!(error(Source::Cohen(path.into())).contains("metadata.csv"));
        assert!(error(Source::Cohen(path.join("nowhere"))).contains("nowhere"));
        write(path.join("metadata.csv"), "patientid,finding\n1,COVID-19\n");
        let error = error(Source::Actualmed(path.into()));
        assert!(error.contains("view, modality, imagename"), "{error}");
    }
}

//! Labelled films: the manifest of a data set, and its pictures in memory. docs/reference/dataset.md has the format.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;
use image::GrayImage;
use serde::{Deserialize, Serialize};
use xray_triage_core::decision::Class;
use xray_triage_core::image_file::{self, ImageFileError};

/// A film of a data set.
#[derive(Clone, Debug)]
pub struct Film {
    /// The film's name. It is unique in its manifest, and annotations are found by it.
    pub image_id: String,
    /// The picture file.
    pub path: PathBuf,
    /// The film's class: the readers' where the film was read, else the one its source gives.
    pub label: Class,
    /// Where the label comes from, if the manifest says so.
    pub label_source: Option<LabelSource>,
    /// What readers saw; empty where nobody read the film.
    pub reading: String,
    /// What the makers of the data set noted of the picture, such as `overlay` or `hist_matched`. Notes are separated by
    /// semicolons.
    pub review: String,
    /// The collection the film comes from.
    pub source: String,
    /// The patient. It is empty if it is not known.
    pub patient_id: String,
    /// The projection: `PA`, `AP` and so on.
    pub view: String,
    /// The split: `train`, `val`, `test` or a name of the user's.
    pub split: String,
    /// `seed` where the paper's protocol would take the film.
    pub protocol: String,
}

/// Where a film's label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LabelSource {
    /// Radiologists read the film for this label.
    Radiologists,
    /// A case report, a PCR test together with the report, or a hospital's record.
    Clinical,
    /// Software took the label from the report's text.
    ReportText,
    /// The patient was tested positive. Nobody says that the film shows it.
    PatientTest,
    /// The folder that the film came in; nothing else is known.
    Folder,
}

impl LabelSource {
    /// All of them, the most trustworthy first.
    pub const ALL: [LabelSource; 5] = [
        LabelSource::Radiologists,
        LabelSource::Clinical,
        LabelSource::ReportText,
        LabelSource::PatientTest,
        LabelSource::Folder,
    ];

    /// The word in a manifest.
    pub fn label(self) -> &'static str {
        match self {
            LabelSource::Radiologists => "radiologists",
            LabelSource::Clinical => "clinical",
            LabelSource::ReportText => "report_text",
            LabelSource::PatientTest => "patient_test",
            LabelSource::Folder => "folder",
        }
    }

    /// Whether a label of this source may be taken for the truth in a report: somebody read the film, or the case was
    /// proved.
    pub fn is_proved(self) -> bool {
        matches!(self, LabelSource::Radiologists | LabelSource::Clinical)
    }
}

impl FromStr for LabelSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = LabelSource::ALL.into_iter().find(|source| source.label() == text);
        found.ok_or_else(|| format!("`{text}` is none of {}", LabelSource::ALL.map(LabelSource::label).join(", ")))
    }
}

/// What a film shows: one of the three classes, or something that is none of them, such as a mass or a heart that is too
/// large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// One of the three classes.
    Class(Class),
    /// None of them.
    Other,
}

impl Label {
    /// The word in a manifest.
    pub fn text(self) -> &'static str {
        match self {
            Label::Class(class) => class.label(),
            Label::Other => "other",
        }
    }

    /// The class, if it is one.
    pub fn class(self) -> Option<Class> {
        match self {
            Label::Class(class) => Some(class),
            Label::Other => None,
        }
    }
}

impl From<Class> for Label {
    fn from(class: Class) -> Self {
        Label::Class(class)
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Class::ALL.map(Label::Class).into_iter().chain([Label::Other]);
        all.into_iter()
            .find(|label| label.text() == text)
            .ok_or_else(|| format!("`{text}` is none of covid19, pneumonia, normal, other"))
    }
}

/// What readers can say of a film. The part of a reading before `@`; who read follows it.
pub const READINGS: [&str; 5] =
    ["lung_opacity", "normal", "abnormal_no_opacity", "airspace_opacity", "no_airspace_opacity"];

/// A row of a manifest. What the file lacks is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The film's name. It is unique in the manifest.
    pub image_id: String,
    /// The picture file, relative to the manifest's folder.
    pub file: PathBuf,
    /// What the source says that the film shows: `covid19`, `pneumonia`, `normal` or `other`.
    pub label: String,
    /// Where the label comes from ([`LabelSource`]).
    #[serde(default)]
    pub label_source: String,
    /// What readers saw: one of [`READINGS`], usually with `@` and who read.
    #[serde(default)]
    pub reading: String,
    /// What follows from the reading: one of the labels.
    #[serde(default)]
    pub reader_label: String,
    /// Notes on the picture, separated by semicolons.
    #[serde(default)]
    pub review: String,
    /// The collection the film comes from.
    #[serde(default)]
    pub source: String,
    /// The patient. Films of one patient are in one split.
    #[serde(default)]
    pub patient_id: String,
    /// The projection: `PA`, `AP` and so on.
    #[serde(default)]
    pub view: String,
    /// The patient's sex, as the source gives it.
    #[serde(default)]
    pub sex: String,
    /// The patient's age in years, as the source gives it.
    #[serde(default)]
    pub age: String,
    /// The split: `train`, `val`, `test` or a name of the user's.
    pub split: String,
    /// `seed` where the paper's protocol would take the film.
    #[serde(default)]
    pub protocol: String,
    /// The source's own words for what the film shows.
    #[serde(default)]
    pub finding: String,
    /// The licence under which the source gives the film.
    #[serde(default)]
    pub license: String,
    /// The film's file in its source.
    #[serde(default)]
    pub origin_name: String,
    /// Where the source has the film, or the paper about it.
    #[serde(default)]
    pub url_or_doi: String,
    /// Width of the picture, pixels. It is measured when a manifest is written, and not read.
    #[serde(skip_deserializing)]
    pub width: u32,
    /// Height of the picture, pixels. It is measured when a manifest is written, and not read.
    #[serde(skip_deserializing)]
    pub height: u32,
    /// Width of the source's picture, pixels. It is measured when a manifest is written, and not read.
    #[serde(skip_deserializing)]
    pub orig_width: u32,
    /// Height of the source's picture, pixels. It is measured when a manifest is written, and not read.
    #[serde(skip_deserializing)]
    pub orig_height: u32,
    /// SHA-256 of the picture file. It is measured when a manifest is written, and not read.
    #[serde(skip_deserializing)]
    pub sha256: String,
}

impl Row {
    /// What the film shows: what readers found where the film was read, else what the source says. Readers cannot tell
    /// whether a virus was proved, so COVID-19 stays COVID-19.
    ///
    /// # Errors
    /// A word in the columns `label` or `reader_label` is no label.
    pub fn shown(&self) -> Result<Label, String> {
        let stated: Label = self.label.parse()?;
        match self.reader_label.as_str() {
            _ if stated == Label::Class(Class::Covid19) => Ok(stated),
            "" => Ok(stated),
            read => read.parse(),
        }
    }

    /// Where the label comes from, if the row says so.
    fn source_of_label(&self) -> Result<Option<LabelSource>, String> {
        if self.label_source.is_empty() { Ok(None) } else { self.label_source.parse().map(Some) }
    }

    /// Whether the reading is one of [`READINGS`], or empty.
    fn has_known_reading(&self) -> Result<(), String> {
        let what = self.reading.split('@').next().unwrap_or_default();
        match what.is_empty() || READINGS.contains(&what) {
            true => Ok(()),
            false => Err(format!("`{what}` is none of {}", READINGS.join(", "))),
        }
    }
}

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The manifest cannot be read, or is no CSV table with the needed columns.
    #[error("{path}: not a manifest ({source}); it needs the columns image_id, file, label and split")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        source: csv::Error,
    },
    /// Words of a column are none that it can have.
    #[error("{path}, column {column}: {unknown}; in {films} films, the first is {image_id}")]
    UnknownWord {
        /// The manifest.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// The first film's word, and those that there are.
        unknown: String,
        /// How many films have such a word.
        films: usize,
        /// The first of them.
        image_id: String,
    },
    /// Two rows have the same `image_id`.
    #[error(
        "{path}: rows {first} and {second} have the same image_id, {image_id}; give each film one of its own, for masks \
         and boxes are found by it"
    )]
    FilmTwice {
        /// The manifest.
        path: PathBuf,
        /// The id of both rows.
        image_id: String,
        /// The first of the two rows. The header line is row 1.
        first: usize,
        /// The second of the two rows.
        second: usize,
    },
    /// The films of a patient are in two splits.
    #[error(
        "{path}: patient {patient_id} is in the splits `{first}` and `{second}`; give each patient one split, or the \
         evaluation sees films of patients it was trained on"
    )]
    PatientInTwoSplits {
        /// The manifest.
        path: PathBuf,
        /// The patient.
        patient_id: String,
        /// The split of the first film.
        first: String,
        /// The split of a later film.
        second: String,
    },
    /// A split has no film.
    #[error("{path}: no film in split `{split}`; the manifest has: {found}")]
    EmptySplit {
        /// The manifest.
        path: PathBuf,
        /// The split.
        split: String,
        /// The splits that there are, with commas between them.
        found: String,
    },
    /// No picture of a split can be read.
    #[error(
        "none of the {films} films of split `{split}` can be read (the first: {first}); put the pictures where the \
         manifest says: its file names are relative to its own folder"
    )]
    NoReadableFilm {
        /// The split.
        split: String,
        /// How many films it has.
        films: usize,
        /// What is wrong with the first of them, with its path.
        first: String,
    },
    /// A class has no film in a split.
    #[error("split `{split}` has no film of class `{label}` that can be read; all three classes are needed")]
    EmptyClass {
        /// The split.
        split: String,
        /// The class's label.
        label: &'static str,
    },
}

/// The manifest of a data set.
pub struct Manifest {
    path: PathBuf,
    films: Vec<Film>,
    others: Vec<OtherFilm>,
}

/// A film of a data set that shows none of the three classes, but something else.
#[derive(Clone, Debug)]
pub struct OtherFilm {
    /// The film's name.
    pub image_id: String,
    /// The picture file.
    pub path: PathBuf,
    /// The collection the film comes from.
    pub source: String,
    /// The patient. It is empty if it is not known.
    pub patient_id: String,
    /// The projection.
    pub view: String,
    /// The split.
    pub split: String,
    /// What readers saw; empty where nobody read the film.
    pub reading: String,
}

impl Manifest {
    /// Reads a CSV manifest. File names in it are relative to the manifest's own folder.
    ///
    /// # Errors
    /// Those of [`read_rows`].
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let (mut films, mut others) = (Vec::new(), Vec::new());
        for LabelledRow { row, label, label_source } in read_rows(path)? {
            let path = folder.join(row.file);
            match label {
                Label::Class(label) => films.push(Film {
                    image_id: row.image_id,
                    path,
                    label,
                    label_source,
                    reading: row.reading,
                    review: row.review,
                    source: row.source,
                    patient_id: row.patient_id,
                    view: row.view,
                    split: row.split,
                    protocol: row.protocol,
                }),
                Label::Other => others.push(OtherFilm {
                    image_id: row.image_id,
                    path,
                    source: row.source,
                    patient_id: row.patient_id,
                    view: row.view,
                    split: row.split,
                    reading: row.reading,
                }),
            }
        }
        Ok(Manifest { path: path.into(), films, others })
    }

    /// The film with this `image_id`, whatever its split.
    pub fn film(&self, image_id: &str) -> Option<&Film> {
        self.films.iter().find(|film| film.image_id == image_id)
    }

    /// The films of a split that show something else than the three classes. They are neither trained on nor counted as
    /// right or wrong.
    pub fn others(&self, split: &str) -> Vec<OtherFilm> {
        self.others.iter().filter(|film| film.split == split).cloned().collect()
    }

    /// The films of a split that show one of the three classes.
    ///
    /// # Errors
    /// The split has no such film.
    pub fn split(&self, name: &str) -> Result<Vec<Film>, DatasetError> {
        let films: Vec<Film> = self.films.iter().filter(|film| film.split == name).cloned().collect();
        if films.is_empty() {
            let mut found: Vec<&str> = self.films.iter().map(|film| film.split.as_str()).collect();
            found.sort_unstable();
            found.dedup();
            return Err(DatasetError::EmptySplit {
                path: self.path.clone(),
                split: name.into(),
                found: found.join(", "),
            });
        }
        Ok(films)
    }
}

/// Of the films of a split, those whose label may be taken for the truth: somebody read the film or the case was proved, or
/// the manifest says nothing about it. A class without such a film keeps all that it has, and a warning says so.
pub fn with_trusted_labels(split: &str, films: Vec<Film>) -> Vec<Film> {
    let trusted = |film: &Film| film.label_source.is_none_or(LabelSource::is_proved);
    let kept = Class::ALL.map(|class| films.iter().any(|film| film.label == class && trusted(film)));
    for class in Class::ALL {
        let all = films.iter().filter(|film| film.label == class).count();
        if all > 0 && !kept[class as usize] {
            log::warn!(
                "split `{split}`: none of its {all} films of class `{}` was read by radiologists or proved clinically; \
                 figures of this class rest on uncertain labels",
                class.label()
            );
        }
    }
    films.into_iter().filter(|film| trusted(film) || !kept[film.label as usize]).collect()
}

/// A row of a manifest, with what its words mean.
pub struct LabelledRow {
    /// The row.
    pub row: Row,
    /// What the film shows ([`Row::shown`]).
    pub label: Label,
    /// Where the source's label comes from, if the row says so.
    pub label_source: Option<LabelSource>,
}

/// Reads the rows of a CSV manifest. A letter that is not UTF-8 is replaced.
///
/// # Errors
/// A needed column is missing, a label, its source or a reading is none that there is, an `image_id` is there twice, or a
/// patient is in two splits.
pub fn read_rows(path: &Path) -> Result<Vec<LabelledRow>, DatasetError> {
    let manifest = |source| DatasetError::Manifest { path: path.into(), source };
    let mut rows = Vec::new();
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut splits: BTreeMap<String, String> = BTreeMap::new();
    let mut unknown = UnknownWords::default();
    let mut reader = csv::Reader::from_path(path).map_err(manifest)?;
    let names = StringRecord::from_byte_record_lossy(reader.byte_headers().map_err(manifest)?.clone());
    // The header line is the first row.
    for (number, record) in (2..).zip(reader.byte_records()) {
        let record = StringRecord::from_byte_record_lossy(record.map_err(manifest)?);
        let row: Row = record.deserialize(Some(&names)).map_err(manifest)?;
        if let Some(first) = ids.insert(row.image_id.clone(), number) {
            return Err(DatasetError::FilmTwice { path: path.into(), image_id: row.image_id, first, second: number });
        }
        if !row.patient_id.is_empty() {
            let first = splits.entry(row.patient_id.clone()).or_insert_with(|| row.split.clone());
            if *first != row.split {
                return Err(DatasetError::PatientInTwoSplits {
                    path: path.into(),
                    patient_id: row.patient_id,
                    first: first.clone(),
                    second: row.split,
                });
            }
        }
        let label = unknown.note("label or reader_label", &row, row.shown());
        let label_source = unknown.note("label_source", &row, row.source_of_label());
        unknown.note("reading", &row, row.has_known_reading());
        if let (Some(label), Some(label_source)) = (label, label_source) {
            rows.push(LabelledRow { row, label, label_source });
        }
    }
    match unknown.first {
        None => Ok(rows),
        Some((column, unknown, films, image_id)) => {
            Err(DatasetError::UnknownWord { path: path.into(), column, unknown, films, image_id })
        }
    }
}

/// The first column with words that it cannot have: the column, the first such word, how many films have one, and the first
/// of them.
#[derive(Default)]
struct UnknownWords {
    first: Option<(&'static str, String, usize, String)>,
}

impl UnknownWords {
    /// Gives what the word means, or notes that it means nothing.
    fn note<T>(&mut self, column: &'static str, row: &Row, meaning: Result<T, String>) -> Option<T> {
        meaning
            .map_err(|unknown| match &mut self.first {
                None => self.first = Some((column, unknown, 1, row.image_id.clone())),
                Some((first, _, films, _)) if *first == column => *films += 1,
                Some(_) => {}
            })
            .ok()
    }
}

/// A film and its picture in memory.
pub struct LabelledFilm {
    /// The film's row of the manifest.
    pub film: Film,
    /// The film's picture: the film alone and upright, 8-bit gray, of any size.
    pub picture: GrayImage,
}

/// Reads the pictures of a split. A film whose picture cannot be read is logged and left out. The second value counts these
/// films.
///
/// # Errors
/// No picture can be read.
pub fn read_films(films: Vec<Film>) -> Result<(Vec<LabelledFilm>, usize), DatasetError> {
    let mut read = Vec::with_capacity(films.len());
    let mut unreadable = Vec::new();
    for film in films {
        match image_file::read(&film.path) {
            Ok(picture) => read.push(LabelledFilm { film, picture }),
            Err(error) => {
                log::warn!("skipped: {error}");
                unreadable.push((film, error));
            }
        }
    }
    match unreadable.first() {
        Some((film, error)) if read.is_empty() => Err(none_readable(film, unreadable.len(), error)),
        _ => Ok((read, unreadable.len())),
    }
}

/// Checks that at least one picture of a split can be read.
///
/// # Errors
/// No picture can be read.
pub fn check_readable(films: &[Film]) -> Result<(), DatasetError> {
    let mut first = None;
    for film in films {
        match image_file::read(&film.path) {
            Ok(_) => return Ok(()),
            Err(error) => {
                first.get_or_insert((film, error));
            }
        }
    }
    match first {
        Some((film, error)) => Err(none_readable(film, films.len(), &error)),
        None => Ok(()),
    }
}

/// The error that none of the films of a split can be read, with the first film and why it cannot be read.
fn none_readable(first: &Film, films: usize, error: &ImageFileError) -> DatasetError {
    DatasetError::NoReadableFilm { split: first.split.clone(), films, first: error.to_string() }
}

/// Checks that a split has films of every class.
///
/// # Errors
/// A class has no film.
pub fn check_classes(split: &str, films: &[LabelledFilm]) -> Result<(), DatasetError> {
    match Class::ALL.into_iter().find(|class| films.iter().all(|film| film.film.label != *class)) {
        Some(class) => Err(DatasetError::EmptyClass { split: split.into(), label: class.label() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rows: impl AsRef<[u8]>) -> Result<Manifest, DatasetError> {
        let path = std::env::temp_dir().join(format!("manifest-{name}-{}.csv", std::process::id()));
        std::fs::write(&path, [&b"image_id,file,label,patient_id,split\n"[..], rows.as_ref()].concat()).unwrap();
        let manifest = Manifest::read(&path);
        std::fs::remove_file(&path).unwrap();
        manifest
    }

    #[test]
    fn a_patient_in_two_splits_is_refused() {
        let error = manifest("patient", "a,a.jpg,normal,p1,train\nb,b.jpg,normal,p1,test\n").err().unwrap();
        assert!(matches!(error, DatasetError::PatientInTwoSplits { .. }), "{error}");
    }

    #[test]
    fn a_film_that_is_there_twice_is_refused_with_both_rows() {
        let error = manifest("twice", "a,a.jpg,normal,,train\nb,b.jpg,normal,,train\na,c.jpg,normal,,train\n");
        let error = error.err().unwrap().to_string();
        assert!(error.contains("rows 2 and 4 have the same image_id, a;"), "{error}");
    }

    #[test]
    fn a_letter_that_is_not_utf_8_costs_no_film() {
        let manifest = manifest("latin", b"a,a.jpg,normal,M\xFCller,train\nb,b.jpg,normal,p2,train\n").unwrap();
        let patients: Vec<String> = manifest.split("train").unwrap().into_iter().map(|film| film.patient_id).collect();
        assert_eq!(patients, ["M\u{FFFD}ller", "p2"]);
    }

    #[test]
    fn a_word_that_means_nothing_is_refused_with_its_column_and_count() {
        let error = |rows: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("manifest.csv");
            std::fs::write(&path, format!("image_id,file,split,label,label_source,reading,reader_label\n{rows}"))
                .unwrap();
            Manifest::read(&path).err().unwrap().to_string()
        };
        for (rows, column, word) in [
            ("a,a.jpg,train,flu,,,\nb,b.jpg,train,flu,,,\nc,c.jpg,train,normal,,,\n", "label", "`flu`"),
            ("a,a.jpg,train,normal,,,sick\nb,b.jpg,train,normal,,,sick\n", "reader_label", "`sick`"),
            ("a,a.jpg,train,normal,hearsay,,\nb,b.jpg,train,normal,hearsay,,\n", "label_source", "`hearsay`"),
            ("a,a.jpg,train,normal,,odd@rsna,\nb,b.jpg,train,normal,,odd@x,\n", "reading", "`odd`"),
        ] {
            let error = error(rows);
            assert!(error.contains(column) && error.contains(word), "{error}");
            assert!(error.contains("in 2 films, the first is a"), "{error}");
        }
    }

    #[test]
    fn what_readers_saw_goes_before_what_software_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.csv");
        let rows = [
            "a,a.jpg,train,pneumonia,report_text,,",
            "b,b.jpg,train,pneumonia,radiologists,normal@rsna,normal",
            "c,c.jpg,train,normal,radiologists,abnormal_no_opacity@rsna,other",
            "d,d.jpg,train,covid19,clinical,normal@rsna,normal",
            "e,e.jpg,train,other,,,",
        ];
        let header = "image_id,file,split,label,label_source,reading,reader_label\n";
        std::fs::write(&path, header.to_owned() + &rows.join("\n")).unwrap();
        let manifest = Manifest::read(&path).unwrap();
        let films = manifest.split("train").unwrap();
        let labels: Vec<(&str, Class)> = films.iter().map(|film| (film.image_id.as_str(), film.label)).collect();
        assert_eq!(labels, [("a", Class::Pneumonia), ("b", Class::Normal), ("d", Class::Covid19)]);
        assert_eq!(films[0].label_source, Some(LabelSource::ReportText));
        let others: Vec<String> = manifest.others("train").into_iter().map(|film| film.image_id).collect();
        assert_eq!(others, ["c", "e"]);
    }

    #[test]
    fn only_films_that_were_read_or_proved_are_trusted_where_a_class_has_some() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.csv");
        let rows = [
            "a,a.jpg,val,pneumonia,report_text",
            "b,b.jpg,val,normal,report_text",
            "c,c.jpg,val,normal,radiologists",
            "d,d.jpg,val,covid19,",
            "e,e.jpg,val,covid19,patient_test",
        ];
        std::fs::write(&path, "image_id,file,split,label,label_source\n".to_owned() + &rows.join("\n")).unwrap();
        let films = Manifest::read(&path).unwrap().split("val").unwrap();
        let trusted: Vec<String> = with_trusted_labels("val", films).into_iter().map(|film| film.image_id).collect();
        assert_eq!(trusted, ["a", "c", "d"]);
    }

    #[test]
    fn an_unreadable_film_is_counted_and_a_split_of_them_refused() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("a.png");
        GrayImage::new(8, 8).save(&there).unwrap();
        let rows =
            format!("a,{},normal,p1,train\nb,gone.jpg,normal,p2,train\nc,gone.jpg,normal,p3,val\n", there.display());
        let manifest = manifest("unreadable", rows).unwrap();
        let (films, skipped) = read_films(manifest.split("train").unwrap()).unwrap();
        assert_eq!((films.len(), skipped), (1, 1));
        assert!(check_classes("train", &films).unwrap_err().to_string().contains("covid19"));
        assert!(check_readable(&manifest.split("train").unwrap()).is_ok());
        let val = manifest.split("val").unwrap();
        for error in [check_readable(&val).err(), read_films(val).err()] {
            let error = error.unwrap().to_string();
            assert!(error.contains("none of the 1 films of split `val`") && error.contains("gone.jpg"), "{error}");
        }
    }

    #[test]
    fn an_empty_split_names_what_there_is() {
        let manifest = manifest("split", "a,a.jpg,normal,p1,train\n").unwrap();
        assert!(manifest.split("holdout").unwrap_err().to_string().contains("train"));
    }
}

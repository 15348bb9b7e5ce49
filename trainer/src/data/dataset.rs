//! Labelled films: the manifest, and the pictures in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use image::GrayImage;
use serde::{Deserialize, Serialize};
use xray_triage_core::decision::Class;
use xray_triage_core::image_file::{self, ImageFileError};

/// One row of a manifest.
#[derive(Clone, Debug)]
pub struct Film {
    pub image_id: String,
    pub path: PathBuf,
    pub label: Class,
    /// The collection the film comes from.
    pub source: String,
    pub patient_id: String,
    pub view: String,
    /// `train`, `val`, `test` or a name of the user's.
    pub split: String,
    /// `seed` where the paper's protocol would take the film.
    pub protocol: String,
}

/// A row as it stands in a manifest. What the file lacks is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    pub image_id: String,
    /// Relative to the manifest's folder.
    pub file: PathBuf,
    pub label: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub patient_id: String,
    #[serde(default)]
    pub view: String,
    #[serde(default)]
    pub sex: String,
    /// Years, as the source gives it.
    #[serde(default)]
    pub age: String,
    pub split: String,
    #[serde(default)]
    pub protocol: String,
    /// The source's own words for what the film shows.
    #[serde(default)]
    pub finding: String,
    #[serde(default)]
    pub license: String,
    /// The film's file in its source.
    #[serde(default)]
    pub origin_name: String,
    #[serde(default)]
    pub url_or_doi: String,
    /// Of the picture, pixels. This and the columns below are measured when a manifest is written, and not read.
    #[serde(skip_deserializing)]
    pub width: u32,
    #[serde(skip_deserializing)]
    pub height: u32,
    /// Of the source's picture, pixels.
    #[serde(skip_deserializing)]
    pub orig_width: u32,
    #[serde(skip_deserializing)]
    pub orig_height: u32,
    /// Of the picture file.
    #[serde(skip_deserializing)]
    pub sha256: String,
}

impl Row {
    /// The label as a class, if it is one.
    pub fn class(&self) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.label() == self.label)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error("{path}: not a manifest ({source}); it needs the columns image_id, file, label and split")]
    Manifest { path: PathBuf, source: csv::Error },
    #[error("{path}, film {image_id}: label `{label}` is none of covid19, pneumonia, normal")]
    Label { path: PathBuf, image_id: String, label: String },
    #[error(
        "{path}: rows {first} and {second} have the same image_id, {image_id}; give each film one of its own, for masks \
         and boxes are found by it"
    )]
    FilmTwice { path: PathBuf, image_id: String, first: usize, second: usize },
    #[error(
        "{path}: patient {patient_id} is in the splits `{first}` and `{second}`; give each patient one split, or the \
         evaluation sees films of patients it was trained on"
    )]
    PatientInTwoSplits { path: PathBuf, patient_id: String, first: String, second: String },
    #[error("{path}: no film in split `{split}`; the manifest has: {found}")]
    EmptySplit { path: PathBuf, split: String, found: String },
    #[error(
        "none of the {films} films of split `{split}` can be read (the first: {first}); put the pictures where the \
         manifest says: its file names are relative to its own folder"
    )]
    NoReadableFilm { split: String, films: usize, first: String },
    #[error("split `{split}` has no film of class `{label}` that can be read; all three classes are needed")]
    EmptyClass { split: String, label: &'static str },
}

/// A dataset's manifest.
pub struct Manifest {
    path: PathBuf,
    films: Vec<Film>,
}

impl Manifest {
    /// Reads a CSV manifest as [`read_rows`] does. File names in it are relative to the manifest's own folder.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let film = |(row, label): (Row, Class)| Film {
            image_id: row.image_id,
            path: folder.join(row.file),
            label,
            source: row.source,
            patient_id: row.patient_id,
            view: row.view,
            split: row.split,
            protocol: row.protocol,
        };
        Ok(Manifest { path: path.into(), films: read_rows(path)?.into_iter().map(film).collect() })
    }

    /// The film of that name, whatever its split.
    pub fn film(&self, image_id: &str) -> Option<&Film> {
        self.films.iter().find(|film| film.image_id == image_id)
    }

    /// The films of a split.
    ///
    /// # Errors
    /// There is none.
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

/// Reads the rows of a CSV manifest with their classes.
///
/// # Errors
/// A needed column is missing, a label is no class, an `image_id` is there twice, or a patient is in two splits. A letter
/// that is not UTF-8 is replaced.
pub fn read_rows(path: &Path) -> Result<Vec<(Row, Class)>, DatasetError> {
    let manifest = |source| DatasetError::Manifest { path: path.into(), source };
    let mut rows = Vec::new();
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut splits: BTreeMap<String, String> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(path).map_err(manifest)?;
    let names = StringRecord::from_byte_record_lossy(reader.byte_headers().map_err(manifest)?.clone());
    // The header line is the first row.
    for (number, record) in (2..).zip(reader.byte_records()) {
        let record = StringRecord::from_byte_record_lossy(record.map_err(manifest)?);
        let row: Row = record.deserialize(Some(&names)).map_err(manifest)?;
        let Some(class) = row.class() else {
            return Err(DatasetError::Label { path: path.into(), image_id: row.image_id, label: row.label });
        };
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
        rows.push((row, class));
    }
    Ok(rows)
}

/// A film and its picture.
pub struct LabelledPlate {
    pub film: Film,
    pub plate: GrayImage,
}

/// Reads the pictures of a split. What cannot be read is logged and left out; the second value counts it.
///
/// # Errors
/// None can be read.
pub fn read_plates(films: Vec<Film>) -> Result<(Vec<LabelledPlate>, usize), DatasetError> {
    let mut plates = Vec::with_capacity(films.len());
    let mut unreadable = Vec::new();
    for film in films {
        match image_file::read(&film.path) {
            Ok(plate) => plates.push(LabelledPlate { film, plate }),
            Err(error) => {
                log::warn!("skipped: {error}");
                unreadable.push((film, error));
            }
        }
    }
    match unreadable.first() {
        Some((film, error)) if plates.is_empty() => Err(none_readable(film, unreadable.len(), error)),
        _ => Ok((plates, unreadable.len())),
    }
}

/// Checks that at least one picture of a split can be read.
///
/// # Errors
/// None can.
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

/// That of so many films of a split none can be read: the first one, and why it cannot.
fn none_readable(first: &Film, films: usize, error: &ImageFileError) -> DatasetError {
    DatasetError::NoReadableFilm { split: first.split.clone(), films, first: error.to_string() }
}

/// Checks that a split has films of every class.
///
/// # Errors
/// It has not.
pub fn check_classes(split: &str, plates: &[LabelledPlate]) -> Result<(), DatasetError> {
    match Class::ALL.into_iter().find(|class| plates.iter().all(|plate| plate.film.label != *class)) {
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
    fn an_unknown_label_is_refused() {
        let error = manifest("label", "a,a.jpg,flu,p1,train\n").err().unwrap();
        assert!(error.to_string().contains("flu"));
    }

    #[test]
    fn an_unreadable_film_is_counted_and_a_split_of_them_refused() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("a.png");
        GrayImage::new(8, 8).save(&there).unwrap();
        let rows =
            format!("a,{},normal,p1,train\nb,gone.jpg,normal,p2,train\nc,gone.jpg,normal,p3,val\n", there.display());
        let manifest = manifest("unreadable", rows).unwrap();
        let (plates, skipped) = read_plates(manifest.split("train").unwrap()).unwrap();
        assert_eq!((plates.len(), skipped), (1, 1));
        assert!(check_classes("train", &plates).unwrap_err().to_string().contains("covid19"));
        assert!(check_readable(&manifest.split("train").unwrap()).is_ok());
        let val = manifest.split("val").unwrap();
        for error in [check_readable(&val).err(), read_plates(val).err()] {
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

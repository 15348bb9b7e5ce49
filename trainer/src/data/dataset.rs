//! Labelled films: the manifest of a data set, and its pictures in memory. docs/reference/dataset.md has the format.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

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
    /// The film's class.
    pub label: Class,
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

/// A row of a manifest. What the file lacks is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// The film's name. It is unique in the manifest.
    pub image_id: String,
    /// The picture file, relative to the manifest's folder.
    pub file: PathBuf,
    /// The class: `covid19`, `pneumonia` or `normal`.
    pub label: String,
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
    /// The class that the label names, if it names one.
    pub fn class(&self) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.label() == self.label)
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
    /// A label is none of the three.
    #[error("{path}, film {image_id}: label `{label}` is none of covid19, pneumonia, normal")]
    Label {
        /// The manifest.
        path: PathBuf,
        /// The film.
        image_id: String,
        /// Its label.
        label: String,
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
}

impl Manifest {
    /// Reads a CSV manifest. File names in it are relative to the manifest's own folder.
    ///
    /// # Errors
    /// Those of [`read_rows`].
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

    /// The film with this `image_id`, whatever its split.
    pub fn film(&self, image_id: &str) -> Option<&Film> {
        self.films.iter().find(|film| film.image_id == image_id)
    }

    /// The films of a split.
    ///
    /// # Errors
    /// The split has no film.
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

/// Reads the rows of a CSV manifest with their classes. A letter that is not UTF-8 is replaced.
///
/// # Errors
/// A needed column is missing, a label is no class, an `image_id` is there twice, or a patient is in two splits.
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

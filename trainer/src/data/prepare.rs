//! From collections of films as their owners distribute them to a data set: honest labels, every film once, every
//! patient in one split, and a word on each film that was left out. See docs/guide/prepare-data.md.
//!
//! [`source`] lists films, [`finding`] judges what is said of them, [`dicom`] reads hospital files, [`duplicates`]
//! finds copies, [`split`] shares out, [`report`] counts.

pub mod dicom;
pub mod duplicates;
pub mod finding;
pub mod report;
pub mod source;
pub mod split;

use std::collections::{HashMap, HashSet};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::ValueEnum;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{GrayImage, ImageError, ImageFormat};
use rayon::prelude::*;
use serde::Serialize;
use xray_triage_core::atomic_file;
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::decision::Class;
use xray_triage_core::image_file;

use crate::data::dataset::{DatasetError, Row};

use self::dicom::DicomFilm;
use self::duplicates::Fingerprint;
use self::finding::{Reason, UNKNOWN_VIEW};
use self::report::Report;
use self::source::{Candidate, ClassFolder, Dropped, Source};
use self::split::{Groups, SPLITS, Shares};

/// How a data set is made.
#[derive(Clone, Debug)]
pub struct Options {
    pub shares: Shares,
    /// Draws who comes into which split.
    pub seed: u64,
    /// Longest side of a written picture, pixels; smaller pictures keep their size.
    pub longest_side: u32,
    pub encoding: Encoding,
    /// Also draw the splits of films whose imported manifest gives one.
    pub resplit: bool,
    /// Go on where a class has no film.
    pub allow_missing_class: bool,
    /// Folders of [`Source::Folders`] that do not bear their class's name.
    pub class_folders: Vec<ClassFolder>,
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// Quality 90.
    Jpeg,
    Png,
}

impl Encoding {
    fn ending(self) -> &'static str {
        match self {
            Encoding::Jpeg => "jpg",
            Encoding::Png => "png",
        }
    }

    fn encode(self, plate: &GrayImage) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        match self {
            Encoding::Jpeg => JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(plate)?,
            Encoding::Png => plate.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?,
        }
        Ok(bytes)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("{path}: {source}; give the folder of the collection as it is distributed")]
    Table { path: PathBuf, source: csv::Error },
    #[error("{path}: no column {missing}; give the collection's own table, with its header line")]
    Columns { path: PathBuf, missing: String },
    #[error("{root}: no {table} in it; give the folder of the collection as it is distributed")]
    NoTable { root: PathBuf, table: &'static str },
    #[error(
        "{root}: no film in a folder covid19, pneumonia, normal; put the films of each class into a folder of its name, or \
         say which folder is which by --class FOLDER=LABEL"
    )]
    NoClassFolder { root: PathBuf },
    #[error("{path}: not RSNA's table of NIH films ({source}); give it as it is distributed, or remove it")]
    RsnaOrigins { path: PathBuf, source: serde_json::Error },
    #[error("{path}: cannot be read ({source}); check the name and its permissions")]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Manifest(#[from] DatasetError),
    #[error("{out}: not an empty folder; name a new one, so that nothing of yours is overwritten")]
    Occupied { out: PathBuf },
    #[error(
        "no film of class {label} is left, and no network can be trained without; add a source that has some, see \
         {list} for what was left out and why, or give --allow-missing-class for a set to evaluate on"
    )]
    EmptyClass { label: &'static str, list: PathBuf },
    #[error(
        "{path}: cannot be written ({source}); free some space or name another folder, then start again in an empty \
         one: what is written so far is no data set"
    )]
    Write { path: PathBuf, source: io::Error },
}

/// The pictures' folder in the data set.
const PICTURES: &str = "images";

/// Makes a data set in `out`: pictures, `manifest.csv`, `dropped.csv`. The manifest comes last, so that a run that was
/// stopped leaves none.
///
/// # Errors
/// A source that is not what it should be, a class without films, a disk that takes no more. A film that cannot be used
/// is no error: it is left out and listed.
pub fn prepare(out: &Path, sources: &[Source], options: &Options) -> Result<Report, PrepareError> {
    if out.exists() && !std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none()) {
        return Err(PrepareError::Occupied { out: out.into() });
    }
    let mut sources = sources.to_vec();
    sources.sort();
    let (mut candidates, mut dropped) = (Vec::new(), Vec::new());
    for source in &sources {
        let listing = source.list(&options.class_folders)?;
        candidates.extend(listing.candidates);
        dropped.extend(listing.dropped);
    }
    name_pictures(&mut candidates, options.encoding);
    if options.resplit {
        candidates.iter_mut().for_each(|candidate| candidate.row.split.clear());
    }
    let pictures = out.join(PICTURES);
    std::fs::create_dir_all(&pictures).map_err(|source| PrepareError::Write { path: pictures, source })?;
    let (mut rows, fingerprints) = take_all(out, candidates, options, &mut dropped)?;

    let pairs = duplicates::pairs(&fingerprints);
    let (mut copies, mut patients) = (Groups::new(rows.len()), Groups::new(rows.len()));
    for pair in &pairs {
        copies.join(pair.first, pair.second);
        patients.join(pair.first, pair.second);
    }
    let same: HashSet<usize> = pairs.iter().filter(|pair| pair.same_pixels).map(|pair| pair.second).collect();
    join_patients(&mut rows, &mut patients);
    let mut left_out = leave_out_copies(&rows, &copies.lists(), &same);
    share_out(&mut rows, &patients.lists(), options, &mut left_out);
    let mut kept = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        match left_out.remove(&index) {
            None => kept.push(row),
            Some(drop) => {
                let path = out.join(&row.file);
                std::fs::remove_file(&path).map_err(|source| PrepareError::Write { path, source })?;
                dropped.push(drop);
            }
        }
    }

    let list = out.join("dropped.csv");
    write_table(&list, &dropped)?;
    let missing = Class::ALL.into_iter().find(|class| !kept.iter().any(|row| row.label == class.label()));
    if let Some(class) = missing
        && !options.allow_missing_class
    {
        return Err(PrepareError::EmptyClass { label: class.label(), list });
    }
    write_table(&out.join("manifest.csv"), &kept)?;
    Ok(Report { films: kept, dropped })
}

/// Gives each picture its file, and a name of its own: films of two sources may bear the same.
fn name_pictures(candidates: &mut [Candidate], encoding: Encoding) {
    let mut taken = HashSet::new();
    for Candidate { row, .. } in candidates {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() || "_-.".contains(letter) { letter } else { '_' };
        let name: String = row.image_id.chars().map(letter).collect();
        let name = if name.is_empty() || name.starts_with('.') { format!("film{name}") } else { name };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        // On some disks, upper and lower case are the same name.
        let mut free = std::iter::once(name.clone()).chain(numbered).filter(|name| taken.insert(name.to_lowercase()));
        row.image_id = free.next().unwrap_or(name);
        row.file = Path::new(PICTURES).join(format!("{}.{}", row.image_id, encoding.ending()));
    }
}

/// Reads and writes every picture. The rows of those that could be used, and what to compare them by.
fn take_all(
    out: &Path,
    candidates: Vec<Candidate>,
    options: &Options,
    dropped: &mut Vec<Dropped>,
) -> Result<(Vec<Row>, Vec<Fingerprint>), PrepareError> {
    let (films, done) = (candidates.len(), AtomicUsize::new(0));
    let take_and_count = |candidate: Candidate| {
        let taken = take(out, candidate, options);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(500) {
            log::info!("{done} of {films} pictures");
        }
        taken
    };
    let taken: Vec<_> = candidates.into_par_iter().map(take_and_count).collect::<Result<_, _>>()?;
    let (mut rows, mut fingerprints) = (Vec::new(), Vec::new());
    for film in taken {
        match film {
            Ok((row, fingerprint)) => {
                rows.push(row);
                fingerprints.push(fingerprint);
            }
            Err(drop) => dropped.push(drop),
        }
    }
    Ok((rows, fingerprints))
}

/// Reads a film's picture and writes it scaled, or says why it is left out.
fn take(
    out: &Path,
    Candidate { path, mut row }: Candidate,
    options: &Options,
) -> Result<Result<(Row, Fingerprint), Dropped>, PrepareError> {
    let plate = match read_plate(&path, &mut row) {
        Ok(plate) => plate,
        Err((reason, detail)) => return Ok(Err(Dropped::new(&row, reason, detail))),
    };
    let fingerprint = Fingerprint::of(&plate);
    let scaled = scaled(&plate, options.longest_side);
    let file = out.join(&row.file);
    let write = |source| PrepareError::Write { path: file.clone(), source };
    let bytes = options.encoding.encode(&scaled).map_err(|error| write(io::Error::other(error)))?;
    // Not waited for: what makes the folder a data set is the manifest.
    std::fs::write(&file, &bytes).map_err(write)?;
    (row.orig_width, row.orig_height) = plate.dimensions();
    (row.width, row.height) = scaled.dimensions();
    row.sha256 = sha256_hex(&bytes);
    Ok(Ok((row, fingerprint)))
}

/// Reads a JPEG, PNG or DICOM picture. What a DICOM file says and the row does not is put into the row.
fn read_plate(path: &Path, row: &mut Row) -> Result<GrayImage, (Reason, String)> {
    if !dicom::is_dicom(path) {
        return image_file::read(path).map_err(|error| (Reason::PictureUnreadable, error.fault.to_string()));
    }
    let DicomFilm { plate, patient_id, modality, view, sex, age } =
        dicom::read(path).map_err(|error| (Reason::PictureUnreadable, error.to_string()))?;
    // Computed and digital radiography, digitized films, pictures of pictures.
    if !["CR", "DX", "RG", "SC", "OT", ""].contains(&modality.as_str()) {
        return Err((Reason::NotRadiograph, modality));
    }
    if row.view.is_empty() || row.view == UNKNOWN_VIEW {
        row.view = if view.is_empty() { UNKNOWN_VIEW.into() } else { view };
    }
    if !finding::is_frontal(&row.view) {
        return Err((Reason::NotFrontal, row.view.clone()));
    }
    if row.patient_id.is_empty() && !patient_id.is_empty() {
        // A hospital's number does not belong into a data set.
        row.patient_id = format!("{}_{}", row.source, source::short_hash(&patient_id));
    }
    if row.sex.is_empty() {
        row.sex = sex;
    }
    if row.age.is_empty() {
        row.age = source::years(&age);
    }
    Ok(plate)
}

/// The picture with its longest side at most `longest` pixels.
fn scaled(plate: &GrayImage, longest: u32) -> GrayImage {
    let (width, height) = plate.dimensions();
    let side = width.max(height);
    if side <= longest {
        return plate.clone();
    }
    let shrunk = |pixels: u32| (f64::from(pixels) * f64::from(longest) / f64::from(side)).round().max(1.0) as u32;
    imageops::resize(plate, shrunk(width), shrunk(height), FilterType::CatmullRom)
}

/// Joins the films of each patient. Patients whose films are the same film are the same patient and get one id.
fn join_patients(rows: &mut [Row], patients: &mut Groups) {
    let mut first_of: HashMap<String, usize> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !row.patient_id.is_empty()) {
        let first = *first_of.entry(row.patient_id.clone()).or_insert(index);
        patients.join(first, index);
    }
    for films in patients.lists() {
        let known = films.iter().map(|&film| &rows[film].patient_id).find(|id| !id.is_empty());
        let Some(id) = known.cloned() else { continue };
        films.iter().for_each(|&film| rows[film].patient_id.clone_from(&id));
    }
}

/// Of films that are the same one, all but the first; or all, if their labels differ.
fn leave_out_copies(rows: &[Row], copies: &[Vec<usize>], same_pixels: &HashSet<usize>) -> HashMap<usize, Dropped> {
    let mut left_out = HashMap::new();
    for films in copies {
        let [first, others @ ..] = films.as_slice() else { continue };
        if others.iter().any(|&film| rows[film].label != rows[*first].label) {
            let labels: Vec<String> =
                films.iter().map(|&film| format!("{} {}", rows[film].image_id, rows[film].label)).collect();
            let drop = |&film: &usize| (film, Dropped::new(&rows[film], Reason::LabelsContradict, labels.join(", ")));
            left_out.extend(films.iter().map(drop));
            continue;
        }
        for &film in others {
            let reason = if same_pixels.contains(&film) { Reason::SamePixels } else { Reason::NearDuplicate };
            left_out.insert(film, Dropped::new(&rows[film], reason, rows[*first].image_id.clone()));
        }
    }
    left_out
}

/// Gives each film that is left a split: its imported one, that of its patient's other films, or a drawn one. Where
/// manifests put a patient's films into several splits, only those of the first are kept.
fn share_out(rows: &mut [Row], patients: &[Vec<usize>], options: &Options, left_out: &mut HashMap<usize, Dropped>) {
    let (mut open, mut kinds) = (Vec::new(), Vec::new());
    for films in patients {
        let films: Vec<usize> = films.iter().copied().filter(|film| !left_out.contains_key(film)).collect();
        let Some(given) = films.iter().map(|&film| rows[film].split.clone()).find(|split| !split.is_empty()) else {
            kinds.push(films.iter().map(|&film| (rows[film].label.clone(), rows[film].source.clone())).collect());
            open.push(films);
            continue;
        };
        for film in films {
            let row = &mut rows[film];
            if row.split.is_empty() || row.split == given {
                row.split.clone_from(&given);
            } else {
                let detail = format!("{} is in {given}", row.patient_id);
                left_out.insert(film, Dropped::new(row, Reason::PatientInOtherSplit, detail));
            }
        }
    }
    for (films, split) in open.into_iter().zip(split::assign(&kinds, options.shares, options.seed)) {
        films.into_iter().for_each(|film| rows[film].split = SPLITS[split].into());
    }
}

fn write_table<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), PrepareError> {
    let table = || -> Result<Vec<u8>, io::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.serialize(row).map_err(io::Error::other)?;
        }
        writer.into_inner().map_err(|error| error.into_error())
    };
    let written = table().and_then(|bytes| atomic_file::write(path, &bytes));
    written.map_err(|source| PrepareError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::data::dataset::Manifest;

    use super::*;

    const OPTIONS: Options = Options {
        shares: Shares::PAPER,
        seed: 1,
        longest_side: 80,
        encoding: Encoding::Jpeg,
        resplit: false,
        allow_missing_class: false,
        class_folders: Vec::new(),
    };

    fn save(path: PathBuf, plate: &GrayImage) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        plate.save(path).unwrap();
    }

    /// A folder with `patients` patients in each class, each of them with two films.
    fn clinic(root: &Path, patients: u64) -> Source {
        for (class, number) in Class::ALL.into_iter().zip(0..) {
            for film in 0..2 * patients {
                let path = format!("{}/{}-{}/{film}.png", class.label(), class.label(), film / 2);
                save(root.join(path), &duplicates::tests::film(1000 * number + film));
            }
        }
        Source::Folders(root.into())
    }

    fn rows(out: &Path) -> Vec<Row> {
        crate::data::dataset::read_rows(&out.join("manifest.csv")).unwrap().into_iter().map(|(row, _)| row).collect()
    }

    fn reasons(report: &Report) -> Vec<Reason> {
        report.dropped.iter().map(|dropped| dropped.reason).collect()
    }

    #[test]
    fn a_folder_becomes_a_data_set() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let report = prepare(&out, &[clinic(&root.path().join("clinic"), 10)], &OPTIONS).unwrap();
        assert_eq!((report.films.len(), report.dropped.len()), (60, 0));
        let manifest = Manifest::read(&out.join("manifest.csv")).unwrap();
        let counts = SPLITS.map(|split| manifest.split(split).unwrap().len());
        assert_eq!(counts, [42, 6, 12]);
        for film in manifest.split("train").unwrap() {
            assert_eq!(image_file::read(&film.path).unwrap().dimensions(), (80, 60));
        }
        assert_eq!(fs::read_dir(out.join(PICTURES)).unwrap().count(), 60);
        assert!(report.films.iter().all(|row| (row.orig_width, row.orig_height) == (160, 120)));
        let text = report.to_string();
        assert!(text.contains("patients") && text.contains("0 films left out"), "{text}");
    }

    #[test]
    fn the_same_seed_makes_the_same_set() {
        let root = tempfile::tempdir().unwrap();
        let source = clinic(&root.path().join("clinic"), 5);
        let set = |name: &str, seed: u64| {
            let out = root.path().join(name);
            prepare(&out, std::slice::from_ref(&source), &Options { seed, ..OPTIONS }).unwrap();
            fs::read_to_string(out.join("manifest.csv")).unwrap()
        };
        assert_eq!(set("one", 1), set("same", 1));
        assert_ne!(set("two", 1), set("other", 2));
    }

    #[test]
    fn copies_go_and_their_patients_are_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("clinic");
        let source = clinic(&folder, 3);
        let original = duplicates::tests::film(0);
        save(folder.join("covid19/stranger/copy.jpg"), &original);
        save(folder.join("covid19/stranger/own.png"), &duplicates::tests::film(77));
        save(folder.join("covid19/stranger/same.png"), &original);
        let out = root.path().join("out");
        let report = prepare(&out, &[source], &OPTIONS).unwrap();
        assert_eq!(reasons(&report), [Reason::NearDuplicate, Reason::SamePixels]);
        let own = report.films.iter().find(|row| row.origin_name.ends_with("own.png")).unwrap();
        assert_eq!(own.patient_id, "clinic_covid19-0");
        assert_eq!(report.films.len(), 19);
        assert_eq!(fs::read_dir(out.join(PICTURES)).unwrap().count(), 19);
        let listed = fs::read_to_string(out.join("dropped.csv")).unwrap();
        assert!(listed.contains("clinic,covid19/stranger/same.png,covid19,same pixels as another film,"), "{listed}");
    }

    #[test]
    fn a_film_with_two_labels_has_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("clinic");
        let source = clinic(&folder, 3);
        save(folder.join("normal/someone/0.png"), &duplicates::tests::film(0));
        let report = prepare(&root.path().join("out"), &[source], &OPTIONS).unwrap();
        assert_eq!(reasons(&report), [Reason::LabelsContradict, Reason::LabelsContradict]);
        assert!(report.dropped[0].detail.contains("covid19") && report.dropped[0].detail.contains("normal"));
    }

    #[test]
    fn a_corrupt_picture_is_counted() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("clinic");
        let source = clinic(&folder, 3);
        fs::write(folder.join("normal/broken.jpg"), b"\xFF\xD8\xFF\xE0 broken").unwrap();
        let mut header = [0; 140];
        header[128..132].copy_from_slice(b"DICM");
        fs::write(folder.join("normal/broken.dcm"), header).unwrap();
        let report = prepare(&root.path().join("out"), &[source], &OPTIONS).unwrap();
        assert_eq!(reasons(&report), [Reason::PictureUnreadable; 2]);
        assert_eq!(report.films.len(), 18);
        assert!(report.to_string().contains("2  clinic          picture unreadable"), "{report}");
    }

    #[test]
    fn dicom_films_bring_view_and_a_veiled_patient() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("clinic");
        let source = clinic(&folder, 3);
        for (name, seed, view) in [("a.dcm", 500, "PA"), ("b.dcm", 501, "AP"), ("side.dcm", 502, "LL")] {
            dicom::tests::write_jpeg_dicom(
                &folder.join("normal").join(name),
                &duplicates::tests::film(seed),
                "4711",
                view,
            );
        }
        let report = prepare(&root.path().join("out"), &[source], &OPTIONS).unwrap();
        assert_eq!(reasons(&report), [Reason::NotFrontal]);
        let films: Vec<&Row> = report.films.iter().filter(|row| row.origin_name.ends_with(".dcm")).collect();
        assert_eq!((films[0].view.as_str(), films[0].sex.as_str(), films[0].age.as_str()), ("PA", "F", "58"));
        assert!(films[0].patient_id.starts_with("clinic_") && !films[0].patient_id.contains("4711"));
        assert_eq!((&films[0].patient_id, &films[0].split), (&films[1].patient_id, &films[1].split));
    }

    #[test]
    fn rsna_films_come_as_dicom() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("rsna");
        fs::create_dir_all(folder.join("stage_2_train_images")).unwrap();
        let table = "patientId,class\nf1,Normal\nf2,Lung Opacity\nf3,No Lung Opacity / Not Normal\n";
        fs::write(folder.join("stage_2_detailed_class_info.csv"), table).unwrap();
        for (film, seed) in [("f1", 1), ("f2", 2), ("f3", 3)] {
            let path = folder.join(format!("stage_2_train_images/{film}.dcm"));
            dicom::tests::write_jpeg_dicom(&path, &duplicates::tests::film(seed), film, "AP");
        }
        let out = root.path().join("out");
        let source = [Source::Rsna(folder)];
        let error = prepare(&out, &source, &OPTIONS).err().unwrap().to_string();
        assert!(error.contains("covid19") && !out.join("manifest.csv").exists(), "{error}");
        fs::remove_dir_all(&out).unwrap();
        let options = Options { allow_missing_class: true, encoding: Encoding::Png, ..OPTIONS };
        let report = prepare(&out, &source, &options).unwrap();
        let films: Vec<[&str; 4]> =
            report.films.iter().map(|row| [&*row.image_id, &*row.label, &*row.view, &*row.patient_id]).collect();
        assert_eq!(films, [["rsna_f1", "normal", "AP", "rsna_f1"], ["rsna_f2", "pneumonia", "AP", "rsna_f2"]]);
        assert_eq!(image_file::read(&out.join("images/rsna_f1.png")).unwrap().dimensions(), (80, 60));
        assert!(report.to_string().contains("warning: train has no covid19 film"), "{report}");
    }

    /// Writes a manifest over the films of a clinic's data set.
    fn manifest(out: &Path, rows: &str) -> Source {
        let path = out.join("own.csv");
        fs::write(&path, format!("image_id,file,label,source,patient_id,split\n{rows}")).unwrap();
        Source::Manifest(path)
    }

    #[test]
    fn an_imported_manifest_keeps_its_splits() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("clinic");
        let source = clinic(&folder, 4);
        let own = manifest(
            root.path(),
            "a,clinic/covid19/covid19-0/0.png,covid19,mine,p1,test\n\
             ../b,clinic/normal/normal-0/0.png,normal,mine,p2,holdout\n",
        );
        let out = root.path().join("out");
        let sources = [source, own];
        let report = prepare(&out, &sources, &OPTIONS).unwrap();
        // The folder's copies go, and the other films of their patients follow the manifest's.
        assert_eq!(reasons(&report), [Reason::SamePixels, Reason::SamePixels]);
        let split = |end: &str| report.films.iter().find(|row| row.origin_name.ends_with(end)).unwrap().split.clone();
        assert_eq!((split("covid19-0/0.png"), split("covid19-0/1.png")), ("test".into(), "test".into()));
        assert_eq!((split("normal-0/0.png"), split("normal-0/1.png")), ("holdout".into(), "holdout".into()));
        assert!(rows(&out).iter().any(|row| row.image_id == "film.._b" && row.patient_id == "mine_p2"));
        let again = Options { resplit: true, ..OPTIONS };
        let report = prepare(&root.path().join("again"), &sources, &again).unwrap();
        assert!(report.films.iter().all(|row| SPLITS.contains(&row.split.as_str())));
    }

    #[test]
    fn a_prepared_set_that_is_imported_keeps_its_patients() {
        let root = tempfile::tempdir().unwrap();
        // A copy makes the stranger the clinic's patient, and RSNA's film is of an NIH patient.
        let other = root.path().join("other");
        save(other.join("covid19/stranger/copy.png"), &duplicates::tests::film(0));
        save(other.join("covid19/stranger/own.png"), &duplicates::tests::film(77));
        let rsna = root.path().join("rsna");
        fs::create_dir_all(rsna.join("stage_2_train_images")).unwrap();
        fs::write(rsna.join("stage_2_detailed_class_info.csv"), "patientId,class\nf1,Normal\n").unwrap();
        let origins = r#"[{"subset_img_id": "f1", "img_id": "00000013_005.png"}]"#;
        fs::write(rsna.join("pneumonia-challenge-dataset-mappings_2018.json"), origins).unwrap();
        let film = rsna.join("stage_2_train_images/f1.dcm");
        dicom::tests::write_jpeg_dicom(&film, &duplicates::tests::film(78), "f1", "AP");

        let options = Options { encoding: Encoding::Png, longest_side: 160, resplit: true, ..OPTIONS };
        let patients = |name: &str, sources: &[Source]| -> Vec<(String, String)> {
            let out = root.path().join(name);
            prepare(&out, sources, &options).unwrap();
            rows(&out).into_iter().map(|row| (row.image_id, row.patient_id)).collect()
        };
        let sources = [clinic(&root.path().join("clinic"), 3), Source::Folders(other), Source::Rsna(rsna)];
        let first = patients("first", &sources);
        for patient in ["clinic_covid19-0", "nih_00000013"] {
            let films = first.iter().filter(|(film, id)| id == patient && !film.starts_with("clinic_")).count();
            assert_eq!(films, 1, "{patient}: {first:?}");
        }
        let imported = Source::Manifest(root.path().join("first/manifest.csv"));
        assert_eq!(patients("again", &[imported]), first);
    }

    #[test]
    fn a_patient_in_two_splits_is_never_kept_there() {
        let root = tempfile::tempdir().unwrap();
        let source = clinic(&root.path().join("clinic"), 3);
        let film = |name: &str, film: &str, patient: &str, split: &str| {
            format!("{name},clinic/normal/{film}.png,normal,mine,{patient},{split}\n")
        };
        let out = root.path().join("out");
        // In one manifest it is a mistake to be mended.
        let rows = film("a", "normal-0/0", "p1", "train") + &film("b", "normal-0/1", "p1", "test");
        let error = prepare(&out, &[source.clone(), manifest(root.path(), &rows)], &OPTIONS).err().unwrap();
        assert!(matches!(error, PrepareError::Manifest(DatasetError::PatientInTwoSplits { .. })), "{error}");
        // Two ids whose films show the same patient: what the first split has stays.
        let rows = film("a", "normal-0/0", "p1", "train")
            + &film("b", "normal-0/0", "p2", "test")
            + &film("c", "normal-0/1", "p2", "test");
        let report = prepare(&out, &[source, manifest(root.path(), &rows)], &OPTIONS).unwrap();
        assert!(reasons(&report).contains(&Reason::PatientInOtherSplit), "{:?}", report.dropped);
        let splits: HashSet<&str> =
            report.films.iter().filter(|row| row.patient_id == "mine_p1").map(|row| row.split.as_str()).collect();
        assert_eq!(splits, HashSet::from(["train"]));
    }

    #[test]
    fn names_are_safe_and_unique() {
        let candidate =
            |id: &str| Candidate { path: PathBuf::new(), row: Row { image_id: id.into(), ..Row::default() } };
        let mut candidates = ["a/b", "A_b", "a_b", "é.1", ""].map(candidate);
        name_pictures(&mut candidates, Encoding::Png);
        let names = candidates.each_ref().map(|candidate| candidate.row.image_id.as_str());
        assert_eq!(names, ["a_b", "A_b-2", "a_b-3", "_.1", "film"]);
        assert_eq!(candidates[1].row.file, Path::new("images/A_b-2.png"));
    }

    #[test]
    fn nothing_is_overwritten_and_an_unwritable_place_is_told() {
        let root = tempfile::tempdir().unwrap();
        let source = [clinic(&root.path().join("clinic"), 1)];
        let occupied = prepare(&root.path().join("clinic"), &source, &OPTIONS).err().unwrap();
        assert!(matches!(occupied, PrepareError::Occupied { .. }), "{occupied}");
        fs::write(root.path().join("file"), "").unwrap();
        let unwritable = prepare(&root.path().join("file/out"), &source, &OPTIONS).err().unwrap();
        assert!(matches!(unwritable, PrepareError::Write { .. }), "{unwritable}");
    }
}

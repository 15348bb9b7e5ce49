use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use image::GrayImage;
use xray_triage_core::image_file;

use crate::data::dataset::{DatasetError, Manifest};

use super::dropped::Reason;
use super::pictures::FOLDER;
use super::split::SPLITS;
use super::*;

const OPTIONS: Options = Options {
    shares: Shares::PAPER,
    seed: 1,
    longest_side: 80,
    encoding: Encoding::Jpeg { quality: 90 },
    resplit: false,
    allow_missing_class: false,
    readings: Vec::new(),
    class_folders: Vec::new(),
};

fn save(path: PathBuf, picture: &GrayImage) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
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
    crate::data::dataset::read_rows(&out.join("manifest.csv"))
        .unwrap()
        .into_iter()
        .map(|labelled| labelled.row)
        .collect()
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
    assert_eq!(fs::read_dir(out.join(FOLDER)).unwrap().count(), 60);
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
    assert_eq!(fs::read_dir(out.join(FOLDER)).unwrap().count(), 19);
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
        dicom::tests::write_jpeg_dicom(&folder.join("normal").join(name), &duplicates::tests::film(seed), "4711", view);
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
    let expected = [("rsna_f1", "normal"), ("rsna_f2", "pneumonia"), ("rsna_f3", "other")];
    assert_eq!(films, expected.map(|(film, label)| [film, label, "AP", film]));
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
fn nothing_is_overwritten_and_an_unwritable_place_is_told() {
    let root = tempfile::tempdir().unwrap();
    let source = [clinic(&root.path().join("clinic"), 1)];
    let occupied = prepare(&root.path().join("clinic"), &source, &OPTIONS).err().unwrap();
    assert!(matches!(occupied, PrepareError::Occupied { .. }), "{occupied}");
    fs::write(root.path().join("file"), "").unwrap();
    let unwritable = prepare(&root.path().join("file/out"), &source, &OPTIONS).err().unwrap();
    assert!(matches!(unwritable, PrepareError::Write { .. }), "{unwritable}");
}

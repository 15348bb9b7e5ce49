use std::fs;

use crate::data::prepare::dropped::Reason;

use super::*;

/// Writes a file and the folders that it lies in.
pub(super) fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Film, patient, label and protocol of what may be taken; file and reason of what is left out.
pub(super) fn summary(source: Source) -> (Vec<[String; 4]>, Vec<(String, Reason)>) {
    let listing = source.list(&[]).unwrap();
    let films = listing.candidates.into_iter().map(|candidate| candidate.row);
    let dropped = listing.dropped.into_iter().map(|dropped| (dropped.origin_name, dropped.reason));
    (films.map(|row| [row.image_id, row.patient_id, row.label, row.protocol]).collect(), dropped.collect())
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

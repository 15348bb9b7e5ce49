//! Films of a manifest in this project's own format. They keep their splits.

use std::collections::HashSet;
use std::path::Path;

use crate::data::dataset::{self, Label, LabelledRow};
use crate::data::prepare::error::PrepareError;

use super::listing::{Listing, name_of};

/// Lists the films of a manifest. `collections` are the names with which the patient ids of known collections begin.
pub fn list(path: &Path, collections: &[&str]) -> Result<Listing, PrepareError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut rows = dataset::read_rows(path)?;
    for row in rows.iter_mut().map(|labelled| &mut labelled.row).filter(|row| row.source.is_empty()) {
        row.source = name_of(folder);
    }
    // A film's patient may be known by another source: copies join patients, and RSNA's are NIH's.
    let sources = rows.iter().map(|labelled| labelled.row.source.as_str()).chain(collections.iter().copied());
    let prefixes: HashSet<String> = sources.map(|source| format!("{source}_")).collect();
    let mut listing = Listing::default();
    for LabelledRow { mut row, .. } in rows {
        let names_source = prefixes.iter().any(|prefix| row.patient_id.starts_with(prefix.as_str()));
        // A patient of another source may have the same number.
        if !row.patient_id.is_empty() && !names_source {
            row.patient_id = format!("{}_{}", row.source, row.patient_id);
        }
        if row.origin_name.is_empty() {
            row.origin_name = row.file.display().to_string();
        }
        // The words were looked at, and a reading stays beside the label that it goes before.
        let label: Label = row.label.parse().expect("rows of a manifest that was read have labels");
        listing.add(folder.join(&row.file), row, Ok(label));
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::data::prepare::sources::Source;
    use crate::data::prepare::sources::tests::{summary, write};

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
}

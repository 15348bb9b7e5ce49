//! What readers saw of films whose source does not say it: from tables of readings, and from copies of the films.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;

use crate::data::dataset::{Label, LabelSource, Row};

use super::duplicates::Pair;
use super::error::PrepareError;
use super::groups::Groups;
use super::sources::table;

/// Who read the films of a table like that of Majkowska et al.
const FOUR_READERS: &str = "google";

/// A row of a table of readings. Either it is this project's own (`film`, `reading`), or that of the four-reader labels for
/// NIH films (`Image Index`, `Airspace opacity`; Majkowska et al. 2020, "Chest radiograph interpretation with deep learning
/// models", Radiology 294).
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    film: String,
    #[serde(default)]
    reading: String,
    #[serde(default, rename = "image index")]
    nih_image: String,
    #[serde(default, rename = "airspace opacity")]
    airspace_opacity: String,
}

/// What was done with the readings of a table.
#[derive(Debug, Default, PartialEq)]
pub struct Joined {
    /// Films that got a reading.
    pub films: usize,
    /// Films of the table that no source has.
    pub not_there: usize,
}

/// Gives films the readings of a table. A film is named by its `image_id` or by its file's name in its source.
///
/// # Errors
/// The table is neither of the two kinds, it has a reading that there is not, or it disagrees with itself or with a reading
/// that a film has.
pub fn join<'a>(path: &Path, rows: impl Iterator<Item = &'a mut Row>) -> Result<Joined, PrepareError> {
    let own = table::read::<Entry>(path, &["film", "reading"]);
    let entries = match own {
        Err(PrepareError::Columns { .. }) => table::read::<Entry>(path, &["image index", "airspace opacity"])
            .map_err(|_| PrepareError::ReadingColumns { path: path.into() })?,
        entries => entries?,
    };
    let mut readings: HashMap<String, String> = HashMap::new();
    let mut disagree = BTreeSet::new();
    for entry in entries {
        let (film, reading) = match entry.nih_image.as_str() {
            "" => (entry.film, entry.reading),
            image => {
                let seen = match entry.airspace_opacity.to_lowercase().as_str() {
                    "yes" => "airspace_opacity",
                    "no" => "no_airspace_opacity",
                    _ => "",
                };
                (image.to_owned(), if seen.is_empty() { String::new() } else { format!("{seen}@{FOUR_READERS}") })
            }
        };
        if follows(&reading, Label::Other).is_none() {
            return Err(PrepareError::UnknownReading { path: path.into(), film, reading });
        }
        match readings.get(&film) {
            Some(other) if *other != reading => _ = disagree.insert(film),
            _ => _ = readings.insert(film, reading),
        }
    }
    let mut joined = Joined::default();
    let mut found = BTreeSet::new();
    for row in rows {
        let Some((film, reading)) =
            readings.get_key_value(&row.image_id).or_else(|| readings.get_key_value(&row.origin_name))
        else {
            continue;
        };
        found.insert(film);
        if !row.reading.is_empty() && follows(&row.reading, Label::Other) != follows(reading, Label::Other) {
            disagree.insert(film.clone());
            continue;
        }
        joined.films += 1;
        give(row, reading);
    }
    joined.not_there = readings.len() - found.len();
    match disagree.first() {
        None => Ok(joined),
        Some(first) => {
            Err(PrepareError::ReadingsDisagree { path: path.into(), films: disagree.len(), first: first.clone() })
        }
    }
}

/// Gives the copies of a film that was read the reading, and tells which films were read differently: by their place in
/// `rows`, with all readings.
pub fn spread(rows: &mut [Row], copies: &[Pair]) -> BTreeMap<usize, String> {
    let mut groups = Groups::new(rows.len());
    copies.iter().for_each(|pair| groups.join(pair.first, pair.second));
    let mut disagree = BTreeMap::new();
    for films in groups.lists() {
        let readings: BTreeSet<String> =
            films.iter().map(|&film| rows[film].reading.clone()).filter(|reading| !reading.is_empty()).collect();
        let Some(reading) = readings.first() else { continue };
        let labels: Vec<Option<Label>> = readings.iter().map(|reading| follows(reading, Label::Other)).collect();
        if labels.iter().any(|label| *label != labels[0]) {
            let all = readings.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            disagree.extend(films.into_iter().map(|film| (film, all.clone())));
            continue;
        }
        for film in films {
            if rows[film].reading.is_empty() {
                give(&mut rows[film], reading);
            }
        }
    }
    disagree
}

/// Gives a film a reading that there is.
fn give(row: &mut Row, reading: &str) {
    let stated = row.label.parse().unwrap_or(Label::Other);
    let Some(label) = follows(reading, stated) else { return };
    row.reading = reading.into();
    row.reader_label = label.text().into();
    row.label_source = LabelSource::Radiologists.label().into();
}

/// What a film shows that was read so. Readers who looked for an opacity alone and saw none leave a film normal that is
/// `stated` to be, and no other. `None` if there is no such reading.
fn follows(reading: &str, stated: Label) -> Option<Label> {
    use xray_triage_core::decision::Class::{Normal, Pneumonia};
    match reading.split('@').next().unwrap_or_default() {
        "lung_opacity" | "airspace_opacity" => Some(Label::Class(Pneumonia)),
        "normal" => Some(Label::Class(Normal)),
        "abnormal_no_opacity" => Some(Label::Other),
        "no_airspace_opacity" if stated == Label::Class(Normal) => Some(stated),
        "no_airspace_opacity" => Some(Label::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn row(id: &str, label: &str, reading: &str) -> Row {
        Row {
            image_id: id.into(),
            origin_name: format!("{id}.png"),
            label: label.into(),
            reading: reading.into(),
            label_source: "report_text".into(),
            ..Row::default()
        }
    }

    fn joined(table: &str, rows: &mut [Row]) -> Result<Joined, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("readings.csv");
        fs::write(&path, table).unwrap();
        join(&path, rows.iter_mut()).map_err(|error| error.to_string())
    }

    #[test]
    fn films_get_the_readings_of_a_table_by_id_or_file() {
        let mut rows = [row("a", "pneumonia", ""), row("b", "normal", ""), row("c", "normal", "")];
        let table = "film,reading\na,normal@us\nb.png,lung_opacity@us\nz,normal@us\n";
        assert_eq!(joined(table, &mut rows), Ok(Joined { films: 2, not_there: 1 }));
        let read = rows.map(|row| [row.label_source, row.reading, row.reader_label]);
        assert_eq!(read[0], ["radiologists", "normal@us", "normal"]);
        assert_eq!(read[1], ["radiologists", "lung_opacity@us", "pneumonia"]);
        assert_eq!(read[2], ["report_text", "", ""]);
    }

    #[test]
    fn the_four_readers_table_says_normal_only_of_films_that_are_stated_to_be() {
        let mut rows = ["pneumonia", "normal", "pneumonia"].map(|label| row("", label, ""));
        for (row, name) in rows.iter_mut().zip(["1.png", "2.png", "3.png"]) {
            row.origin_name = name.into();
        }
        let table = "Image Index,Patient ID,Fracture,Airspace opacity\n1.png,1,NO,NO\n2.png,2,NO,NO\n3.png,3,YES,YES\n";
        assert_eq!(joined(table, &mut rows).unwrap().films, 3);
        assert_eq!(rows.map(|row| row.reader_label), ["other", "normal", "pneumonia"]);
    }

    #[test]
    fn tables_that_cannot_be_joined_are_told_with_what_is_wrong() {
        let error = |table: &str| joined(table, &mut [row("a", "normal", "normal@rsna")]).unwrap_err();
        assert!(error("name,seen\na,normal\n").contains("film and reading, or Image Index and Airspace opacity"));
        assert!(error("film,reading\na,flu\n").contains("film a: no such reading, `flu`"));
        let words = error("film,reading\na,lung_opacity\n");
        assert!(words.contains("1 films") && words.contains("the first is a"), "{words}");
        assert!(error("film,reading\nb,lung_opacity\nb,normal\n").contains("the first is b"));
        assert!(joined("film,reading\na,normal@others\n", &mut [row("a", "normal", "normal@rsna")]).is_ok());
    }

    #[test]
    fn copies_get_the_reading_unless_readers_disagree() {
        let copies = |first, second| Pair { first, second, same_pixels: false };
        let mut rows = [
            row("a", "pneumonia", ""),
            row("b", "normal", "normal@rsna"),
            row("c", "normal", "normal@rsna"),
            row("d", "normal", "lung_opacity@us"),
            row("e", "normal", ""),
        ];
        let disagree = spread(&mut rows, &[copies(0, 1), copies(2, 3)]);
        assert_eq!(disagree.into_keys().collect::<Vec<_>>(), [2, 3]);
        assert_eq!((rows[0].reader_label.as_str(), rows[0].label_source.as_str()), ("normal", "radiologists"));
        assert_eq!(rows[4].reader_label, "");
    }
}

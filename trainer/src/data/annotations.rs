//! What experts drew on some films of a data set: lung outlines, boxes around findings, and severity scores. They lie beside
//! the manifest, and all of them are optional. See docs/reference/dataset.md.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::GrayImage;
use serde::Deserialize;
use xray_triage_core::image_file::{self, ImageFileError};

/// A box around a finding, in pixels of the film's picture.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct FindingBox {
    /// Left edge, from the picture's left edge.
    pub x: f32,
    /// Upper edge, from the picture's upper edge.
    pub y: f32,
    /// Width.
    #[serde(rename = "w")]
    pub width: f32,
    /// Height.
    #[serde(rename = "h")]
    pub height: f32,
}

/// How severe the disease on a COVID-19 film is, as the mean of the experts' scores.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Severity {
    /// How much of the lungs is affected, 0 to 8.
    #[serde(rename = "geographic_mean")]
    pub extent: f64,
    /// How dense the opacities are, 0 to 6.
    #[serde(rename = "opacity_mean")]
    pub opacity: f64,
}

#[derive(Deserialize)]
struct Row<T> {
    image_id: String,
    #[serde(flatten)]
    value: T,
}

/// Why annotations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnnotationError {
    /// A table cannot be read, or lacks a column.
    #[error("{path}: {source}; see docs/reference/dataset.md for its columns")]
    Table {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        source: csv::Error,
    },
    /// A table has a number that is infinite or none at all.
    #[error("{path}, film {image_id}: a value is no finite number; correct it or remove the row")]
    NotFinite {
        /// The table.
        path: PathBuf,
        /// The film of the row.
        image_id: String,
    },
    /// A lung mask cannot be read.
    #[error("{source}; a lung mask must be a PNG picture, white inside the lungs")]
    Mask {
        /// What is wrong with it, with its path.
        source: ImageFileError,
    },
}

/// The annotations of a data set.
pub struct Annotations {
    masks: PathBuf,
    boxes: HashMap<String, Vec<FindingBox>>,
    severity: HashMap<String, Severity>,
}

impl Annotations {
    /// Reads the tables beside a manifest. A table that is not there counts as empty.
    ///
    /// # Errors
    /// A table is there but cannot be read, lacks a column, or has a number that is not finite.
    pub fn beside(manifest: &Path) -> Result<Self, AnnotationError> {
        let folder = manifest.parent().unwrap_or(Path::new("."));
        let mut boxes: HashMap<String, Vec<FindingBox>> = HashMap::new();
        for row in table::<FindingBox>(&folder.join("boxes.csv"))? {
            boxes.entry(row.image_id).or_default().push(row.value);
        }
        let severity =
            table::<Severity>(&folder.join("severity.csv"))?.into_iter().map(|row| (row.image_id, row.value)).collect();
        Ok(Annotations { masks: folder.join("masks"), boxes, severity })
    }

    /// The lung mask of a film, if there is one: white inside the lungs, black elsewhere, of the film's shape and any size.
    ///
    /// # Errors
    /// The mask is there but cannot be read.
    pub fn lungs(&self, image_id: &str) -> Result<Option<GrayImage>, AnnotationError> {
        let path = self.masks.join(format!("{image_id}.png"));
        if !path.exists() {
            return Ok(None);
        }
        image_file::read(&path).map(Some).map_err(|source| AnnotationError::Mask { source })
    }

    /// The boxes around findings of a film. A film without a box may still have a finding: nobody may have drawn it.
    pub fn boxes(&self, image_id: &str) -> &[FindingBox] {
        self.boxes.get(image_id).map_or(&[], Vec::as_slice)
    }

    /// The severity scores of a film, if there are some.
    pub fn severity(&self, image_id: &str) -> Option<Severity> {
        self.severity.get(image_id).copied()
    }
}

/// Numbers of a table's row.
trait Numbers {
    fn are_finite(&self) -> bool;
}

impl Numbers for FindingBox {
    fn are_finite(&self) -> bool {
        [self.x, self.y, self.width, self.height].iter().all(|value| value.is_finite())
    }
}

impl Numbers for Severity {
    fn are_finite(&self) -> bool {
        self.extent.is_finite() && self.opacity.is_finite()
    }
}

/// The rows of a table. A table that is not there has none.
fn table<T: Numbers + for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<Row<T>>, AnnotationError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let failed = |source| AnnotationError::Table { path: path.into(), source };
    let rows = csv::Reader::from_path(path).map_err(failed)?.into_deserialize().map(|row| {
        let row: Row<T> = row.map_err(failed)?;
        match row.value.are_finite() {
            true => Ok(row),
            false => Err(AnnotationError::NotFinite { path: path.into(), image_id: row.image_id }),
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_and_may_be_missing() {
        let folder = std::env::temp_dir().join(format!("annotations-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let manifest = folder.join("manifest.csv");
        let none = Annotations::beside(&manifest).unwrap();
        assert_eq!((none.boxes("a"), none.severity("a")), (&[][..], None));
        assert!(none.lungs("a").unwrap().is_none());

        std::fs::write(folder.join("boxes.csv"), "image_id,finding,x,y,w,h\na,Pneumonia,1.5,2,30,40\na,Mass,0,0,1,1\n")
            .unwrap();
        std::fs::write(folder.join("severity.csv"), "image_id,geographic_mean,opacity_mean\na,2.3,1\n").unwrap();
        std::fs::create_dir_all(folder.join("masks")).unwrap();
        std::fs::write(folder.join("masks/a.png"), "no picture").unwrap();
        let some = Annotations::beside(&manifest).unwrap();
        assert_eq!(some.boxes("a").len(), 2);
        assert_eq!(some.boxes("a")[0], FindingBox { x: 1.5, y: 2.0, width: 30.0, height: 40.0 });
        assert_eq!(some.severity("a"), Some(Severity { extent: 2.3, opacity: 1.0 }));
        assert!(some.lungs("a").unwrap_err().to_string().contains("a.png"));

        std::fs::write(folder.join("severity.csv"), "image_id,geographic_mean\na,2.3\n").unwrap();
        assert!(matches!(Annotations::beside(&manifest), Err(AnnotationError::Table { .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_with_its_film() {
        for (name, text) in [
            ("boxes.csv", "image_id,x,y,w,h\na,1,2,3,4\nb,1,NaN,3,4\n"),
            ("severity.csv", "image_id,geographic_mean,opacity_mean\na,1,1\nb,inf,1\n"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
            let error = Annotations::beside(&folder.path().join("manifest.csv")).err().unwrap().to_string();
            assert!(error.contains(name) && error.contains("film b"), "{error}");
        }
    }
}

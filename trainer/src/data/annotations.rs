//! What experts drew on some films of a data set: lung outlines, boxes around findings, severity scores. All optional,
//! beside the manifest; see docs/reference/dataset.md.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::GrayImage;
use serde::Deserialize;

/// A box around a finding, in pixels of the film's picture.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct FindingBox {
    pub x: f32,
    pub y: f32,
    #[serde(rename = "w")]
    pub width: f32,
    #[serde(rename = "h")]
    pub height: f32,
}

/// How severe a COVID-19 film is, mean over the experts.
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

#[derive(Debug, thiserror::Error)]
pub enum AnnotationError {
    #[error("{path}: {source}; see docs/reference/dataset.md for its columns")]
    Table { path: PathBuf, source: csv::Error },
    #[error("{path}: not a usable lung mask ({source}); it must be a PNG picture, white inside the lungs")]
    Mask { path: PathBuf, source: image::ImageError },
}

/// The annotations of a data set.
pub struct Annotations {
    masks: PathBuf,
    boxes: HashMap<String, Vec<FindingBox>>,
    severity: HashMap<String, Severity>,
}

impl Annotations {
    /// Reads the tables beside a manifest; what is not there is empty.
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

    /// White inside the lungs, black elsewhere, of the film's shape.
    pub fn lungs(&self, image_id: &str) -> Result<Option<GrayImage>, AnnotationError> {
        let path = self.masks.join(format!("{image_id}.png"));
        if !path.exists() {
            return Ok(None);
        }
        match image::open(&path) {
            Ok(mask) => Ok(Some(mask.into_luma8())),
            Err(source) => Err(AnnotationError::Mask { path, source }),
        }
    }

    /// The findings boxed on a film; none drawn is not none there.
    pub fn boxes(&self, image_id: &str) -> &[FindingBox] {
        self.boxes.get(image_id).map_or(&[], Vec::as_slice)
    }

    pub fn severity(&self, image_id: &str) -> Option<Severity> {
        self.severity.get(image_id).copied()
    }
}

fn table<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<Row<T>>, AnnotationError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let failed = |source| AnnotationError::Table { path: path.into(), source };
    csv::Reader::from_path(path).map_err(failed)?.deserialize().map(|row| row.map_err(failed)).collect()
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
}

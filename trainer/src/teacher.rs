//! Soft labels from a teacher network (Hinton et al. 2015, "Distilling the knowledge in a neural network"), run
//! through tract.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::GrayImage;
use image::imageops::{self, FilterType};
use tract_onnx::prelude::*;
use xray_triage::bundle::sha256_hex;
use xray_triage::triage::{self, Class};

use crate::dataset::LabelledPlate;

/// A classifier in ONNX: input `[1, 3, side, side]` of gray in 0..=1 replicated (its normalisation is inside), output
/// the logits `[1, 3]` in the order of [`Class::ALL`].
pub struct Teacher {
    model: Arc<TypedRunnableModel>,
    side: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: not usable as a teacher ({reason}); it needs one input [1,3,N,N] and one output [1,3]")]
pub struct TeacherError {
    path: PathBuf,
    reason: String,
}

impl Teacher {
    pub fn load(path: &Path) -> Result<Self, TeacherError> {
        let failed = |reason: String| TeacherError { path: path.into(), reason };
        let model = tract_onnx::onnx()
            .model_for_path(path)
            .and_then(|model| model.into_optimized())
            .map_err(|error| failed(format!("{error:#}")))?;
        let shape =
            model.input_fact(0).map_err(|error| failed(error.to_string()))?.shape.as_concrete().map(<[_]>::to_vec);
        let side = match shape.as_deref() {
            Some([1, 3, height, width]) if height == width => *width as u32,
            other => return Err(failed(format!("its input is {other:?}"))),
        };
        let model = model.into_runnable().map_err(|error| failed(format!("{error:#}")))?;
        Ok(Teacher { model, side })
    }

    /// The teacher's probabilities for a plate, the mean over the plate and its mirror image.
    pub fn probabilities(&self, plate: &GrayImage) -> TractResult<[f32; 3]> {
        let resized = imageops::resize(plate, self.side, self.side, FilterType::Triangle);
        let mut mean = [0.0; 3];
        for view in [&resized, &imageops::flip_horizontal(&resized)] {
            let gray = view.as_raw().iter().map(|gray| f32::from(*gray) / 255.0);
            let input: Vec<f32> = gray.clone().chain(gray.clone()).chain(gray).collect();
            let side = self.side as usize;
            let output = self.model.run(tvec!(Tensor::from_shape(&[1, 3, side, side], &input)?.into()))?;
            let logits = output[0].cast_to::<f32>()?;
            let logits: [f32; 3] = logits.try_as_plain_ram()?.as_slice::<f32>()?.try_into()?;
            let probabilities = triage::probabilities(&logits, 1.0);
            for (mean, class) in mean.iter_mut().zip(Class::ALL) {
                *mean += probabilities.of(class) as f32 / 2.0;
            }
        }
        Ok(mean)
    }
}

/// The teacher's probabilities for each film. They are kept in a table in `folder`, named after the teacher's hash,
/// and taken from there the next time.
///
/// # Errors
/// The table cannot be read or written, or the teacher fails on a plate.
pub fn soft_labels(
    teacher: &Path,
    films: &[LabelledPlate],
    folder: &Path,
) -> Result<Vec<[f32; 3]>, Box<dyn std::error::Error>> {
    let hash = sha256_hex(&std::fs::read(teacher)?);
    let cache = &folder.join(format!("teacher-{}.csv", &hash[..12]));
    let mut known: HashMap<String, [f32; 3]> = HashMap::new();
    if cache.exists() {
        for row in csv::Reader::from_path(cache)?.deserialize() {
            let (image_id, covid19, pneumonia, normal): (String, f32, f32, f32) = row?;
            known.insert(image_id, [covid19, pneumonia, normal]);
        }
    }
    if films.iter().any(|film| !known.contains_key(&film.film.image_id)) {
        let teacher = Teacher::load(teacher)?;
        let mut writer = csv::Writer::from_path(cache)?;
        writer.write_record(["image_id", "covid19", "pneumonia", "normal"])?;
        for film in films {
            let image_id = &film.film.image_id;
            if !known.contains_key(image_id) {
                known.insert(image_id.clone(), teacher.probabilities(&film.plate)?);
            }
            let [covid19, pneumonia, normal] = known[image_id];
            writer.serialize((image_id, covid19, pneumonia, normal))?;
        }
        writer.flush()?;
    }
    Ok(films.iter().map(|film| known[&film.film.image_id]).collect())
}

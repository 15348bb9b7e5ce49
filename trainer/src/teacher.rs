//! What a teacher network says of a film (Hinton et al. 2015, "Distilling the knowledge in a neural network"; Romero et
//! al. 2015, "FitNets", for the features), run through tract.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::GrayImage;
use image::imageops::{self, FilterType};
use rayon::prelude::*;
use tract_onnx::prelude::*;
use xray_triage::bundle::sha256_hex;
use xray_triage::triage::{self, Class, Scaling};
use xray_triage::whole;

use crate::dataset::LabelledPlate;

/// A classifier in ONNX: input `[1, 3, side, side]` of gray in 0..=1 replicated (its normalisation is inside), output
/// the logits `[1, 3]` in the order of [`Class::ALL`]. What its last linear layer reads are its features.
pub struct Teacher {
    model: Arc<TypedRunnableModel>,
    side: u32,
}

/// What the teacher says of one film.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// In the order of [`Class::ALL`].
    pub probabilities: [f32; 3],
    /// What the teacher's last linear layer reads.
    pub features: Vec<f32>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: not usable as a teacher ({reason}); it needs one input [1,3,N,N], one output [1,3] and a last linear layer \
     (Gemm or MatMul)"
)]
pub struct TeacherError {
    path: PathBuf,
    reason: String,
}

impl Teacher {
    pub fn load(path: &Path) -> Result<Self, TeacherError> {
        let failed = |reason: String| TeacherError { path: path.into(), reason };
        let explain = |error: TractError| failed(format!("{error:#}"));
        let onnx = tract_onnx::onnx();
        let proto = onnx.proto_model_for_path(path).map_err(explain)?;
        let layers = proto.graph.iter().flat_map(|graph| &graph.node).rev();
        let is_linear = |layer: &&tract_onnx::pb::NodeProto| matches!(layer.op_type.as_str(), "Gemm" | "MatMul");
        let read_by_last_linear = layers.into_iter().find(is_linear).and_then(|layer| layer.input.first());
        let name = read_by_last_linear.ok_or_else(|| failed("it has no linear layer".into()))?;
        let mut model = onnx.model_for_proto_model(&proto).map_err(explain)?;
        let features =
            model.find_outlet_label(name).ok_or_else(|| failed(format!("its tensor {name} has no origin")))?;
        let mut outputs = model.output_outlets().map_err(explain)?.to_vec();
        outputs.push(features);
        model.select_output_outlets(&outputs).map_err(explain)?;
        let model = model.into_optimized().map_err(explain)?;
        let shape = |fact: TractResult<&TypedFact>| match fact {
            Ok(fact) => Ok(fact.shape.as_concrete().map(<[_]>::to_vec).unwrap_or_default()),
            Err(error) => Err(explain(error)),
        };
        let side = match shape(model.input_fact(0))?[..] {
            [1, 3, height, width] if height == width => width as u32,
            ref other => return Err(failed(format!("its input is {other:?}"))),
        };
        if shape(model.output_fact(0))? != [1, 3] || outputs.len() != 2 {
            return Err(failed("its output is another".into()));
        }
        let model = model.into_runnable().map_err(explain)?;
        Ok(Teacher { model, side })
    }

    pub fn teach(&self, plate: &GrayImage) -> TractResult<Lesson> {
        let resized = imageops::resize(plate, self.side, self.side, FilterType::Triangle);
        let gray = resized.as_raw().iter().map(|gray| f32::from(*gray) / 255.0);
        let input: Vec<f32> = gray.clone().chain(gray.clone()).chain(gray).collect();
        let side = self.side as usize;
        let outputs = self.model.run(tvec!(Tensor::from_shape(&[1, 3, side, side], &input)?.into()))?;
        let values = |output: &TValue| -> TractResult<Vec<f32>> {
            Ok(output.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let logits: [f32; 3] = values(&outputs[0])?.as_slice().try_into()?;
        let probabilities = triage::probabilities(&logits, &Scaling::NONE);
        let probabilities = Class::ALL.map(|class| probabilities.of(class) as f32);
        Ok(Lesson { probabilities, features: values(&outputs[1])? })
    }
}

/// One row of the table that lessons are kept in.
type Row = (String, [f32; 3], Vec<f32>);

/// The teacher's lesson on each film. They are kept in a table in `folder`, named after the teacher's hash, and taken from
/// there the next time.
///
/// # Errors
/// The table cannot be read or written, or the teacher fails on a plate.
pub fn lessons(
    teacher: &Path,
    films: &[LabelledPlate],
    folder: &Path,
) -> Result<Vec<Lesson>, Box<dyn std::error::Error>> {
    let hash = sha256_hex(&std::fs::read(teacher)?);
    let table = folder.join(format!("teacher-{}.csv", &hash[..12]));
    let mut known: HashMap<String, Lesson> = HashMap::new();
    if table.exists() {
        for row in csv::ReaderBuilder::new().has_headers(false).from_path(&table)?.deserialize() {
            let (image_id, probabilities, features): Row = row?;
            known.insert(image_id, Lesson { probabilities, features });
        }
    }
    let missing: Vec<&LabelledPlate> = films.iter().filter(|film| !known.contains_key(&film.film.image_id)).collect();
    if !missing.is_empty() {
        log::info!("the teacher looks at {} films", missing.len());
        let teacher = Teacher::load(teacher)?;
        let taught: TractResult<Vec<Lesson>> = missing.par_iter().map(|film| teacher.teach(&film.plate)).collect();
        for (film, lesson) in missing.into_iter().zip(taught?) {
            known.insert(film.film.image_id.clone(), lesson);
        }
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for (image_id, lesson) in &known {
            writer.serialize((image_id, lesson.probabilities, &lesson.features))?;
        }
        whole::write(&table, &writer.into_inner()?)?;
    }
    Ok(films.iter().map(|film| known[&film.film.image_id].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Film;
    use crate::export::onnx::{Attribute, Model};

    /// A teacher of two pixels each way whose features are the means of the channels, and whose logits are 0, once and
    /// twice their sum.
    fn onnx(with_linear_layer: bool) -> Vec<u8> {
        let mut model = Model::new("teacher");
        let image = model.input("image", &[1, 3, 2, 2]);
        let mean = model.node("GlobalAveragePool", "mean", &[&image], &[]);
        let features = model.node("Flatten", "features", &[&mean], &[("axis", Attribute::Int(1))]);
        let weight = model.floats("weight".into(), &[3, 3], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
        let logits = match with_linear_layer {
            true => model.node("MatMul", "logits", &[&features, &weight], &[]),
            false => model.node("Relu", "logits", &[&features], &[]),
        };
        model.output(&logits, &[1, 3]);
        model.encode()
    }

    fn film(image_id: &str, gray: u8) -> LabelledPlate {
        let film = Film {
            image_id: image_id.into(),
            path: PathBuf::new(),
            label: Class::Normal,
            source: String::new(),
            patient_id: String::new(),
            view: String::new(),
            split: "train".into(),
            protocol: String::new(),
        };
        LabelledPlate { film, plate: GrayImage::from_pixel(7, 5, image::Luma([gray])) }
    }

    #[test]
    fn a_lesson_is_the_softmax_and_what_the_last_linear_layer_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        std::fs::write(&path, onnx(true)).unwrap();
        let Lesson { probabilities, features } = Teacher::load(&path).unwrap().teach(&film("a", 51).plate).unwrap();
        let close = |found: &[f32], expected: [f32; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(features.len() == 3 && close(&features, [0.2; 3]), "{features:?}");
        let powers = [0.0f32, 0.6, 1.2].map(f32::exp);
        assert!(close(&probabilities, powers.map(|power| power / powers.iter().sum::<f32>())), "{probabilities:?}");
    }

    #[test]
    fn what_was_taught_once_comes_from_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        std::fs::write(&path, onnx(true)).unwrap();
        let taught = lessons(&path, &[film("a", 51)], folder.path()).unwrap();
        let table = folder.path().join(format!("teacher-{}.csv", &sha256_hex(&onnx(true))[..12]));
        assert_eq!(lessons(&path, &[film("a", 51)], folder.path()).unwrap(), taught);
        std::fs::write(&table, "a,0.5,0.25,0.25,7.0,8.0,9.0\n").unwrap();
        let known = Lesson { probabilities: [0.5, 0.25, 0.25], features: vec![7.0, 8.0, 9.0] };
        let both = lessons(&path, &[film("b", 51), film("a", 51)], folder.path()).unwrap();
        assert_eq!(both, [taught[0].clone(), known]);
        assert_eq!(std::fs::read_to_string(&table).unwrap().lines().count(), 2);
    }

    #[test]
    fn what_cannot_teach_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        let error = || Teacher::load(&path).err().unwrap().to_string();
        std::fs::write(&path, onnx(false)).unwrap();
        assert!(error().contains("teacher.onnx") && error().contains("no linear layer"), "{}", error());
        std::fs::write(&path, b"no network").unwrap();
        assert!(error().contains("not usable as a teacher"), "{}", error());
    }
}

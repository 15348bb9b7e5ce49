//! What a teacher network says of a film (Hinton et al. 2015, "Distilling the knowledge in a neural network"; Romero et
//! al. 2015, "FitNets", for the features), run through tract.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use half::f16;
use image::GrayImage;
use image::imageops::{self, FilterType};
use rayon::prelude::*;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::*;
use xray_triage::bundle::sha256_hex;
use xray_triage::triage::{self, Class, Scaling};
use xray_triage::whole;

use crate::dataset::LabelledPlate;

/// A classifier in ONNX: input `[1, 3, side, side]` of gray in 0..=1 replicated (its normalisation is inside), output
/// the logits `[1, 3]` in the order of [`Class::ALL`]. What its last linear layer reads are its features; where those are
/// the mean over a map, the map is learned from, too.
pub struct Teacher {
    model: Arc<TypedRunnableModel>,
    side: u32,
}

/// What the teacher says of one film.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// In the order of [`Class::ALL`], the mean of the film's and its mirror image's.
    pub probabilities: [f32; 3],
    /// What the teacher's last linear layer reads, the mean of the film's and its mirror image's.
    pub features: Vec<f32>,
    /// `None` if the features are no mean over a map. Shared: those of all films take 0.2 GB.
    pub maps: Option<Arc<FeatureMaps>>,
}

/// The maps whose means are the teacher's features, of a film and of its mirror image.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMaps {
    /// Channels, rows, columns.
    shape: [usize; 3],
    /// `[channels, rows, columns]` each.
    film: Vec<f16>,
    mirror_image: Vec<f16>,
}

impl FeatureMaps {
    /// `shape`: channels, rows and columns, all of them at least 1, of both maps.
    pub fn new(shape: [usize; 3], film: Vec<f16>, mirror_image: Vec<f16>) -> Self {
        let values = shape.iter().product::<usize>();
        assert!(
            values > 0 && film.len() == values && mirror_image.len() == values,
            "maps that have not the shape {shape:?}"
        );
        FeatureMaps { shape, film, mirror_image }
    }

    /// Adds to `features` those of all channels at a place of the film, which runs over 0..=1 from the upper left, as the
    /// teacher sees it in the film or in its mirror image. `false` if the place lies beyond the film; nothing is added then.
    pub fn add_at(&self, (x, y): (f32, f32), mirrored: bool, features: &mut Vec<f32>) -> bool {
        if !(0.0..=1.0).contains(&x) || !(0.0..=1.0).contains(&y) {
            return false;
        }
        let [channels, rows, columns] = self.shape;
        let (map, x) = if mirrored { (&self.mirror_image, 1.0 - x) } else { (&self.film, x) };
        // Two neighbouring cells and the share of the second.
        let neighbours = |place: f32, cells: usize| {
            let place = (place * cells as f32 - 0.5).clamp(0.0, (cells - 1) as f32);
            let first = place.floor() as usize;
            (first, (first + 1).min(cells - 1), place.fract())
        };
        let (left, right, across) = neighbours(x, columns);
        let (upper, lower, down) = neighbours(y, rows);
        features.extend((0..channels).map(|channel| {
            let at = |row: usize, column: usize| map[(channel * rows + row) * columns + column].to_f32();
            let along = |row| at(row, left) * (1.0 - across) + at(row, right) * across;
            along(upper) * (1.0 - down) + along(lower) * down
        }));
        true
    }
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
        let layers: Vec<&NodeProto> = proto.graph.iter().flat_map(|graph| &graph.node).collect();
        let is_linear = |layer: &&&NodeProto| matches!(layer.op_type.as_str(), "Gemm" | "MatMul");
        let read_by_last_linear = layers.iter().rev().find(is_linear).and_then(|layer| layer.input.first());
        let features = read_by_last_linear.ok_or_else(|| failed("it has no linear layer".into()))?;
        let mut model = onnx.model_for_proto_model(&proto).map_err(explain)?;
        let mut outputs = model.output_outlets().map_err(explain)?.to_vec();
        let outlet = model.find_outlet_label(features);
        outputs.push(outlet.ok_or_else(|| failed(format!("its tensor {features} has no origin")))?);
        outputs.extend(map_of_mean(&layers, features).and_then(|map| model.find_outlet_label(map)));
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
        if shape(model.output_fact(0))? != [1, 3] {
            return Err(failed("its output is another".into()));
        }
        let model = model.into_runnable().map_err(explain)?;
        Ok(Teacher { model, side })
    }

    pub fn teach(&self, plate: &GrayImage) -> TractResult<Lesson> {
        let resized = imageops::resize(plate, self.side, self.side, FilterType::Triangle);
        let film = self.look(&resized)?;
        let mirror_image = self.look(&imageops::flip_horizontal(&resized))?;
        let mean = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| (a + b) / 2.0).collect::<Vec<f32>>();
        let maps = film.map.zip(mirror_image.map).map(|((shape, film), (_, mirror_image))| {
            let halves = |map: Vec<f32>| map.into_iter().map(f16::from_f32).collect();
            Arc::new(FeatureMaps::new(shape, halves(film), halves(mirror_image)))
        });
        Ok(Lesson {
            probabilities: mean(&film.probabilities, &mirror_image.probabilities).as_slice().try_into()?,
            features: mean(&film.features, &mirror_image.features),
            maps,
        })
    }

    fn look(&self, view: &GrayImage) -> TractResult<Look> {
        let gray = view.as_raw().iter().map(|gray| f32::from(*gray) / 255.0);
        let input: Vec<f32> = gray.clone().chain(gray.clone()).chain(gray).collect();
        let side = self.side as usize;
        let outputs = self.model.run(tvec!(Tensor::from_shape(&[1, 3, side, side], &input)?.into()))?;
        let values = |output: &TValue| -> TractResult<Vec<f32>> {
            Ok(output.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let logits: [f32; 3] = values(&outputs[0])?.as_slice().try_into()?;
        let probabilities = triage::probabilities(&logits, &Scaling::NONE);
        let probabilities = Class::ALL.map(|class| probabilities.of(class) as f32);
        let map = match outputs.get(2).map(|map| (map, map.shape())) {
            Some((map, &[1, channels, rows, columns])) => Some(([channels, rows, columns], values(map)?)),
            _ => None,
        };
        Ok(Look { probabilities, features: values(&outputs[1])?, map })
    }
}

/// What the teacher makes of one picture; the map with its shape.
struct Look {
    probabilities: [f32; 3],
    features: Vec<f32>,
    map: Option<([usize; 3], Vec<f32>)>,
}

/// The tensor that `features` are the mean of over all places, if they are one.
fn map_of_mean<'a>(layers: &[&'a NodeProto], features: &str) -> Option<&'a str> {
    let origin = layers.iter().find(|layer| layer.output.iter().any(|output| output == features))?;
    let read = origin.input.first()?;
    match origin.op_type.as_str() {
        "GlobalAveragePool" => Some(read),
        "Flatten" | "Reshape" | "Squeeze" | "Dropout" | "Identity" => map_of_mean(layers, read),
        _ => None,
    }
}

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
    let table = folder.join(format!("teacher-{}.safetensors", &hash[..12]));
    let mut known = HashMap::new();
    if table.exists() {
        known = table::read(&std::fs::read(&table)?)
            .map_err(|error| format!("{}: {error}; delete this file and start again", table.display()))?;
    }
    let missing: Vec<&LabelledPlate> = films.iter().filter(|film| !known.contains_key(&film.film.image_id)).collect();
    if !missing.is_empty() {
        log::info!("the teacher looks at {} films", missing.len());
        let teacher = Teacher::load(teacher)?;
        let taught: TractResult<Vec<Lesson>> = missing.par_iter().map(|film| teacher.teach(&film.plate)).collect();
        for (film, lesson) in missing.into_iter().zip(taught?) {
            known.insert(film.film.image_id.clone(), lesson);
        }
        whole::write(&table, &table::write(&known)?)?;
    }
    Ok(films.iter().map(|film| known[&film.film.image_id].clone()).collect())
}

/// Lessons as safetensors: `probabilities/ID`, `features/ID` and, with maps, `film/ID` and `mirror_image/ID`.
mod table {
    use std::collections::HashMap;

    use half::f16;
    use safetensors::tensor::{Dtype, SafeTensorError, TensorView};
    use safetensors::{SafeTensors, serialize};

    use super::{FeatureMaps, Lesson};
    use crate::state_dict::single_floats;

    type Bytes = (String, Dtype, Vec<usize>, Vec<u8>);

    pub fn write(lessons: &HashMap<String, Lesson>) -> Result<Vec<u8>, SafeTensorError> {
        let singles = |name: String, values: &[f32]| -> Bytes {
            (name, Dtype::F32, vec![values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        let halves = |name: String, shape: [usize; 3], values: &[f16]| -> Bytes {
            (name, Dtype::F16, shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
        };
        let tensors: Vec<Bytes> = lessons
            .iter()
            .flat_map(|(id, lesson)| {
                let mut tensors = vec![
                    singles(format!("probabilities/{id}"), &lesson.probabilities),
                    singles(format!("features/{id}"), &lesson.features),
                ];
                if let Some(maps) = &lesson.maps {
                    tensors.push(halves(format!("film/{id}"), maps.shape, &maps.film));
                    tensors.push(halves(format!("mirror_image/{id}"), maps.shape, &maps.mirror_image));
                }
                tensors
            })
            .collect();
        let views: Result<Vec<_>, SafeTensorError> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect();
        serialize(views?, None)
    }

    pub fn read(bytes: &[u8]) -> Result<HashMap<String, Lesson>, Box<dyn std::error::Error>> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let singles = |name: String| Ok::<_, SafeTensorError>(single_floats(tensors.tensor(&name)?.data()));
        let halves = |name: String| -> Result<([usize; 3], Vec<f16>), Box<dyn std::error::Error>> {
            let tensor = tensors.tensor(&name)?;
            let values = tensor.data().chunks_exact(2).map(|bytes| f16::from_le_bytes([bytes[0], bytes[1]]));
            Ok((tensor.shape().try_into()?, values.collect()))
        };
        let lesson = |id: &str| -> Result<Lesson, Box<dyn std::error::Error>> {
            let maps = match halves(format!("film/{id}")) {
                Ok((shape, film)) => {
                    let (mirror_shape, mirror_image) = halves(format!("mirror_image/{id}"))?;
                    if shape != mirror_shape || shape.contains(&0) {
                        return Err(format!("the maps of {id} have the shapes {shape:?} and {mirror_shape:?}").into());
                    }
                    Some(FeatureMaps::new(shape, film, mirror_image).into())
                }
                Err(_) => None,
            };
            let probabilities = singles(format!("probabilities/{id}"))?.as_slice().try_into()?;
            Ok(Lesson { probabilities, features: singles(format!("features/{id}"))?, maps })
        };
        let names = tensors.names();
        let ids = names.into_iter().filter_map(|name| name.strip_prefix("probabilities/"));
        ids.map(|id| Ok((id.to_string(), lesson(id)?))).collect()
    }
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
        let map = model.node("Relu", "map", &[&image], &[]);
        let mean = model.node("GlobalAveragePool", "mean", &[&map], &[]);
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
        let Lesson { probabilities, features, .. } = Teacher::load(&path).unwrap().teach(&film("a", 51).plate).unwrap();
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
        let file = folder.path().join(format!("teacher-{}.safetensors", &sha256_hex(&onnx(true))[..12]));
        assert_eq!(lessons(&path, &[film("a", 51)], folder.path()).unwrap(), taught);
        let known = Lesson { probabilities: [0.5, 0.25, 0.25], features: vec![7.0, 8.0, 9.0], maps: None };
        let written = table::write(&HashMap::from([("a".to_string(), known.clone())])).unwrap();
        std::fs::write(&file, written).unwrap();
        let both = lessons(&path, &[film("b", 51), film("a", 51)], folder.path()).unwrap();
        assert_eq!(both, [taught[0].clone(), known]);
        assert_eq!(table::read(&std::fs::read(&file).unwrap()).unwrap().len(), 2);
        std::fs::write(&file, "cut off").unwrap();
        let error = lessons(&path, &[film("a", 51)], folder.path()).unwrap_err().to_string();
        assert!(error.contains("teacher-") && error.contains("delete"), "{error}");
    }

    /// Two channels on a grid of two rows and three columns: ten times the row plus the column, and minus it.
    #[test]
    fn a_map_is_read_between_its_cells_and_as_the_mirror_image_has_it() {
        let values = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
        let map = |sign: f32| {
            values
                .iter()
                .chain(&values)
                .enumerate()
                .map(move |(place, value)| f16::from_f32(if place < 6 { sign * value } else { -sign * value }))
        };
        let maps = FeatureMaps::new([2, 2, 3], map(1.0).collect(), map(100.0).collect());
        let at = |place, mirrored| {
            let mut features = Vec::new();
            maps.add_at(place, mirrored, &mut features).then_some(features)
        };
        assert_eq!(at((0.5, 0.25), false), Some(vec![1.0, -1.0]));
        assert_eq!(at((1.0, 0.5), false), Some(vec![7.0, -7.0]), "the last column, half way between the rows");
        assert_eq!(at((1.0, 1.0), true), Some(vec![1000.0, -1000.0]), "its mirror image shows it on the left");
        assert_eq!(at((-0.01, 0.5), false), None);
    }

    #[test]
    fn features_that_are_a_mean_over_a_map_come_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        std::fs::write(&path, onnx(true)).unwrap();
        let plate = GrayImage::from_fn(2, 2, |x, _| image::Luma([if x == 0 { 0 } else { 255 }]));
        let maps = Teacher::load(&path).unwrap().teach(&plate).unwrap().maps.unwrap();
        let at = |place, mirrored| {
            let mut features = Vec::new();
            assert!(maps.add_at(place, mirrored, &mut features));
            features
        };
        assert_eq!(at((0.25, 0.25), false), [0.0; 3]);
        assert_eq!(at((0.75, 0.75), false), [1.0; 3]);
        assert_eq!(at((0.75, 0.75), true), [1.0; 3], "places are the film's, whichever picture shows them");
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

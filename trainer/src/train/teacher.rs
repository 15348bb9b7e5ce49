//! A teacher: a trained network in an ONNX file whose answers the network in training learns from, beside the labels
//! (Hinton et al. 2015, "Distilling the knowledge in a neural network"; Romero et al. 2015, "FitNets", for the
//! features).

use std::path::{Path, PathBuf};

use image::GrayImage;
use image::imageops::{self, FilterType};
use xray_triage_core::bundle::sha256_hex;
use xray_triage_core::decision::{self, Class, Scaling};
use xray_triage_core::input_file;
use xray_triage_core::onnx::{Graph, Node, OnnxError, Plan, TensorInfo};

/// Most bytes a teacher's file may have: what one protocol buffer message can hold.
const MAX_BYTES: u64 = i32::MAX as u64;

/// A classifier in ONNX. Its input is `[1, 3, side, side]`: gray in 0..=1, the same in all three channels; the graph
/// normalises it itself. Its output is `[1, 3]`: the logits in the order of [`Class::ALL`].
///
/// What its last linear layer reads are its features. Where those are the mean over a map, the map can be learned from,
/// too.
pub struct Teacher {
    plan: Plan,
    side: u32,
    features: usize,
    /// Channels, rows and columns of the map whose mean the features are; `None` if they are no mean over a map.
    map_shape: Option<[usize; 3]>,
    sha256: String,
}

/// What the teacher answers to one view.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Probabilities in the order of [`Class::ALL`].
    pub probabilities: [f32; 3],
    /// The features: what the teacher's last linear layer reads.
    pub features: Vec<f32>,
    /// The map whose mean the features are. `None` if they are no mean over a map.
    pub map: Option<FeatureMap>,
}

/// The map whose mean is the teacher's features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// Channels, rows, columns; each at least 1.
    shape: [usize; 3],
    values: Vec<f32>,
}

impl FeatureMap {
    /// The features of all channels at the centres of a `cells` x `cells` grid over the view, place by place, row by row:
    /// `[cells * cells, channels]`. Between the map's own cells they are interpolated.
    pub fn at_cells(&self, cells: usize) -> Vec<f32> {
        let [channels, rows, columns] = self.shape;
        // Two neighbouring cells of the map and the share of the second.
        let neighbours = |cell: usize, count: usize| {
            let place = (cell as f32 + 0.5) / cells as f32;
            let place = (place * count as f32 - 0.5).clamp(0.0, (count - 1) as f32);
            let first = place.floor() as usize;
            (first, (first + 1).min(count - 1), place.fract())
        };
        let mut features = Vec::with_capacity(cells * cells * channels);
        for cell in 0..cells * cells {
            let (upper, lower, down) = neighbours(cell / cells, rows);
            let (left, right, across) = neighbours(cell % cells, columns);
            features.extend((0..channels).map(|channel| {
                let at = |row: usize, column: usize| self.values[(channel * rows + row) * columns + column];
                let along = |row| at(row, left) * (1.0 - across) + at(row, right) * across;
                along(upper) * (1.0 - down) + along(lower) * down
            }));
        }
        features
    }
}

/// Why a file cannot be a teacher.
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
    /// Reads and prepares a teacher's ONNX file.
    ///
    /// # Errors
    /// The file cannot be read, is no ONNX graph that can be run, or is not such a classifier.
    pub fn load(path: &Path) -> Result<Self, TeacherError> {
        let failed = |reason: String| TeacherError { path: path.into(), reason };
        let explain = |error: OnnxError| failed(error.to_string());
        let file = input_file::read(path, MAX_BYTES).map_err(|error| failed(error.to_string()))?;
        let mut graph = Graph::parse(&file).map_err(explain)?;
        let (inputs, outputs) = (graph.inputs(), graph.outputs());
        let ([_], [logits]) = (inputs, outputs) else {
            return Err(failed(format!("it has {} inputs and {} outputs", inputs.len(), outputs.len())));
        };
        let nodes: Vec<Node> = graph.nodes().collect();
        let is_linear = |node: &&Node| matches!(node.operator, "Gemm" | "MatMul");
        let read_by_last_linear = nodes.iter().rev().find(is_linear).and_then(|node| node.inputs.first());
        let features = read_by_last_linear.ok_or_else(|| failed("it has no linear layer".into()))?;
        let map = map_of_mean(&nodes, features);
        let mut names: Vec<String> = vec![logits.name().into(), features.into()];
        names.extend(map.map(String::from));
        graph.select_outputs(&names.iter().map(String::as_str).collect::<Vec<_>>()).map_err(explain)?;
        let plan = graph.into_plan(1).map_err(explain)?;

        let ([input], [logits, features, map @ ..]) = (plan.inputs(), plan.outputs()) else {
            return Err(failed("its inputs and outputs are lost when it is prepared".into()));
        };
        let side = match input.fixed_shape().as_deref() {
            Some(&[1, 3, height, width]) if height == width => u32::try_from(width).ok(),
            _ => None,
        };
        let side = side.ok_or_else(|| failed(format!("its input is {input}")))?;
        if logits.fixed_shape() != Some(vec![1, 3]) {
            return Err(failed(format!("its output is {logits}")));
        }
        let features = match features.fixed_shape().as_deref() {
            Some(&[1, features]) => features,
            _ => return Err(failed(format!("what its last linear layer reads is {features}"))),
        };
        let map_shape = match map.first().and_then(TensorInfo::fixed_shape).as_deref() {
            Some(&[1, channels, rows, columns]) if channels * rows * columns > 0 => Some([channels, rows, columns]),
            _ => None,
        };
        Ok(Teacher { plan, side, features, map_shape, sha256: sha256_hex(&file) })
    }

    /// SHA-256 of the teacher's file, 64 lower-case hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Side of the picture it looks at, pixels.
    pub fn side(&self) -> u32 {
        self.side
    }

    /// How many features its last linear layer reads.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Whether its answers have a map.
    pub fn has_map(&self) -> bool {
        self.map_shape.is_some()
    }

    /// The teacher's answer to a view of any size.
    ///
    /// # Errors
    /// tract cannot run the network.
    pub fn teach(&self, view: &GrayImage) -> Result<Answer, OnnxError> {
        let view = imageops::resize(view, self.side, self.side, FilterType::Triangle);
        let gray = view.as_raw().iter().map(|gray| f32::from(*gray) / 255.0);
        let input: Vec<f32> = gray.clone().chain(gray.clone()).chain(gray).collect();
        let side = self.side as usize;
        let mut outputs = self.plan.run(&[1, 3, side, side], &input)?.into_iter();
        let mut next = || outputs.next().unwrap_or_default();
        let (logits, features, map) = (next(), next(), next());
        let logits: [f32; 3] = logits.try_into().map_err(|logits: Vec<f32>| OnnxError::Tract {
            action: "run",
            reason: format!("it gave {} logits instead of 3", logits.len()),
        })?;
        let probabilities = decision::probabilities(&logits, &Scaling::NONE);
        let probabilities = Class::ALL.map(|class| probabilities.of(class) as f32);
        let map = self.map_shape.map(|shape| FeatureMap { shape, values: map });
        Ok(Answer { probabilities, features, map })
    }
}

/// The tensor that `features` are the mean of over all places, if they are one.
fn map_of_mean<'a>(nodes: &[Node<'a>], features: &str) -> Option<&'a str> {
    let mut tensor = features;
    // A damaged graph may run in a circle, so there are no more steps back than nodes.
    for _ in nodes {
        let origin = nodes.iter().find(|node| node.outputs.iter().any(|output| output == tensor))?;
        let read = origin.inputs.first()?;
        match origin.operator {
            "GlobalAveragePool" => return Some(read),
            "Flatten" | "Reshape" | "Squeeze" | "Dropout" | "Identity" => tensor = read,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::export::onnx::{Attribute, Model};

    use super::*;

    /// A teacher of two pixels each way whose features are the means of the channels, and whose logits are 0, once and
    /// twice their sum.
    fn onnx(with_linear_layer: bool) -> Vec<u8> {
        model(with_linear_layer).encode()
    }

    fn model(with_linear_layer: bool) -> Model {
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
        model
    }

    #[test]
    fn the_file_that_training_is_tested_with_is_this_teacher() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teacher.onnx");
        assert_eq!(std::fs::read(file).unwrap(), onnx(true));
    }

    #[test]
    fn an_answer_is_the_softmax_and_what_the_last_linear_layer_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        std::fs::write(&path, onnx(true)).unwrap();
        let teacher = Teacher::load(&path).unwrap();
        assert_eq!((teacher.side(), teacher.features(), teacher.has_map()), (2, 3, true));
        let view = GrayImage::from_pixel(7, 5, image::Luma([51]));
        let Answer { probabilities, features, .. } = teacher.teach(&view).unwrap();
        let close = |found: &[f32], expected: [f32; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(features.len() == 3 && close(&features, [0.2; 3]), "{features:?}");
        let powers = [0.0f32, 0.6, 1.2].map(f32::exp);
        assert!(close(&probabilities, powers.map(|power| power / powers.iter().sum::<f32>())), "{probabilities:?}");
    }

    /// Two channels on a grid of two rows and three columns: ten times the row plus the column, and minus it.
    #[test]
    fn a_map_is_read_between_its_cells() {
        let values = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
        let map =
            FeatureMap { shape: [2, 2, 3], values: values.into_iter().chain(values.map(|value| -value)).collect() };
        assert_eq!(map.at_cells(1), [6.0, -6.0]);
        assert_eq!(map.at_cells(2), [0.25, -0.25, 1.75, -1.75, 10.25, -10.25, 11.75, -11.75]);
    }

    #[test]
    fn features_that_are_a_mean_over_a_map_come_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        std::fs::write(&path, onnx(true)).unwrap();
        let view = GrayImage::from_fn(2, 2, |x, _| image::Luma([if x == 0 { 0 } else { 255 }]));
        let Answer { features, map, .. } = Teacher::load(&path).unwrap().teach(&view).unwrap();
        assert_eq!(features, [0.5; 3]);
        assert_eq!(map.unwrap().at_cells(2), [[0.0; 3], [1.0; 3], [0.0; 3], [1.0; 3]].concat());
    }

    #[test]
    fn what_cannot_teach_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("teacher.onnx");
        let error = || Teacher::load(&path).err().unwrap().to_string();
        std::fs::write(&path, onnx(false)).unwrap();
        assert!(error().contains("teacher.onnx") && error().contains("no linear layer"), "{}", error());
        let mut two_outputs = model(true);
        two_outputs.output("features", &[1, 3]);
        std::fs::write(&path, two_outputs.encode()).unwrap();
        assert!(error().contains("1 inputs and 2 outputs"), "{}", error());
        std::fs::write(&path, b"no network").unwrap();
        assert!(error().contains("not usable as a teacher"), "{}", error());
        let mut damaged = Model::new("teacher");
        let image = damaged.input("image", &[1, 3, 2, 2]);
        let features = damaged.node("Flatten", "features", &[&image], &[("axis", Attribute::Int(9))]);
        let weight = damaged.floats("weight".into(), &[12, 3], &[0.5; 36]);
        let logits = damaged.node("MatMul", "logits", &[&features, &weight], &[]);
        damaged.output(&logits, &[1, 3]);
        std::fs::write(&path, damaged.encode()).unwrap();
        assert!(error().contains("panicked"), "{}", error());
        let mut circle = Model::new("teacher");
        let image = circle.input("image", &[1, 3, 2, 2]);
        let weight = circle.floats("weight".into(), &[12, 3], &[0.5; 36]);
        circle.node("Flatten", "one", &["two"], &[]);
        circle.node("Flatten", "two", &["one"], &[]);
        circle.node("Relu", "unused", &[&image], &[]);
        let logits = circle.node("MatMul", "logits", &["one", &weight], &[]);
        circle.output(&logits, &[1, 3]);
        std::fs::write(&path, circle.encode()).unwrap();
        assert!(error().contains("not usable as a teacher"), "{}", error());
    }
}

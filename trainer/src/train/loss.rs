//! The loss that training lowers, and the validation on films as they are.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use xray_triage_core::decision::Class;
use xray_triage_core::preprocess::{self, InputSpec};

use crate::data::dataset::LabelledFilm;
use crate::model::fake_quantization::FakeQuantization;
use crate::model::network::Network;

use super::state::Student;
use super::views::Batch;
use super::{CLASSES, TrainConfig};

/// The loss of a batch, and for how many of its films the most probable class is the label.
///
/// The loss is the mean cross-entropy against the target probabilities, plus [`feature_loss`] (of the pooled features, and
/// place by place) and [`lung_loss`], each times its weight. With `fake_quantization` the network computes as its int8
/// export does. `size` is the side of the input in pixels.
pub fn forward(
    student: &Student,
    batch: Batch,
    config: &TrainConfig,
    size: usize,
    fake_quantization: Option<&FakeQuantization>,
    device: &Device,
) -> (Tensor<1>, usize) {
    let films = batch.labels.len();
    let input = Tensor::<4>::from_data(TensorData::new(batch.input, [films, 3, size, size]), device);
    let input = if config.mixed_precision { input.cast(FloatDType::BF16) } else { input };
    let target = Tensor::<2>::from_data(TensorData::new(batch.target, [films, CLASSES]), device);
    let output = student.network.forward_with(input, fake_quantization);
    let log_probabilities = log_softmax(output.logits, 1);
    let scores = rows(log_probabilities.clone());
    let is_right = |(row, label): &(&[f32], &Class)| top(row) == Some(**label as usize);
    let right = scores.chunks_exact(CLASSES).zip(&batch.labels).filter(is_right).count();
    let mut loss = (target * log_probabilities).sum().neg() / films as f32;
    if let Some(projector) = &student.projector {
        let width = batch.features.len() / films;
        let teacher = Tensor::<2>::from_data(TensorData::new(batch.features, [films, width]), device);
        loss = loss + feature_loss(projector.forward(output.pooled), teacher) * config.feature_weight;
        if !batch.map.is_empty() {
            let student = at_places(output.features.clone());
            let teacher = Tensor::<2>::from_data(TensorData::new(batch.map, [student.dims()[0], width]), device);
            loss = loss + feature_loss(projector.forward(student), teacher) * config.map_weight;
        }
    }
    if config.lung_weight > 0.0 && !batch.lungs.is_empty() {
        let maps = student.network.cam(output.features);
        loss = loss + lung_loss(maps, &batch.labels, batch.lungs, device) * config.lung_weight;
    }
    (loss, right)
}

/// The features of a map `[batch, channels, rows, columns]` place by place, `[batch * rows * columns, channels]`.
fn at_places(map: Tensor<4>) -> Tensor<2> {
    let [batch, channels, rows, columns] = map.dims();
    map.permute([0, 2, 3, 1]).reshape([batch * rows * columns, channels])
}

/// One minus the mean cosine between the student's and the teacher's features `[films or places, width]`, each less its
/// mean over all films or places. It is 0 where both vary alike from one film or place to the next, and 1 where they have
/// nothing to do with each other.
fn feature_loss(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let direction = |features: Tensor<2>| {
        let centred = features.clone() - features.mean_dim(0);
        // The features of a batch of one film are their mean, and a root has no slope at zero.
        let length = ((centred.clone() * centred.clone()).sum_dim(1) + 1e-12).sqrt();
        centred / length
    };
    let cosine = (direction(student) * direction(teacher)).sum_dim(1);
    cosine.mean().neg() + 1.0
}

/// How much of the activation maps lies outside the lungs: the mean, over the films with a lung mask, of `-ln` of the share
/// of the map inside the lungs.
///
/// The map is the softmax over all places of the activation map of the film's true class. The softmax does not depend on
/// how high a map is as a whole, so the loss moves a film's evidence and does not take it away. `maps` are
/// `[batch, classes, side, side]`; `lungs` are as in [`Batch`].
fn lung_loss(maps: Tensor<4>, labels: &[Class], lungs: Vec<(usize, Vec<f32>)>, device: &Device) -> Tensor<1> {
    let [films, classes, side, _] = maps.dims();
    let (masked, cells) = (lungs.len(), side * side);
    // The rows of the true classes among the `films * classes` maps.
    let wanted: Vec<i64> = lungs.iter().map(|(film, _)| (film * classes + labels[*film] as usize) as i64).collect();
    let coverage: Vec<f32> = lungs.into_iter().flat_map(|(_, coverage)| coverage).collect();
    let coverage = Tensor::<2>::from_data(TensorData::new(coverage, [masked, cells]), device);
    let wanted = Tensor::<1, Int>::from_data(TensorData::new(wanted, [masked]), device);
    let shares = softmax(maps.reshape([films * classes, cells]).select(0, wanted), 1);
    // The view of a film may show hardly any lung.
    let inside = (shares * coverage).sum_dim(1) + 1e-2;
    inside.log().mean().neg()
}

/// The number of the most probable class.
fn top(row: &[f32]) -> Option<usize> {
    (0..CLASSES).max_by(|a, b| row[*a].total_cmp(&row[*b]))
}

/// The values of a tensor `[films, classes]`, row by row.
fn rows(scores: Tensor<2>) -> Vec<f32> {
    scores.into_data().convert::<f32>().try_into_vec().expect("the data were just converted to f32")
}

/// Mean cross-entropy (nats) and accuracy (0..=1) over films as they are. `device` is without automatic differentiation.
/// With `fake_quantization` the network computes as its int8 export does. Both are NaN without films.
pub fn validate(
    network: &Network,
    films: &[LabelledFilm],
    spec: &InputSpec,
    fake_quantization: Option<&FakeQuantization>,
    device: &Device,
) -> (f64, f64) {
    let (mut loss, mut correct) = (0.0, 0);
    for chunk in films.chunks(16) {
        let input: Vec<f32> = chunk.iter().flat_map(|film| preprocess::tensor(&film.picture, spec)).collect();
        let size = spec.size as usize;
        let input = Tensor::<4>::from_data(TensorData::new(input, [chunk.len(), 3, size, size]), device);
        let rows = rows(log_softmax(network.forward_with(input, fake_quantization).logits, 1));
        for (film, row) in chunk.iter().zip(rows.chunks_exact(CLASSES)) {
            loss -= f64::from(row[film.film.label as usize]);
            correct += usize::from(top(row) == Some(film.film.label as usize));
        }
    }
    (loss / films.len() as f64, correct as f64 / films.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_that_vary_alike_cost_nothing() {
        let device = crate::model::backend::Backend::preferred().device();
        let tensor = |values: [[f32; 2]; 3]| Tensor::<2>::from_floats(values, &device);
        let loss = |student, teacher| feature_loss(tensor(student), tensor(teacher)).into_scalar::<f32>();
        let teacher = [[1.0, 5.0], [2.0, 4.0], [6.0, 9.0]];
        assert!(loss(teacher.map(|row| row.map(|value| 3.0 * value + 7.0)), teacher).abs() < 1e-4);
        assert!((loss(teacher.map(|row| row.map(|value| -value)), teacher) - 2.0).abs() < 1e-4);
    }

    #[test]
    fn the_lung_loss_takes_the_map_of_the_true_class_whatever_its_height() {
        let device = crate::model::backend::Backend::preferred().device();
        // Two films of three 2 x 2 maps; the second has a mask of its right half, and its label's map is the last.
        let loss = |height: f32| {
            let mut maps = vec![100.0; 24];
            maps[20..].copy_from_slice(&[3f32.ln(), 1f32.ln(), 4f32.ln(), 2f32.ln()].map(|value| value + height));
            let maps = Tensor::<4>::from_data(TensorData::new(maps, [2, 3, 2, 2]), &device);
            let lungs = vec![(1, vec![0.0, 1.0, 0.0, 1.0])];
            lung_loss(maps, &[Class::Covid19, Class::Normal], lungs, &device).into_scalar::<f32>()
        };
        assert!((loss(0.0) + (0.3f32 + 0.01).ln()).abs() < 1e-4, "{}", loss(0.0));
        assert!((loss(0.0) - loss(-7.0)).abs() < 1e-4);
    }
}

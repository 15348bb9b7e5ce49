//! The out-of-distribution (OOD) score: whether a rectified film looks like an upright frontal chest film at all.
//!
//! Frontal chest films resemble each other: two dark lungs, a bright middle, ribs across, shoulders above. Described by
//! coarse grays and edges they lie close to a subspace of few dimensions, and other pictures do not:
//! hands, lateral views, CT slices, films upside down, negatives. The distance from such a subspace is the detector of
//! Turk and Pentland 1991, "Eigenfaces for recognition", section 2.3. The subspace is fitted to films, so it belongs to a
//! bundle.

use std::f32::consts::PI;

use image::GrayImage;
use serde::{Deserialize, Serialize};

use crate::preprocess::{self, InputSpec};

/// Side of the small copy of the film that is described, pixels.
const SIDE: usize = 32;

/// Grays along a side, each the mean of 2 x 2 pixels.
const GRAYS: usize = 16;

/// Cells along a side in which edges are summed, 4 x 4 pixels each.
const CELLS: usize = 8;

/// Directions of an edge, evenly over half a turn: a bright edge and a dark one are the same.
const DIRECTIONS: usize = 8;

/// Euclidean length of a film's description by edges. A description by grays has a length of 16 at most. The value was
/// chosen together with the number of components, see docs/design/ood.md.
const EDGE_WEIGHT: f32 = 4.0;

/// How many numbers describe a film.
pub const VALUES: usize = GRAYS * GRAYS + CELLS * CELLS * DIRECTIONS;

/// The subspace that frontal chest films lie close to, fitted by `trainer calibrate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OodModel {
    /// The description of the mean film: [`VALUES`] numbers as [`OodModel::describe`] returns them.
    pub mean: Vec<f32>,
    /// The directions in which films differ most: orthonormal vectors of [`VALUES`] numbers.
    pub components: Vec<Vec<f32>>,
}

impl OodModel {
    /// What is wrong with the model, if anything is: a vector of another length, or with a value that is not finite.
    pub fn fault(&self) -> Option<String> {
        let right = |vector: &Vec<f32>| vector.len() == VALUES && vector.iter().all(|value| value.is_finite());
        let wrong = std::iter::once(&self.mean).chain(&self.components).position(|vector| !right(vector))?;
        let name = if wrong == 0 { "mean".to_string() } else { format!("component {wrong}") };
        Some(format!("{name} must be {VALUES} finite numbers"))
    }

    /// Describes a rectified film by [`VALUES`] numbers: 16 x 16 grays in 0..=1, row by row, then 8 x 8 cells of 8 edge
    /// directions, row by row. The gray range is stretched first, as for the network.
    pub fn describe(film: &GrayImage) -> Vec<f32> {
        let gray = preprocess::unit_gray(film, &InputSpec::imagenet(SIDE as u32));
        let mut description = vec![0.0; GRAYS * GRAYS];
        let size = SIDE / GRAYS;
        for (place, gray) in gray.iter().enumerate() {
            let (x, y) = (place % SIDE / size, place / SIDE / size);
            description[y * GRAYS + x] += gray / (size * size) as f32;
        }
        description.extend(edges(&gray));
        description
    }

    /// How far a rectified film is from chest films: the root mean square of what the subspace cannot explain of its
    /// description, 0..=1. A film like many has a score near 0. The bundle has the threshold of each capture profile.
    pub fn score(&self, film: &GrayImage) -> f64 {
        self.score_of(&OodModel::describe(film))
    }

    /// The score of a film that [`OodModel::describe`] has described already.
    pub fn score_of(&self, description: &[f32]) -> f64 {
        let mut rest: Vec<f32> = description.iter().zip(&self.mean).map(|(value, mean)| value - mean).collect();
        for component in &self.components {
            let along: f32 = rest.iter().zip(component).map(|(rest, component)| rest * component).sum();
            for (rest, component) in rest.iter_mut().zip(component) {
                *rest -= along * component;
            }
        }
        (rest.iter().map(|value| f64::from(value * value)).sum::<f64>() / VALUES as f64).sqrt()
    }
}

/// Edges of `SIDE * SIDE` grays: a histogram of their directions in each cell (Dalal and Triggs 2005), an edge counting
/// by its slope and shared between the two directions next to it. The square roots of the shares of the whole
/// (Arandjelovic and Zisserman 2012, "RootSIFT"), so that contrast does not matter and no strong edge outweighs all;
/// the vector is [`EDGE_WEIGHT`] long, or 0 if all grays are one.
fn edges(gray: &[f32]) -> Vec<f32> {
    let mut histograms = vec![0.0; CELLS * CELLS * DIRECTIONS];
    let at = |x: usize, y: usize| gray[y * SIDE + x];
    let before = |place: usize| place.saturating_sub(1);
    let after = |place: usize| (place + 1).min(SIDE - 1);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let across = (at(after(x), y) - at(before(x), y)) / (after(x) - before(x)) as f32;
            let down = (at(x, after(y)) - at(x, before(y))) / (after(y) - before(y)) as f32;
            let direction = down.atan2(across).rem_euclid(PI) / PI * DIRECTIONS as f32;
            let (first, beyond) = (direction.floor(), direction.fract());
            let cell = (y * CELLS / SIDE * CELLS + x * CELLS / SIDE) * DIRECTIONS;
            let slope = across.hypot(down);
            histograms[cell + first as usize % DIRECTIONS] += slope * (1.0 - beyond);
            histograms[cell + (first as usize + 1) % DIRECTIONS] += slope * beyond;
        }
    }
    let whole = histograms.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    histograms.into_iter().map(|slopes| EDGE_WEIGHT * (slopes / whole).sqrt()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    /// Gray that rises from left to right, or from top to bottom.
    fn ramp(rises: impl Fn(u32, u32) -> u32) -> GrayImage {
        GrayImage::from_fn(64, 64, |x, y| Luma([(rises(x, y) * 4) as u8]))
    }

    /// A model of one film and its negative.
    fn ramps() -> OodModel {
        let [film, negative] = [ramp(|x, _| x), ramp(|x, _| 63 - x)].map(|film| OodModel::describe(&film));
        let mean: Vec<f32> = film.iter().zip(&negative).map(|(a, b)| (a + b) / 2.0).collect();
        let centred: Vec<f32> = film.iter().zip(&mean).map(|(value, mean)| value - mean).collect();
        let length = centred.iter().map(|value| value * value).sum::<f32>().sqrt();
        OodModel { mean, components: vec![centred.iter().map(|value| value / length).collect()] }
    }

    #[test]
    fn what_lies_in_the_subspace_scores_nothing() {
        let space = ramps();
        assert_eq!(space.fault(), None);
        for film in [ramp(|x, _| x), ramp(|x, _| 63 - x)] {
            assert!(space.score(&film) < 1e-3, "{}", space.score(&film));
        }
        let across = ramp(|_, y| y);
        assert!(space.score(&across) > 0.2, "{}", space.score(&across));
    }

    #[test]
    fn edges_lie_in_their_direction_whatever_the_contrast() {
        // Across the picture: direction 0 in every cell alike; down it: a quarter turn, direction 4 of 8.
        for (film, direction) in [(ramp(|x, _| x), 0), (ramp(|x, _| x / 2), 0), (ramp(|_, y| y), 4)] {
            let description = OodModel::describe(&film);
            let edges = &description[GRAYS * GRAYS..];
            assert_eq!(description.len(), VALUES);
            let squares = |values: &mut dyn Iterator<Item = &f32>| values.map(|value| value * value).sum::<f32>();
            assert!((squares(&mut edges.iter()) - EDGE_WEIGHT * EDGE_WEIGHT).abs() < 1e-3);
            let along = squares(&mut edges.iter().skip(direction).step_by(DIRECTIONS));
            assert!(along > 0.98 * EDGE_WEIGHT * EDGE_WEIGHT, "{along} in direction {direction}");
        }
    }

    #[test]
    fn one_gray_has_no_edges_and_a_score() {
        let plain = GrayImage::from_pixel(40, 30, Luma([90]));
        assert!(OodModel::describe(&plain).iter().all(|value| *value == 0.0));
        assert!((0.1..=1.0).contains(&ramps().score(&plain)), "{}", ramps().score(&plain));
    }

    #[test]
    fn a_fault_of_the_model_is_named() {
        let mut space = ramps();
        space.components[0].pop();
        assert!(space.fault().unwrap().contains("component 1"));
        let mut space = ramps();
        space.mean[3] = f32::NAN;
        assert!(space.fault().unwrap().contains("mean"));
    }
}

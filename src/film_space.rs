//! Whether a plate looks like an upright frontal chest film at all.
//!
//! Frontal chest films resemble each other: two dark lungs, a bright middle, shoulders above. Reduced to 16 x 16 pixels
//! they lie close to a plane of few dimensions, the *film space*, and other pictures do not: hands, lateral views, CT
//! slices, films upside down, negatives. The distance from such a space is the detector of Turk and Pentland 1991,
//! "Eigenfaces for recognition", section 2.3. The space is fitted to training films, so it belongs to a bundle.

use image::GrayImage;
use serde::{Deserialize, Serialize};

use crate::preprocess::{self, InputSpec};

/// Side of the reduced plate, pixels.
pub const SIDE: u32 = 16;

const PIXELS: usize = (SIDE * SIDE) as usize;

/// The plane that frontal chest films lie close to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilmSpace {
    /// The mean film, `SIDE * SIDE` values row by row, gray in 0..=1.
    pub mean: Vec<f32>,
    /// What films differ by: orthonormal vectors of `SIDE * SIDE` values.
    pub components: Vec<Vec<f32>>,
}

impl FilmSpace {
    /// What is wrong with the space, if anything is: a vector of another length or with a value that is not finite.
    pub fn fault(&self) -> Option<String> {
        let right = |vector: &Vec<f32>| vector.len() == PIXELS && vector.iter().all(|value| value.is_finite());
        let wrong = std::iter::once(&self.mean).chain(&self.components).position(|vector| !right(vector))?;
        let name = if wrong == 0 { "mean".to_string() } else { format!("component {wrong}") };
        Some(format!("{name} must be {PIXELS} finite numbers"))
    }

    /// The plate as the space sees it: `SIDE * SIDE` values in 0..=1, its gray range stretched as for the network.
    pub fn reduce(plate: &GrayImage) -> Vec<f32> {
        preprocess::unit_gray(plate, &InputSpec::imagenet(SIDE))
    }

    /// How far the plate is from the space: the root mean square over the reduced plate's pixels of what the space
    /// cannot explain, in units of the gray range. 0 is a film like many; frontal films seldom have more than 0.12.
    pub fn distance(&self, plate: &GrayImage) -> f64 {
        let mut rest: Vec<f32> =
            FilmSpace::reduce(plate).iter().zip(&self.mean).map(|(gray, mean)| gray - mean).collect();
        for component in &self.components {
            let along: f32 = rest.iter().zip(component).map(|(rest, component)| rest * component).sum();
            for (rest, component) in rest.iter_mut().zip(component) {
                *rest -= along * component;
            }
        }
        (rest.iter().map(|value| f64::from(value * value)).sum::<f64>() / PIXELS as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    /// Pictures that get brighter from left to right, from 0 to 1.
    fn ramps() -> FilmSpace {
        let reduced = FilmSpace::reduce(&GrayImage::from_fn(64, 64, |x, _| Luma([(x * 4) as u8])));
        let mean = reduced.iter().sum::<f32>() / PIXELS as f32;
        let centred: Vec<f32> = reduced.iter().map(|gray| gray - mean).collect();
        let length = centred.iter().map(|value| value * value).sum::<f32>().sqrt();
        FilmSpace { mean: vec![mean; PIXELS], components: vec![centred.iter().map(|value| value / length).collect()] }
    }

    #[test]
    fn what_lies_in_the_space_has_no_distance() {
        let space = ramps();
        assert_eq!(space.fault(), None);
        let along = GrayImage::from_fn(64, 64, |x, _| Luma([(x * 4) as u8]));
        let across = GrayImage::from_fn(64, 64, |_, y| Luma([(y * 4) as u8]));
        assert!(space.distance(&along) < 1e-3, "{}", space.distance(&along));
        // The mirror image lies on the other side of the mean; a ramp at right angles does not lie in the space.
        assert!(space.distance(&image::imageops::flip_horizontal(&along)) < 1e-2);
        assert!(space.distance(&across) > 0.2, "{}", space.distance(&across));
    }

    #[test]
    fn a_faulty_space_is_named() {
        let mut space = ramps();
        space.components[0].pop();
        assert!(space.fault().unwrap().contains("component 1"));
        let mut space = ramps();
        space.mean[3] = f32::NAN;
        assert!(space.fault().unwrap().contains("mean"));
    }
}

//! The light-box panel's own light, from the panel that is seen around the film.

use super::geometry::{Homography, Point};
use super::plane::Plane;

/// The panel's light behind the film: a polynomial of second degree in the film's own coordinates (0..1 from the left
/// and from the top), least squares over the panel's gray around the film.
pub struct PanelLight {
    /// Of 1, u, v, u u, u v, v v with u and v from the film's middle; relative to the mean over the film's area.
    coefficients: [f64; 6],
    /// Mean over the film's area, gray levels.
    pub mean: f64,
    /// How far the panel is from smooth: the median of |gray / polynomial - 1|, with the polynomial of second degree
    /// through the panel that is seen.
    pub roughness: f64,
    /// On how many of the four sides the panel is seen.
    pub sides: usize,
}

impl PanelLight {
    /// No gradient, nothing known.
    pub fn even() -> Self {
        PanelLight { coefficients: [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], mean: 0.0, roughness: f64::INFINITY, sides: 0 }
    }

    /// Takes the panel on each side up to 12 % of the film's size away, as far as it goes on being bright. `film` maps
    /// the unit square onto the film in `plane`; at a side that is the panel's rim there is no panel. Panel on all four sides gives the second-degree terms, on two or
    /// three the linear ones; with less panel the light counts as even.
    pub fn measure(plane: &Plane, film: &Homography, rims: [bool; 4]) -> Self {
        let bright = f64::from(plane.percentile(98.0));
        let mut samples: Vec<(Point, f64)> = Vec::new();
        let mut sides = 0;
        for side in (0..4).filter(|&side| !rims[side]) {
            let before = samples.len();
            for step in 0..48 {
                let share = (f64::from(step) + 0.5) / 48.0;
                for away in [0.015, 0.025, 0.04, 0.06, 0.09, 0.12] {
                    let at = match side {
                        0 => [share, -away],
                        1 => [1.0 + away, share],
                        2 => [share, 1.0 + away],
                        _ => [-away, share],
                    };
                    let [x, y] = film.apply(at);
                    let gray = plane.get(x as f32, y as f32).map_or(0.0, f64::from);
                    // Past the panel's edge there is none farther out.
                    if gray < 0.55 * bright {
                        break;
                    }
                    samples.push((at, gray));
                }
            }
            sides += usize::from(samples.len() - before >= 24);
        }
        let terms = match sides {
            0 | 1 => 0,
            2 | 3 => 3,
            _ => 6,
        };
        let Some(coefficients) = least_squares(&samples, terms) else { return PanelLight::even() };
        // The samples alone are described by all terms; only to go on behind the film takes panel all round.
        let through = least_squares(&samples, 6).unwrap_or(coefficients);
        let light = |at: Point| through.iter().zip(powers(at)).map(|(c, t)| c * t).sum::<f64>();
        let mut deviations: Vec<f64> =
            samples.iter().map(|&(at, gray)| (gray / light(at).max(1.0) - 1.0).abs()).collect();
        deviations.sort_by(f64::total_cmp);
        // Mean over the film: u and v have mean 0 and mean square 1/12.
        let mean = coefficients[0] + (coefficients[3] + coefficients[5]) / 12.0;
        PanelLight {
            coefficients: coefficients.map(|c| c / mean),
            mean,
            roughness: deviations[deviations.len() / 2],
            sides,
        }
    }

    /// Light at a place of the film, 1 on the average; never less than a half nor more than one and a half.
    pub fn relative(&self, at: Point) -> f32 {
        let terms = powers(at);
        self.coefficients.iter().zip(terms).map(|(c, t)| c * t).sum::<f64>().clamp(0.5, 1.5) as f32
    }
}

fn powers([u, v]: Point) -> [f64; 6] {
    let (u, v) = (u - 0.5, v - 0.5);
    [1.0, u, v, u * u, u * v, v * v]
}

/// Coefficients of the first `terms` of [`powers`] by the normal equations (at most 6 x 6, well scaled), solved by
/// Gauss-Jordan elimination with pivoting; the others are 0. `None` if the samples do not determine them.
fn least_squares(samples: &[(Point, f64)], terms: usize) -> Option<[f64; 6]> {
    if terms == 0 {
        return None;
    }
    let mut rows = [[0.0f64; 7]; 6];
    for (at, value) in samples {
        let p = powers(*at);
        for i in 0..terms {
            for j in 0..terms {
                rows[i][j] += p[i] * p[j];
            }
            rows[i][6] += p[i] * value;
        }
    }
    for column in 0..terms {
        let pivot = (column..terms).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-6 {
            return None;
        }
        for row in 0..terms {
            if row != column {
                let share = rows[row][column] / rows[column][column];
                let pivot = rows[column];
                rows[row].iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= share * pivot);
            }
        }
    }
    let mut coefficients = [0.0; 6];
    for i in 0..terms {
        coefficients[i] = rows[i][6] / rows[i][i];
    }
    Some(coefficients)
}

#[cfg(test)]
mod tests;

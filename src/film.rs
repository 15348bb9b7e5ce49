//! From the camera's frame to the plate: finding the film, making it upright, flattening the panel's light.
//!
//! A film on a light box is darker than the bright, textureless panel around it; a picture on a screen is brighter
//! than the dark surround. Both are looked for by their four sides ([`find`]); a digital film has neither and passes
//! untouched.

mod find;
mod geometry;
mod plane;

use clap::ValueEnum;
use image::GrayImage;
use serde::{Deserialize, Serialize};

pub use find::{Target, find};
pub use geometry::{Homography, Point, Quad};
pub use plane::Plane;

/// How the picture was taken. Thresholds belong to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A photograph of a film on a light box.
    Film,
    /// A photograph of a screen that shows a film.
    Screen,
    /// The digital film itself.
    Digital,
}

/// Where the film lies in the frame.
#[derive(Clone, Debug, Serialize)]
pub struct Film {
    /// Whether four sides were found. If not, the whole frame counts as the film.
    pub found: bool,
    /// Corners clockwise from the top left, frame pixels; the frame itself reaches from (0, 0) to (width, height).
    pub corners: [[f32; 2]; 4],
}

/// What [`rectify`] returns.
pub struct Rectified {
    /// The upright film alone, at most [`PLATE_SIDE`] pixels on its longer side when it was found; else the frame.
    pub plate: GrayImage,
    /// Where it was in the frame.
    pub film: Film,
    /// The profile asked for, or the one recognised.
    pub profile: Profile,
}

/// Longest side of a rectified plate, pixels. More than four times the network's input.
pub const PLATE_SIDE: u32 = 1024;

/// Longest side of the copy in which the film is looked for, pixels.
const SEARCH_SIDE: usize = 480;

/// Finds the film in a frame and returns it upright.
///
/// - `wanted` `None`: film, else screen, else digital, whichever there is clear evidence for.
/// - `Some(Film)` or `Some(Screen)`: weaker evidence is enough. If there is still none, the plate is the whole frame
///   and `film.found` is false.
/// - `Some(Digital)`: the plate is the frame.
///
/// A film on a light box is also divided by the panel's light, estimated from the panel around it. The frame's gray
/// is roughly a power of the light, so that dividing gray by gray removes a gradient of the light as it should.
///
/// The film must stand upright within about 15 degrees; a film turned by 90 degrees or mirrored stays so.
pub fn rectify(frame: &GrayImage, wanted: Option<Profile>) -> Rectified {
    let attempts: &[(Profile, Target)] = match wanted {
        None => &[(Profile::Film, Target::Film), (Profile::Screen, Target::Screen)],
        Some(Profile::Film) => &[(Profile::Film, Target::Film)],
        Some(Profile::Screen) => &[(Profile::Screen, Target::Screen)],
        Some(Profile::Digital) => &[],
    };
    if !attempts.is_empty() {
        let longest = frame.width().max(frame.height()) as usize;
        let factor = longest.div_ceil(SEARCH_SIDE).max(1);
        let plane = Plane::reduced(frame, factor);
        for &(profile, target) in attempts {
            let Some(quad) = find(&plane, target, wanted.is_some()) else { continue };
            let quad = quad.map(|p| p.map(|v| v * factor as f64));
            if let Some(plate) = cut_out(frame, &quad, profile == Profile::Film) {
                let film = Film { found: true, corners: quad.map(|p| p.map(|v| v as f32)) };
                return Rectified { plate, film, profile };
            }
        }
    }
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let corners = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]];
    Rectified {
        plate: frame.clone(),
        film: Film { found: false, corners },
        profile: wanted.unwrap_or(Profile::Digital),
    }
}

/// The quadrilateral as an upright rectangle whose sides are the means of its opposite sides. `None` if it is
/// degenerate.
fn cut_out(frame: &GrayImage, quad: &Quad, flatten: bool) -> Option<GrayImage> {
    let (width, height) = geometry::size(quad);
    let scale = (f64::from(PLATE_SIDE) / width.max(height)).min(1.0);
    let (columns, rows) = ((width * scale).round() as u32, (height * scale).round() as u32);
    if columns == 0 || rows == 0 {
        return None;
    }
    // Average down to at most twice the plate's resolution, then four bilinear samples a pixel: no aliasing, and the
    // pixel grid of a photographed screen is averaged away.
    let factor = ((1.0 / scale / 2.0).ceil() as usize).max(1);
    let plane = Plane::reduced(frame, factor);
    let quad = quad.map(|p| p.map(|v| v / factor as f64));
    let map = Homography::from_unit_square(&quad)?;
    let light = if flatten { PanelLight::measure(&plane, &quad, &map) } else { PanelLight::even() };
    Some(GrayImage::from_fn(columns, rows, |column, row| {
        let mut sum = 0.0;
        for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
            let [x, y] =
                map.apply([(f64::from(column) + dx) / f64::from(columns), (f64::from(row) + dy) / f64::from(rows)]);
            sum += plane.sample(x as f32, y as f32);
        }
        let centre = [(f64::from(column) + 0.5) / f64::from(columns), (f64::from(row) + 0.5) / f64::from(rows)];
        image::Luma([(sum / 4.0 / light.relative(centre)).round().clamp(0.0, 255.0) as u8])
    }))
}

/// The panel's light behind the film: a polynomial of second degree in the film's own coordinates (0..1 from the left
/// and from the top), least squares over the panel's gray around the film.
struct PanelLight {
    /// Of 1, u, v, u u, u v, v v with u and v from the film's middle; relative to the mean over the film's area.
    coefficients: [f64; 6],
}

impl PanelLight {
    fn even() -> Self {
        PanelLight { coefficients: [1.0, 0.0, 0.0, 0.0, 0.0, 0.0] }
    }

    /// Takes the panel on each side up to 12 % of the film's size away, as far as it goes on being bright. Needs
    /// panel on all four sides for the second-degree terms, on two for the linear ones.
    fn measure(plane: &Plane, quad: &Quad, map: &Homography) -> Self {
        let _ = quad;
        let bright = f64::from(plane.percentile(98.0));
        let mut samples: Vec<([f64; 2], f64)> = Vec::new();
        let mut sides_seen = 0;
        for side in 0..4 {
            let before = samples.len();
            for step in 0..48 {
                let share = (f64::from(step) + 0.5) / 48.0;
                for away in [0.02, 0.035, 0.05, 0.07, 0.09, 0.12] {
                    let at = match side {
                        0 => [share, -away],
                        1 => [1.0 + away, share],
                        2 => [share, 1.0 + away],
                        _ => [-away, share],
                    };
                    let [x, y] = map.apply(at);
                    let gray = plane.get(x as f32, y as f32).map_or(0.0, f64::from);
                    // Past the panel's edge there is none farther out.
                    if gray < 0.55 * bright {
                        break;
                    }
                    samples.push((at, gray));
                }
            }
            sides_seen += usize::from(samples.len() - before >= 24);
        }
        let terms = match sides_seen {
            0 | 1 => return Self::even(),
            2 | 3 => 3,
            _ => 6,
        };
        let Some(mut coefficients) = least_squares(&samples, terms) else { return Self::even() };
        // Mean over the film: u and v have mean 0 and mean square 1/12.
        let mean = coefficients[0] + (coefficients[3] + coefficients[5]) / 12.0;
        coefficients.iter_mut().for_each(|c| *c /= mean);
        PanelLight { coefficients }
    }

    /// Light at a place of the film, 1 on the average; never less than a half nor more than one and a half.
    fn relative(&self, at: Point) -> f32 {
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
                for k in column..7 {
                    rows[row][k] -= share * rows[column][k];
                }
            }
        }
    }
    let mut coefficients = [0.0; 6];
    for i in 0..terms {
        coefficients[i] = rows[i][6] / rows[i][i];
    }
    Some(coefficients)
}

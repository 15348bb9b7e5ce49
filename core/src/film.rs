//! From the camera's frame to the rectified film: finding the film, cutting it out upright, and dividing it by the
//! panel's light.
//!
//! A film on a light box is darker than the bright, textureless panel around it; a picture on a screen is brighter
//! than the dark surround. Both are looked for by their four sides ([`find()`]); a digital film has neither and passes
//! untouched.

mod bare;
mod find;
mod geometry;
mod light;
mod plane;
#[cfg(test)]
mod scenes;

use image::{GrayImage, Luma};
use serde::{Deserialize, Serialize};

pub use bare::bare_share;
pub use geometry::{Homography, Point, Quad};

use find::{Target, find};
use light::PanelLight;
use plane::Plane;

/// How the picture was taken. Thresholds belong to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A photograph of a film on a light box.
    Film,
    /// A photograph of a screen that shows a film.
    Screen,
    /// The digital film itself.
    Digital,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Profile; 3] = [Profile::Film, Profile::Screen, Profile::Digital];

    /// The name in manifests, settings, records and on the command line: `film`, `screen` or `digital`.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Film => "film",
            Profile::Screen => "screen",
            Profile::Digital => "digital",
        }
    }

    /// The profile with this [`name`](Profile::name), if there is one.
    pub fn named(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// Where the film lies in the frame: its four corners.
#[derive(Clone, Debug, Serialize)]
pub struct Outline {
    /// Whether four sides were found. If not, the whole frame counts as the film.
    pub found: bool,
    /// Corners clockwise from the top left, frame pixels; the frame itself reaches from (0, 0) to (width, height).
    pub corners: [[f32; 2]; 4],
}

/// What [`rectify`] returns.
pub struct Rectified {
    /// The upright film alone, at most [`RECTIFIED_SIDE`] pixels on its longer side when it was found; else the frame.
    pub film: GrayImage,
    /// Where it was in the frame.
    pub outline: Outline,
    /// The profile asked for, or the one recognised.
    pub profile: Profile,
    /// Whether there are two films on the light box, each of at least 15 % of the frame.
    pub several: bool,
}

impl Rectified {
    /// Whether there is a film to judge: a photograph's film was found, and what is taken for the film is not bare panel.
    pub fn has_film(&self) -> bool {
        (self.outline.found || self.profile == Profile::Digital) && bare_share(&self.film) <= MOST_BARE
    }
}

/// Most of the bright part of a film that may have no texture ([`bare_share`]). Of the 1,346 digital films of the data set
/// the barest has 0.79; simulated and path-traced photographs of empty light boxes have 0.88 to 0.98.
const MOST_BARE: f32 = 0.83;

/// Longest side of a rectified film, pixels. It is more than four times the network's input.
pub const RECTIFIED_SIDE: u32 = 1024;

/// Longest side of the copy in which the film is looked for, pixels.
const SEARCH_SIDE: usize = 480;

/// Finds the film in a frame and returns it upright.
///
/// - If `wanted` is `None`, the profile is film, else screen, else digital, whichever there is clear evidence for.
/// - If it is `Some(Film)` or `Some(Screen)`, weaker evidence is enough. If there is still none, the rectified film is the
///   whole frame, and `outline.found` is false.
/// - If it is `Some(Digital)`, the rectified film is the frame.
///
/// A film on a light box is also divided by the panel's light, estimated from the panel around it. The frame's gray
/// is roughly a power of the light, so that dividing gray by gray removes a gradient of the light as it should.
///
/// The film must stand upright within about 15 degrees; a film turned by 90 degrees or mirrored stays so.
///
/// ```
/// use image::{GrayImage, Luma};
/// use xray_triage_core::film::{Profile, rectify};
///
/// // A digital film is its own frame and passes untouched.
/// let frame = GrayImage::from_fn(320, 320, |x, y| Luma([((x + y) / 4) as u8]));
/// let rectified = rectify(&frame, None);
/// assert_eq!((rectified.profile, rectified.outline.found), (Profile::Digital, false));
/// assert_eq!(rectified.film, frame);
/// ```
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
            let Some(found) = find(&plane, target, wanted.is_some()) else { continue };
            let light = match Homography::from_unit_square(&found.corners) {
                Some(film) if profile == Profile::Film => PanelLight::measure(&plane, &film, found.rims),
                _ => PanelLight::even(),
            };
            let quad = found.corners.map(|p| p.map(|v| v * factor as f64));
            if let Some(film) = cut_out(frame, &quad, &light) {
                let outline = Outline { found: true, corners: quad.map(|p| p.map(|v| v as f32)) };
                let several = found.several && profile == Profile::Film;
                return Rectified { film, outline, profile, several };
            }
        }
    }
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let corners = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]];
    Rectified {
        film: frame.clone(),
        outline: Outline { found: false, corners },
        profile: wanted.unwrap_or(Profile::Digital),
        several: false,
    }
}

/// The quadrilateral as an upright rectangle whose sides are the means of its opposite sides, divided by the light.
/// `None` if it is degenerate.
fn cut_out(frame: &GrayImage, quad: &Quad, light: &PanelLight) -> Option<GrayImage> {
    let (width, height) = geometry::size(quad);
    let scale = (f64::from(RECTIFIED_SIDE) / width.max(height)).min(1.0);
    let (columns, rows) = ((width * scale).round() as u32, (height * scale).round() as u32);
    if columns == 0 || rows == 0 {
        return None;
    }
    // The frame is averaged down to at most twice the film's resolution, and two bilinear samples are taken for each
    // pixel. So nothing aliases, and the pixel grid of a photographed screen is averaged away.
    let factor = ((1.0 / scale / 2.0).ceil() as usize).max(1);
    let plane = Plane::reduced(frame, factor);
    let quad = quad.map(|p| p.map(|v| v / factor as f64));
    let map = Homography::from_unit_square(&quad)?;
    Some(GrayImage::from_fn(columns, rows, |column, row| {
        let mut sum = 0.0;
        let place = |d: f64| [(f64::from(column) + d) / f64::from(columns), (f64::from(row) + d) / f64::from(rows)];
        for d in [0.25, 0.75] {
            let [x, y] = map.apply(place(d));
            sum += plane.sample(x as f32, y as f32);
        }
        Luma([(sum / 2.0 / light.relative(place(0.5))).round().clamp(0.0, 255.0) as u8])
    }))
}

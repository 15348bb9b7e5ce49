//! A hand-held camera in front of the scene: where it stands, what its lens and sensor make of the scene, and the
//! photograph it takes.

use std::f64::consts::TAU;
use std::io::Cursor;

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, GrayImage, RgbImage};
use rand::Rng;
use xray_triage_core::film::{Homography, Point, Quad};

use super::effects::{Choices, Effect, between};
use super::optics::{self, Kernel};
use super::sensor;

/// Longer side of the photograph, pixels.
const PHOTO_LONG: u32 = 1600;
/// Shorter side of the photograph, pixels.
const PHOTO_SHORT: u32 = 1200;
/// Focal length, photo pixels: a phone's main camera, 27 mm on 36 mm film.
const FOCAL: f64 = 0.75 * PHOTO_LONG as f64;

/// Largest turn about the optical axis, degrees.
const ROLL_DEG: [f64; 5] = [0.0, 2.0, 6.0, 11.0, 15.0];
/// Largest tilt about each of the two other axes, degrees.
const TILT_DEG: [f64; 5] = [0.0, 3.0, 8.0, 13.0, 18.0];
/// Largest distance of the object's middle from the photograph's, as a share of each side.
const SHIFT: [f64; 5] = [0.0, 0.03, 0.03, 0.03, 0.03];
/// Standard deviation of the lens's own blur, photo pixels.
const LENS_PX: [[f64; 2]; 5] = [[0.0, 0.0], [0.3, 0.5], [0.35, 0.6], [0.4, 0.7], [0.5, 0.9]];
/// Radius of a point out of focus, photo pixels.
const DEFOCUS_PX: [[f64; 2]; 5] = [[0.0, 0.0], [0.0, 0.8], [0.0, 1.6], [0.0, 3.0], [1.5, 6.5]];
/// How far a point moves during the exposure, photo pixels.
const MOTION_PX: [[f64; 2]; 5] = [[0.0, 0.0], [0.0, 0.8], [0.0, 2.0], [0.0, 4.0], [2.0, 9.0]];
/// Share of the fall of light that the lens has by its geometry and does not correct.
const VIGNETTING: [[f64; 2]; 5] = [[0.0, 0.0], [0.2, 0.6], [0.2, 0.8], [0.3, 0.9], [0.5, 1.0]];
/// The panel's radiance times the exposure. 1 saturates the sensor.
const EXPOSURE: [[f64; 2]; 5] = [[0.85, 0.85], [0.75, 0.95], [0.7, 1.2], [0.55, 1.6], [0.3, 2.2]];
/// Largest cast, as a factor on what a camera with an ordinary cast shows too little or too much of red and blue.
const CAST: [f64; 5] = [0.0, 0.6, 1.0, 1.5, 2.5];
/// Worst and best JPEG quality. At level 0 the photograph is not coded.
const QUALITY: [[u8; 2]; 5] = [[100, 100], [90, 95], [80, 92], [70, 88], [50, 80]];

/// A simulated photograph and the truth about it.
#[derive(Clone)]
pub struct Photograph {
    /// The photograph after JPEG coding, 1600 x 1200 or 1200 x 1600 pixels.
    pub photo: RgbImage,
    /// The true corners of the film sheet, or of the picture that a screen shows: clockwise from its top left, in pixels of
    /// the photograph. The photograph itself reaches from (0, 0) to (width, height).
    pub corners: [[f32; 2]; 4],
    /// The true rectified film: the sheet or picture within these corners as it is without photograph, marks and clips, in
    /// the polarity in which it is shown. It has the digital film's pixels, with the border around them.
    pub rectified: GrayImage,
}

impl Photograph {
    /// The photograph in gray, as the device reads a file of it.
    pub fn into_gray(self) -> GrayImage {
        DynamicImage::ImageRgb8(self.photo).into_luma8()
    }

    /// The largest distance of a found corner from the true one, as a share of the photograph's diagonal. The corners in
    /// `found` are clockwise from the top left, in pixels of the photograph.
    pub fn corner_error(&self, found: &[[f32; 2]; 4]) -> f32 {
        let distance = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] - b[0]).hypot(a[1] - b[1]);
        let diagonal = (self.photo.width() as f32).hypot(self.photo.height() as f32);
        found.iter().zip(&self.corners).map(distance).fold(0.0, f32::max) / diagonal
    }
}

/// A pinhole camera in front of the scene.
pub struct Camera {
    width: u32,
    height: u32,
    /// Maps photo pixels to the object's own square, (0, 0) to (1, 1).
    to_object: Homography,
    /// Half the object's width and height, millimetres.
    half: [f64; 2],
    /// The object's corners, photo pixels.
    corners: Quad,
}

impl Camera {
    /// Draws a camera that is turned and tilted. It is so far away that the object (half sizes in millimetres) takes a share
    /// of the frame that is drawn from `filling`, or farther, until all of the object is in the frame.
    pub fn draw(choices: &Choices, half: [f64; 2], filling: [f64; 2]) -> Self {
        let mut rng = choices.of(Effect::Perspective);
        let mut within = |limit: f64| between(&mut rng, [-limit, limit]);
        let roll = within(choices.at(Effect::Perspective, &ROLL_DEG)).to_radians();
        let tilt = choices.at(Effect::Perspective, &TILT_DEG);
        let (pitch, yaw) = (within(tilt).to_radians(), within(tilt).to_radians());
        let shift = choices.at(Effect::Perspective, &SHIFT);
        let shift = [within(shift), within(shift)];
        let filling = between(&mut rng, filling);
        let landscape = half[0] > half[1] || (half[0] == half[1] && rng.random_bool(0.5));
        let (width, height) = if landscape { (PHOTO_LONG, PHOTO_SHORT) } else { (PHOTO_SHORT, PHOTO_LONG) };
        let size = [f64::from(width), f64::from(height)];
        let mut distance = FOCAL * (2.0 * half[0] / size[0]).max(2.0 * half[1] / size[1]) / filling;
        loop {
            let project = |[x, y]: Point| {
                let (x, y) = (x * roll.cos() - y * roll.sin(), x * roll.sin() + y * roll.cos());
                let (y, z) = (y * pitch.cos(), y * pitch.sin());
                let (x, z) = (x * yaw.cos() + z * yaw.sin(), z * yaw.cos() - x * yaw.sin());
                let scale = FOCAL / (distance + z);
                [size[0] * (0.5 + shift[0]) + x * scale, size[1] * (0.5 + shift[1]) + y * scale]
            };
            let corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]
                .map(|[x, y]: Point| project([x * half[0], y * half[1]]));
            let seen = corners.iter().all(|p| (0..2).all(|i| p[i] > 0.015 * size[i] && p[i] < 0.985 * size[i]));
            if seen {
                let object = Homography::from_unit_square(&corners).expect("a tilted rectangle is no line");
                return Camera { width, height, to_object: object.inverse(), half, corners };
            }
            distance *= 1.04;
        }
    }

    /// The object's corners: clockwise from its top left, photo pixels.
    pub fn corners(&self) -> [[f32; 2]; 4] {
        self.corners.map(|corner| corner.map(|value| value as f32))
    }

    /// Where a place of the scene (millimetres from the object's middle) is in the photograph, pixels.
    pub fn place(&self, [x, y]: Point) -> [f32; 2] {
        let object = self.to_object.inverse();
        object.apply([(x / self.half[0] + 1.0) / 2.0, (y / self.half[1] + 1.0) / 2.0]).map(|value| value as f32)
    }

    /// Photographs a scene. `radiance` gives red, green and blue at a place of the scene, millimetres. `grid` multiplies
    /// what reaches a photosite of a colour (0 red to 2 blue) behind the lens.
    pub fn photograph(
        &self,
        choices: &Choices,
        radiance: impl Fn(Point) -> [f64; 3],
        grid: impl Fn(Point, usize) -> f64,
    ) -> RgbImage {
        let (width, height) = (self.width as usize, self.height as usize);
        let place = |x: f64, y: f64| {
            let [u, v] = self.to_object.apply([x, y]);
            [(2.0 * u - 1.0) * self.half[0], (2.0 * v - 1.0) * self.half[1]]
        };
        let mut channels = [0; 3].map(|_| vec![0f32; width * height]);
        for index in 0..width * height {
            let (x, y) = ((index % width) as f64, (index / width) as f64);
            // Two samples on the diagonal soften the edges; the lens does the rest.
            let (a, b) = (radiance(place(x + 0.25, y + 0.25)), radiance(place(x + 0.75, y + 0.75)));
            for (channel, (a, b)) in channels.iter_mut().zip(a.into_iter().zip(b)) {
                channel[index] = ((a + b) / 2.0) as f32;
            }
        }

        let draw = |effect: Effect, range: &[[f64; 2]; 5]| between(&mut choices.of(effect), choices.at(effect, range));
        let lens_px = draw(Effect::LensBlur, &LENS_PX);
        let defocus = Kernel::disc(draw(Effect::Defocus, &DEFOCUS_PX));
        let mut rng = choices.of(Effect::Motion);
        let motion =
            Kernel::line(between(&mut rng, choices.at(Effect::Motion, &MOTION_PX)), between(&mut rng, [0.0, TAU]));
        for channel in &mut channels {
            optics::blur(channel, width, lens_px);
            defocus.apply(channel, width);
            motion.apply(channel, width);
        }

        let vignetting = draw(Effect::Vignetting, &VIGNETTING);
        let exposure = draw(Effect::Exposure, &EXPOSURE);
        let mut rng = choices.of(Effect::WhiteBalance);
        let cast = choices.at(Effect::WhiteBalance, &CAST);
        let tint = [1.0 + cast * between(&mut rng, [-0.1, 0.04]), 1.0, 1.0 + cast * between(&mut rng, [-0.08, 0.1])];
        let light = |x: usize, y: usize, colour: usize| {
            let (middle_x, middle_y) = (x as f64 + 0.5, y as f64 + 0.5);
            let off_axis = (middle_x - width as f64 / 2.0).hypot(middle_y - height as f64 / 2.0) / FOCAL;
            // cos^4 of the angle to the axis, as far as the lens does not correct it.
            let lens = 1.0 - vignetting * (1.0 - (1.0 + off_axis * off_axis).powi(-2));
            let arriving = f64::from(channels[colour][y * width + x]) * grid(place(middle_x, middle_y), colour);
            arriving * lens * exposure * tint[colour]
        };
        let full_well = choices.at(Effect::Noise, &sensor::FULL_WELL);
        let sites = sensor::expose(width, height, full_well, &mut choices.of(Effect::Noise), light);
        let photo = sensor::develop(&sites, width);
        if choices.effects.level(Effect::Jpeg) == 0 {
            return photo;
        }
        let [worst, best] = choices.at(Effect::Jpeg, &QUALITY);
        through_jpeg(&photo, choices.of(Effect::Jpeg).random_range(worst..=best))
    }
}

/// The picture after JPEG coding at this quality (1 to 100).
fn through_jpeg(photo: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(photo).expect("a photo fits a JPEG in memory");
    let decoder = JpegDecoder::new(Cursor::new(bytes)).expect("the encoder writes what the decoder reads");
    DynamicImage::from_decoder(decoder).expect("the encoder writes what the decoder reads").into_rgb8()
}

//! Simulated photographs of films: what a hand-held phone makes of a film on a light box, or of a screen that shows
//! one. Seeded, so that a photograph can be made again.
//!
//! The scene is a plane measured in millimetres. Its radiance (linear, 1 = mean of the panel, or white of the screen)
//! goes through lens, sensor and JPEG coder in this order: perspective, defocus, vignetting, exposure, white balance,
//! shot and read noise, clipping, sRGB curve (IEC 61966-2-1), JPEG.
//!
//! Levels: 1 a careful photograph, 2 an ordinary one, 3 a careless one, 4 one that a person would take again.

use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::{DynamicImage, GrayImage, Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Cursor;
use xray_triage::film::{Homography, Point, Quad};

/// A simulated photograph and the truth about it.
pub struct Snapshot {
    /// 1600 x 1200 or 1200 x 1600 pixels, after JPEG coding.
    pub photo: RgbImage,
    /// True corners of the film sheet (of the picture shown, for a screen), clockwise from its top left, photo pixels;
    /// the photo itself reaches from (0, 0) to (width, height).
    pub corners: [[f32; 2]; 4],
}

/// Longer side of the photograph, pixels.
const PHOTO_LONG: u32 = 1600;
/// Shorter side of the photograph, pixels.
const PHOTO_SHORT: u32 = 1200;
/// Focal length over the photograph's longer side: a phone's main camera, 27 mm on 36 mm film.
const FOCAL: f64 = 0.75;
/// Longer side of the film sheet, millimetres (35 cm x 43 cm sheets).
const FILM_LONG_MM: f64 = 430.0;

/// What gets worse from level to level. Ranges are drawn uniformly.
struct Level {
    /// Largest turn about the optical axis, degrees.
    roll_deg: f64,
    /// Largest tilt about each of the two other axes, degrees.
    tilt_deg: f64,
    /// Defocus and shake: standard deviation of a Gaussian blur, photo pixels.
    blur_px: [f64; 2],
    /// Electrons that saturate a photo pixel: fewer, more shot noise. Read noise is 6 electrons.
    full_well: f64,
    /// Panel's radiance times exposure, 1 = saturation.
    exposure: [f64; 2],
    /// Largest relative fall of the panel's light from its brightest place to the farthest edge of the film, in x and
    /// in y.
    panel_fall: f64,
    /// Largest radiance of a reflected lamp.
    glare: f64,
    /// Panel left free beside the film, millimetres.
    margin_mm: [f64; 2],
    /// Light scattered by lens, dust and room onto everything.
    veil: [f64; 2],
    /// Relative depth of the screen's pixel grid as the sensor still sees it.
    moire: f64,
    /// JPEG quality.
    quality: [u8; 2],
}

const LEVELS: [Level; 4] = [
    Level {
        roll_deg: 2.0,
        tilt_deg: 3.0,
        blur_px: [0.5, 0.8],
        full_well: 9_000.0,
        exposure: [0.75, 0.95],
        panel_fall: 0.15,
        glare: 0.02,
        margin_mm: [25.0, 70.0],
        veil: [0.002, 0.005],
        moire: 0.04,
        quality: [90, 95],
    },
    Level {
        roll_deg: 6.0,
        tilt_deg: 8.0,
        blur_px: [0.6, 1.2],
        full_well: 5_000.0,
        exposure: [0.7, 1.2],
        panel_fall: 0.3,
        glare: 0.1,
        margin_mm: [15.0, 60.0],
        veil: [0.003, 0.01],
        moire: 0.08,
        quality: [80, 92],
    },
    Level {
        roll_deg: 11.0,
        tilt_deg: 13.0,
        blur_px: [0.8, 2.0],
        full_well: 2_500.0,
        exposure: [0.55, 1.6],
        panel_fall: 0.4,
        glare: 0.3,
        margin_mm: [10.0, 50.0],
        veil: [0.005, 0.02],
        moire: 0.14,
        quality: [70, 88],
    },
    Level {
        roll_deg: 15.0,
        tilt_deg: 18.0,
        blur_px: [1.5, 4.0],
        full_well: 1_000.0,
        exposure: [0.3, 2.2],
        panel_fall: 0.5,
        glare: 0.8,
        margin_mm: [4.0, 40.0],
        veil: [0.01, 0.04],
        moire: 0.2,
        quality: [50, 80],
    },
];

/// A hand-held photograph of `film` on a light box in a dark room. `level` is 1 to 4; others count as the nearest.
///
/// The sheet's transmittance is T = T0 + (T1 - T0) g^gamma, the look a laser imager prints for, with g the film's gray
/// (0..=1), gamma 1.9 to 2.5, T1 = 10^-D of base and fog (D 0.16 to 0.26) and T0 of the blackest print (D 2.3 to 3.1).
/// A border up to 6 mm wide is either black or clear. The base is blue.
///
/// # Panics
/// If the film has no pixel.
pub fn film_on_lightbox(film: &GrayImage, level: u8, seed: u64) -> Snapshot {
    let (mut rng, level) = start(film, level, seed);
    let [width, height] = sheet_mm(film);
    let half = [width / 2.0, height / 2.0];

    let gamma = rng.random_range(1.9..2.5);
    let clear = 10f64.powf(-rng.random_range(0.16..0.26));
    let black = 10f64.powf(-rng.random_range(2.3..3.1));
    let border = rng.random_range(0.0..6.0);
    let border_is_clear = rng.random_bool(0.3);
    let base = [rng.random_range(0.84..0.94), rng.random_range(0.95..0.99), 1.0];
    let grays = transmittances(clear, black, gamma);

    // The panel: left, top, right, bottom edge. Its light falls off from a middle that need not be the film's.
    let margin = [0; 4].map(|_| rng.random_range(level.margin_mm[0]..level.margin_mm[1]));
    let panel = [-half[0] - margin[0], -half[1] - margin[1], half[0] + margin[2], half[1] + margin[3]];
    let middle = half.map(|h| h * rng.random_range(-0.5..0.5));
    let farthest = [half[0] + middle[0].abs(), half[1] + middle[1].abs()];
    let fall = farthest.map(|mm| level.panel_fall * rng.random_range(0.3..1.0) / (mm * mm));
    let tube = (level.panel_fall * 0.1, rng.random_range(110.0..170.0), rng.random_range(0.0..1.0));
    let housing = rng.random_range(0.01..0.06);
    let room = rng.random_range(0.002..0.02);
    let housing_mm = rng.random_range(15.0..50.0);

    // Clips bite the upper edge: offset from the film's middle, width, reach below the edge.
    let clips: Vec<[f64; 3]> = (0..rng.random_range(0..=3))
        .map(|_| [rng.random_range(-0.8..0.8) * half[0], rng.random_range(15.0..45.0), rng.random_range(4.0..12.0)])
        .collect();
    let clip_radiance = rng.random_range(0.01..0.15);
    let glare = Glare::draw(&mut rng, level, half);

    let radiance = |[x, y]: Point| {
        let on_panel = x > panel[0] && y > panel[1] && x < panel[2] && y < panel[3];
        let clipped = clips.iter().any(|c| (x - c[0]).abs() < c[1] / 2.0 && y < -half[1] + c[2] && y > -half[1] - 25.0);
        let colour = if clipped {
            [clip_radiance; 3]
        } else if !on_panel {
            let (dx, dy) = ((x.abs() - panel[2].abs()).max(0.0), (y.abs() - panel[3].abs()).max(0.0));
            [if dx.max(dy) < housing_mm { housing } else { room }; 3]
        } else {
            let light = 1.0 - fall[0] * (x - middle[0]).powi(2) - fall[1] * (y - middle[1]).powi(2)
                + tube.0 * (std::f64::consts::TAU * (x / tube.1 + tube.2)).cos();
            let light = light.max(0.1);
            if !on_sheet([x, y], half, 5.0) {
                [light; 3]
            } else {
                let (inner_x, inner_y) = (half[0] - border, half[1] - border);
                let transmitted = if x.abs() < inner_x && y.abs() < inner_y {
                    lookup(film, &grays, (x / inner_x + 1.0) / 2.0, (y / inner_y + 1.0) / 2.0)
                } else if border_is_clear {
                    clear
                } else {
                    black
                };
                base.map(|b| light * transmitted * b)
            }
        };
        colour.map(|c| c + glare.at([x, y]))
    };
    let camera = Camera::draw(&mut rng, level, half, [0.6, 0.84]);
    camera.photograph(&mut rng, level, radiance, |_| [1.0; 3])
}

/// A hand-held photograph of a screen on which a viewer shows `film`: black background, half the time a gray bar
/// of buttons above, a dark frame around the screen, a dim room, and the moire of the screen's pixels against the camera's. `level` as
/// in [`film_on_lightbox`].
///
/// The grid of red, green and blue stripes (pitch 0.2 to 0.3 mm) modulates each channel by
/// 1 + m cos(2 pi x / pitch + phase) and is sampled pixel by pixel after the defocus, so that it aliases as on a sensor.
///
/// # Panics
/// If the film has no pixel.
pub fn screen(film: &GrayImage, level: u8, seed: u64) -> Snapshot {
    let (mut rng, level) = start(film, level, seed);
    let [width, height] = sheet_mm(film).map(|mm| mm * 0.7);
    let half = [width / 2.0, height / 2.0];
    // A lit LCD pixel that is black, and its white.
    let grays = transmittances(1.0, rng.random_range(0.001..0.004), 2.2);
    let black = grays[0];
    let side = rng.random_range(10.0..90.0);
    let bar = if rng.random_bool(0.5) { rng.random_range(8.0..16.0) } else { 0.0 };
    let shown = [half[0] + side, half[1] + rng.random_range(1.0..25.0)];
    let bar_gray = rng.random_range(0.03..0.25);
    let frame_mm = rng.random_range(8.0..25.0);
    let frame = rng.random_range(0.003..0.02);
    let room = rng.random_range(0.005..0.04);
    let glare = Glare::draw(&mut rng, level, half);
    let buttons = rng.random_range(12.0..30.0);

    let radiance = |[x, y]: Point| {
        let on_picture = x.abs() < half[0] && y.abs() < half[1];
        let value = if on_picture {
            lookup(film, &grays, (x / half[0] + 1.0) / 2.0, (y / half[1] + 1.0) / 2.0)
        } else if x.abs() < shown[0] && y.abs() < shown[1] {
            black
        } else if x.abs() < shown[0] && y < 0.0 && y > -shown[1] - bar {
            let on_button = (x / buttons).rem_euclid(1.0) < 0.4 && ((y + shown[1] + bar / 2.0).abs() < bar / 5.0);
            if on_button { 0.6 } else { bar_gray }
        } else if x.abs() < shown[0] + frame_mm && y > -shown[1] - bar - frame_mm && y < shown[1] + frame_mm {
            frame
        } else {
            room
        };
        [value + glare.at([x, y]); 3]
    };
    let camera = Camera::draw(&mut rng, level, half, [0.66, 0.9]);
    let pitch = rng.random_range(0.2..0.3);
    let depth = level.moire * rng.random_range(0.4..1.0);
    let grid = |[x, y]: Point| {
        if x.abs() > shown[0] || y.abs() > shown[1] + bar {
            return [1.0; 3];
        }
        let tau = std::f64::consts::TAU;
        let rows = 1.0 + 0.4 * depth * (tau * y / pitch).cos();
        [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|phase| rows * (1.0 + depth * (tau * (x / pitch + phase)).cos()))
    };
    camera.photograph(&mut rng, level, radiance, grid)
}

fn start(film: &GrayImage, level: u8, seed: u64) -> (ChaCha8Rng, &'static Level) {
    assert!(film.width() > 0 && film.height() > 0, "a film without pixels");
    (ChaCha8Rng::seed_from_u64(seed), &LEVELS[usize::from(level.clamp(1, 4)) - 1])
}

/// Width and height of the sheet, millimetres.
fn sheet_mm(film: &GrayImage) -> [f64; 2] {
    let (width, height) = (f64::from(film.width()), f64::from(film.height()));
    [width, height].map(|side| side * FILM_LONG_MM / width.max(height))
}

/// Radiance for each of the 256 grays.
fn transmittances(white: f64, black: f64, gamma: f64) -> [f64; 256] {
    std::array::from_fn(|gray| black + (white - black) * (gray as f64 / 255.0).powf(gamma))
}

/// Bilinear value of the film at a place given in 0..=1 from the left and from the top.
fn lookup(film: &GrayImage, grays: &[f64; 256], u: f64, v: f64) -> f64 {
    let clamp = |at: f64, length: u32| (at * f64::from(length) - 0.5).clamp(0.0, f64::from(length - 1));
    let (x, y) = (clamp(u, film.width()), clamp(v, film.height()));
    let (x0, y0) = (x as u32, y as u32);
    let (x1, y1) = ((x0 + 1).min(film.width() - 1), (y0 + 1).min(film.height() - 1));
    let (fx, fy) = (x - f64::from(x0), y - f64::from(y0));
    let value = |x: u32, y: u32| grays[usize::from(film.get_pixel(x, y).0[0])];
    let above = value(x0, y0) * (1.0 - fx) + value(x1, y0) * fx;
    let below = value(x0, y1) * (1.0 - fx) + value(x1, y1) * fx;
    above * (1.0 - fy) + below * fy
}

/// Whether a place lies on a sheet with rounded corners.
fn on_sheet([x, y]: Point, half: [f64; 2], radius_mm: f64) -> bool {
    let (dx, dy) = (x.abs() - half[0] + radius_mm, y.abs() - half[1] + radius_mm);
    dx < radius_mm && dy < radius_mm && (dx < 0.0 || dy < 0.0 || dx.hypot(dy) < radius_mm)
}

/// A lamp reflected by the film or the screen: a Gaussian spot.
struct Glare {
    at_mm: Point,
    radius_mm: f64,
    radiance: f64,
}

impl Glare {
    fn draw(rng: &mut ChaCha8Rng, level: &Level, half: [f64; 2]) -> Self {
        Glare {
            at_mm: half.map(|h| h * rng.random_range(-0.9..0.9)),
            radius_mm: rng.random_range(10.0..45.0),
            radiance: level.glare * rng.random_range(0.0..1.0),
        }
    }

    fn at(&self, p: Point) -> f64 {
        let distance = (p[0] - self.at_mm[0]).powi(2) + (p[1] - self.at_mm[1]).powi(2);
        self.radiance * (-distance / (2.0 * self.radius_mm.powi(2))).exp()
    }
}

/// A pinhole camera in front of the scene.
struct Camera {
    width: u32,
    height: u32,
    /// From photo pixels to the object's own square, (0, 0) to (1, 1).
    to_object: Homography,
    /// Half the object's width and height, millimetres.
    half: [f64; 2],
    /// The object's corners, photo pixels.
    corners: Quad,
}

impl Camera {
    /// Turns and tilts as the level says, far enough away for the object (half sizes in millimetres) to take a share
    /// of the frame drawn from `filling`, and farther until all of it is in the frame.
    fn draw(rng: &mut ChaCha8Rng, level: &Level, half: [f64; 2], filling: [f64; 2]) -> Self {
        let landscape = half[0] > half[1] || (half[0] == half[1] && rng.random_bool(0.5));
        let (width, height) = if landscape { (PHOTO_LONG, PHOTO_SHORT) } else { (PHOTO_SHORT, PHOTO_LONG) };
        let size = [f64::from(width), f64::from(height)];
        let focal = FOCAL * f64::from(PHOTO_LONG);
        let mut turn = |limit: f64| rng.random_range(-limit..limit).to_radians();
        let (roll, pitch, yaw) = (turn(level.roll_deg), turn(level.tilt_deg), turn(level.tilt_deg));
        let shift = size.map(|s| s * rng.random_range(-0.03..0.03));
        let filling = rng.random_range(filling[0]..filling[1]);
        let mut distance = focal * (2.0 * half[0] / size[0]).max(2.0 * half[1] / size[1]) / filling;
        loop {
            let project = |[x, y]: Point| {
                let (x, y) = (x * roll.cos() - y * roll.sin(), x * roll.sin() + y * roll.cos());
                let (y, z) = (y * pitch.cos(), y * pitch.sin());
                let (x, z) = (x * yaw.cos() + z * yaw.sin(), z * yaw.cos() - x * yaw.sin());
                let scale = focal / (distance + z);
                [size[0] / 2.0 + shift[0] + x * scale, size[1] / 2.0 + shift[1] + y * scale]
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

    /// The photograph of a radiance; `grid` multiplies what reaches the sensor after the defocus.
    fn photograph(
        &self,
        rng: &mut ChaCha8Rng,
        level: &Level,
        radiance: impl Fn(Point) -> [f64; 3],
        grid: impl Fn(Point) -> [f64; 3],
    ) -> Snapshot {
        let (width, height) = (self.width as usize, self.height as usize);
        let place = |x: f64, y: f64| {
            let [u, v] = self.to_object.apply([x, y]);
            [(2.0 * u - 1.0) * self.half[0], (2.0 * v - 1.0) * self.half[1]]
        };
        let mut channels = [0; 3].map(|_| vec![0f32; width * height]);
        for index in 0..width * height {
            let (x, y) = ((index % width) as f64, (index / width) as f64);
            // Two samples on the diagonal soften the edges; the defocus does the rest.
            let (a, b) = (radiance(place(x + 0.25, y + 0.25)), radiance(place(x + 0.75, y + 0.75)));
            for (channel, (a, b)) in channels.iter_mut().zip(a.into_iter().zip(b)) {
                channel[index] = ((a + b) / 2.0) as f32;
            }
        }
        let sigma = rng.random_range(level.blur_px[0]..level.blur_px[1]);
        for channel in &mut channels {
            blur(channel, width, sigma);
        }

        let veil = rng.random_range(level.veil[0]..level.veil[1]);
        let exposure = rng.random_range(level.exposure[0]..level.exposure[1]);
        let tint = [rng.random_range(0.9..1.04), 1.0, rng.random_range(0.92..1.1)];
        let vignetting = rng.random_range(0.2..0.8);
        let focal = FOCAL * f64::from(PHOTO_LONG);
        let mut photo = RgbImage::new(self.width, self.height);
        for (index, pixel) in photo.pixels_mut().enumerate() {
            let (x, y) = ((index % width) as f64 + 0.5, (index / width) as f64 + 0.5);
            let off_axis = (x - width as f64 / 2.0).hypot(y - height as f64 / 2.0) / focal;
            // cos^4 of the angle to the axis, as far as the lens does not correct it.
            let lens = 1.0 - vignetting * (1.0 - (1.0 + off_axis * off_axis).powi(-2));
            let grid = grid(place(x, y));
            *pixel = Rgb(std::array::from_fn(|c| {
                let light = (f64::from(channels[c][index]) * grid[c] + veil) * lens * exposure * tint[c];
                let electrons = light * level.full_well;
                let noisy = electrons + (electrons + 36.0).sqrt() * normal(rng);
                (255.0 * srgb((noisy / level.full_well).clamp(0.0, 1.0))).round() as u8
            }));
        }
        let quality = rng.random_range(level.quality[0]..=level.quality[1]);
        let photo = through_jpeg(&photo, quality);
        Snapshot { photo, corners: self.corners.map(|p| p.map(|v| v as f32)) }
    }
}

/// The sRGB curve, linear 0..=1 to encoded 0..=1.
fn srgb(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// Standard normal deviate (G. Box, M. Muller, 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Separable Gaussian blur; the border repeats.
fn blur(values: &mut [f32], width: usize, sigma: f64) {
    let reach = (3.0 * sigma).ceil() as isize;
    let mut kernel: Vec<f32> =
        (-reach..=reach).map(|i| (-(i * i) as f64 / (2.0 * sigma * sigma)).exp() as f32).collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|weight| *weight /= sum);
    let height = values.len() / width;
    let mut pass = |count: usize, length: usize, step: usize, start: usize| {
        let mut line = vec![0f32; length];
        for index in 0..count {
            let at = |i: usize| index * start + i * step;
            for (i, value) in line.iter_mut().enumerate() {
                *value = values[at(i)];
            }
            for i in 0..length {
                values[at(i)] = kernel
                    .iter()
                    .enumerate()
                    .map(|(k, weight)| {
                        let from = (i as isize + k as isize - reach).clamp(0, length as isize - 1);
                        weight * line[from as usize]
                    })
                    .sum();
            }
        }
    };
    pass(height, width, 1, width);
    pass(width, height, width, 1);
}

fn through_jpeg(photo: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(photo).expect("a photo fits a JPEG in memory");
    let decoder = JpegDecoder::new(Cursor::new(bytes)).expect("the encoder writes what the decoder reads");
    DynamicImage::from_decoder(decoder).expect("the encoder writes what the decoder reads").into_rgb8()
}

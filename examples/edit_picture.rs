//! Turns, cuts, blurs, darkens or reduces a picture, for `scripts/pictures`.
//!
//! ```text
//! cargo run --release --example edit_picture -- IN OUT [STEP...]
//! ```
//!
//! The steps are done in the order given: `turn` (a quarter turn clockwise), `cut=LEFT,TOP,WIDTH,HEIGHT` (keeps that
//! part, pixels), `blur=SIGMA` (Gaussian, pixels), `light=FACTOR` (times every gray level), `height=PIXELS` (scales, the
//! shape stays). `OUT` ends in `.jpg` or `.png`.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};

/// Quality of a JPEG file: letters stay clean, and a screen of 800 x 480 pixels takes some 50 kB.
const QUALITY: u8 = 85;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, steps @ ..] = &arguments[..] else {
        eprintln!("error: name the picture to read and the one to write, then the steps");
        return ExitCode::from(2);
    };
    match edit(Path::new(from), Path::new(to), steps) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {from}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Reads a picture, does all steps, and writes the result.
fn edit(from: &Path, to: &Path, steps: &[String]) -> Result<(), Box<dyn Error>> {
    let mut picture = image::open(from)?.into_rgb8();
    for step in steps {
        picture = done(&picture, step).ok_or_else(|| {
            format!("the step {step} cannot be done; see the head of examples/edit_picture.rs for the steps")
        })?;
    }
    if to.extension().is_some_and(|extension| extension == "jpg") {
        picture.write_with_encoder(JpegEncoder::new_with_quality(BufWriter::new(File::create(to)?), QUALITY))?;
    } else {
        picture.save(to)?;
    }
    Ok(())
}

/// The picture after one step; `None` for a step that is unknown or does not fit the picture.
fn done(picture: &RgbImage, step: &str) -> Option<RgbImage> {
    let (name, value) = step.split_once('=').unwrap_or((step, ""));
    let number = || value.parse::<f32>().ok().filter(|number| *number > 0.0);
    match name {
        "turn" => Some(imageops::rotate90(picture)),
        "cut" => {
            let numbers: Vec<u32> = value.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
            let [left, top, width, height] = numbers[..] else { return None };
            let fits = left.checked_add(width)? <= picture.width() && top.checked_add(height)? <= picture.height();
            fits.then(|| imageops::crop_imm(picture, left, top, width, height).to_image())
        }
        "blur" => Some(imageops::blur(picture, number()?)),
        "light" => {
            let factor = number()?;
            let mut darker = picture.clone();
            darker.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|gray| (f32::from(gray) * factor) as u8));
            Some(darker)
        }
        "height" => {
            let height = value.parse::<u32>().ok().filter(|height| *height > 0)?;
            let width = (picture.width() * height).div_ceil(picture.height());
            Some(imageops::resize(picture, width, height, FilterType::Lanczos3))
        }
        _ => None,
    }
}

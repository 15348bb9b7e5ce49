//! Measures what the device makes of pictures that lie in a folder, with what is right for each if a table says so:
//!
//!     cargo bench -p xray-triage-core --bench pictures -- BUNDLE [--draw FOLDER] [--profile NAME] PICTURES...
//!     cargo bench -p xray-triage-core --bench pictures -- find [--draw FOLDER] [--profile NAME] PICTURES...
//!
//! `PICTURES` is a picture, a folder of pictures and folders, or a table. A table is a CSV file with the columns `file`,
//! `expected` (`find...` or `refuse...`) and the true corners `tlx`, `tly`, `trx`, ... `bly` in pixels; where
//! `visible_tlx` ... are given, they are the corners of the part that is seen, and count instead. For each picture and
//! profile (`auto`, and `film` or, for files that start with SCR, `screen`) a line has the outcome, the profile, and the
//! largest distance of a corner from its true place. With `find` no network is loaded: films are only looked for, and the
//! score is the share of the film that is bare. `--draw` writes each picture with the outline in it as PNG.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image::{GrayImage, Rgb, RgbImage};
use xray_triage_core::bundle::Bundle;
use xray_triage_core::film::{Profile, Rectified, bare_share, rectify};
use xray_triage_core::image_file;
use xray_triage_core::pipeline::{Options, Pipeline};

/// One picture and what is right for it.
struct Picture {
    path: PathBuf,
    expected: String,
    corners: Option<[[f32; 2]; 4]>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let bundle = arguments.next().ok_or("give a bundle's folder or `find`, and pictures")?;
    let (mut pictures, mut draw, mut only) = (Vec::new(), None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--draw" => draw = Some(PathBuf::from(arguments.next().ok_or("--draw needs a folder")?)),
            "--profile" => only = Some(arguments.next().ok_or("--profile needs a name")?),
            path => add(Path::new(path), &mut pictures)?,
        }
    }
    if let Some(folder) = &draw {
        std::fs::create_dir_all(folder)?;
    }
    let bundle = if bundle == "find" { None } else { Some(Bundle::load(Path::new(&bundle))?) };
    let judge = |profile| {
        let options = Options { profile, threads: 1, ..Options::default() };
        bundle.as_ref().map(|bundle| Pipeline::new(bundle, &options)).transpose()
    };
    let wishes = [("auto", None), ("film", Some(Profile::Film)), ("screen", Some(Profile::Screen))];
    let mut judges = Vec::new();
    for (name, profile) in wishes {
        judges.push((name, profile, judge(profile)?));
    }
    println!("file\texpected\twanted\toutcome\treasons\tscore\tprofile\tfound\tcorner_error_percent\tms");
    for picture in &pictures {
        let name = picture.path.file_name().unwrap_or_default().to_string_lossy();
        let photograph = if name.starts_with("SCR") { "screen" } else { "film" };
        for (wanted, profile, pipeline) in &judges {
            let is_wanted = only.as_ref().map_or([photograph, "auto"].contains(wanted), |only| only == wanted);
            if is_wanted {
                println!("{}", line(picture, &name, (wanted, *profile), pipeline.as_ref(), draw.as_deref()));
            }
        }
    }
    Ok(())
}

/// Adds the picture, the pictures of the folder, or those of the table.
fn add(path: &Path, pictures: &mut Vec<Picture>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut inside: Vec<PathBuf> =
            std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
        inside.sort();
        for path in inside {
            let is_picture = path
                .extension()
                .is_some_and(|end| ["jpg", "jpeg", "png"].iter().any(|known| end.eq_ignore_ascii_case(known)));
            if path.is_dir() || is_picture {
                add(&path, pictures)?;
            }
        }
    } else if path.extension().is_some_and(|end| end == "csv") {
        let folder = path.parent().unwrap_or(Path::new("."));
        for row in csv::Reader::from_path(path)?.deserialize::<HashMap<String, String>>() {
            let row = row?;
            let number = |name: String| row.get(&name).and_then(|text| text.parse::<f32>().ok());
            let corners = |start: &str| {
                let mut corners = [[0.0; 2]; 4];
                for (corner, at) in ["tl", "tr", "br", "bl"].into_iter().zip(&mut corners) {
                    *at = [number(format!("{start}{corner}x"))?, number(format!("{start}{corner}y"))?];
                }
                Some(corners)
            };
            let text = |name: &str| row.get(name).cloned().unwrap_or_default();
            pictures.push(Picture {
                path: folder.join(text("file")),
                expected: text("expected"),
                corners: corners("visible_").or_else(|| corners("")),
            });
        }
    } else {
        pictures.push(Picture { path: path.into(), expected: String::new(), corners: None });
    }
    Ok(())
}

/// What the device makes of one picture.
fn line(
    picture: &Picture,
    name: &str,
    (wanted, profile): (&str, Option<Profile>),
    pipeline: Option<&Pipeline>,
    draw: Option<&Path>,
) -> String {
    let frame = match image_file::read(&picture.path) {
        Ok(frame) => frame,
        Err(error) => return format!("{}\t\t{wanted}\tunreadable\t{}", picture.path.display(), error.code()),
    };
    let diagonal = (frame.width() as f32).hypot(frame.height() as f32);
    let start = Instant::now();
    let (outline, profile, answer) = match pipeline {
        None => {
            let Rectified { film, outline, profile, several } = rectify(&frame, profile);
            let reason = if several { "two_films" } else { "-" };
            let answer = format!("-\t{reason}\t{:.3}", bare_share(&film));
            (Some(outline), Some(profile), answer)
        }
        Some(pipeline) => {
            let record = pipeline.assess(frame.clone(), name.into()).record;
            let ood = record.ood_score.map_or("-".into(), |score| format!("{score:.3}"));
            let answer = format!("{:?}\t{}\t{ood}", record.outcome, record.reasons.join("+"));
            (record.outline, record.profile, answer)
        }
    };
    let milliseconds = start.elapsed().as_millis();
    let corners = outline.filter(|outline| outline.found).map(|outline| outline.corners);
    let error = corners.zip(picture.corners).map_or("-".into(), |(found, truth)| {
        let distance = |(a, b): (&[f32; 2], &[f32; 2])| (a[0] - b[0]).hypot(a[1] - b[1]);
        format!("{:.2}", 100.0 * found.iter().zip(&truth).map(distance).fold(0.0, f32::max) / diagonal)
    });
    if let Some(folder) = draw {
        let path = folder.join(format!("{name}.{wanted}.png"));
        if let Err(error) = drawn(&frame, corners, picture.corners).save(&path) {
            eprintln!("{}: {error}", path.display());
        }
    }
    let (path, expected) = (picture.path.display(), &picture.expected);
    let (profile, found) = (profile.map_or("-", Profile::name), corners.is_some());
    format!("{path}\t{expected}\t{wanted}\t{answer}\t{profile}\t{found}\t{error}\t{milliseconds}")
}

/// The frame with the found outline in red and the true one in green, at most 700 pixels on its longer side.
fn drawn(frame: &GrayImage, found: Option<[[f32; 2]; 4]>, truth: Option<[[f32; 2]; 4]>) -> RgbImage {
    let scale = (700.0 / frame.width().max(frame.height()) as f32).min(1.0);
    let side = |length: u32| ((length as f32 * scale) as u32).max(1);
    let small = image::imageops::thumbnail(frame, side(frame.width()), side(frame.height()));
    let mut picture = RgbImage::from_fn(small.width(), small.height(), |x, y| Rgb([small.get_pixel(x, y).0[0]; 3]));
    for (corners, colour) in [(truth, [0, 220, 0]), (found, [255, 0, 0])] {
        let Some(corners) = corners else { continue };
        for side in 0..4 {
            let (a, b) = (corners[side], corners[(side + 1) % 4]);
            for step in 0..=1000 {
                let share = step as f32 / 1000.0;
                let [x, y] = [0, 1].map(|i| (a[i] + (b[i] - a[i]) * share) * scale);
                if x >= 0.0 && y >= 0.0 && (x as u32) < picture.width() && (y as u32) < picture.height() {
                    picture.put_pixel(x as u32, y as u32, Rgb(colour));
                }
            }
        }
    }
    picture
}

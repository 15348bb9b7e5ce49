//! The picture an operator looks at: the film with the class activation map over it, and the verdict in words.
//!
//! Nothing is told by colour alone: a line surrounds the strongest half of the map, bars carry numbers, the verdict is
//! a word.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{GrayImage, Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::bundle::profile_name;
use crate::cam::HeatMap;
use crate::pipeline::{Assessment, Record};
use crate::triage::Class;

/// Size of the picture [`draw`] makes, pixels.
pub const SIZE: (u32, u32) = (1024, 640);

/// Side of the square the film is fitted into, at the left.
const FILM_SIDE: u32 = 640;
const MARGIN: i32 = 16;
/// The text panel's left edge and width without margins.
const PANEL_X: i32 = FILM_SIDE as i32 + MARGIN;
const PANEL_WIDTH: i32 = SIZE.0 as i32 - PANEL_X - MARGIN;

const BACKGROUND: Rgb<u8> = Rgb([16, 18, 22]);
const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const LIGHT: Rgb<u8> = Rgb([205, 210, 216]);
const DIM: Rgb<u8> = Rgb([140, 148, 158]);
const TRACK: Rgb<u8> = Rgb([48, 53, 61]);
const WARNING: Rgb<u8> = Rgb([255, 193, 37]);

/// Five equidistant colours of viridis, which keeps its order for colour-blind eyes and in gray print (van der Walt
/// and Smith 2015, matplotlib's default map). Linear in between.
const VIRIDIS: [[f32; 3]; 5] =
    [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];

/// Opacity of the map where it is strongest, 0..=1; it falls to 0 with the map, so the film shows through.
const STRONGEST_ALPHA: f32 = 0.6;
/// The line on the map surrounds what is at least this share of the strongest place.
pub const LINE_LEVEL: f32 = 0.5;

/// Draws an assessment. `None` if the file was unreadable, so that there is nothing to show.
pub fn draw(assessment: &Assessment) -> Option<RgbImage> {
    let picture = assessment.picture.as_ref()?;
    let mut canvas = RgbImage::from_pixel(SIZE.0, SIZE.1, BACKGROUND);
    // The verdict's own evidence; that of the most probable class where the verdict is no class.
    let shown = assessment.record.outcome.class().or(assessment.record.top);
    let heat = match (&assessment.cam, shown) {
        (Some(cam), Some(class)) => Some((class, cam.heat(class))),
        _ => None,
    };
    draw_film(&mut canvas, picture, heat.as_ref().map(|(_, heat)| heat));
    draw_panel(&mut canvas, &assessment.record, heat.as_ref());
    Some(canvas)
}

/// A screen of words alone: a heading and what to do.
pub fn notice(heading: &str, text: &str) -> RgbImage {
    let mut canvas = RgbImage::from_pixel(SIZE.0, SIZE.1, BACKGROUND);
    HEADLINE.write(&mut canvas, MARGIN, MARGIN, heading, WHITE);
    let width = (SIZE.0 as i32 - 2 * MARGIN) / BOLD.letter();
    let top = MARGIN + HEADLINE.line() + BOLD.line();
    for (line, y) in wrap(text, width as usize).iter().zip((top..).step_by(BOLD.line() as usize)) {
        BOLD.write(&mut canvas, MARGIN, y, line, LIGHT);
    }
    draw_disclaimer(&mut canvas);
    canvas
}

/// The colour of a map value in 0..=1.
fn viridis(value: f32) -> [f32; 3] {
    let position = value.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let low = (position as usize).min(VIRIDIS.len() - 2);
    let share = position - low as f32;
    std::array::from_fn(|channel| VIRIDIS[low][channel] * (1.0 - share) + VIRIDIS[low + 1][channel] * share)
}

fn blend(under: Rgb<u8>, over: [f32; 3], alpha: f32) -> Rgb<u8> {
    Rgb(std::array::from_fn(|channel| {
        (f32::from(under[channel]) * (1.0 - alpha) + over[channel] * alpha).round() as u8
    }))
}

/// Fits the picture into the film's square, with the map over it.
fn draw_film(canvas: &mut RgbImage, picture: &GrayImage, heat: Option<&HeatMap>) {
    let scale = f64::from(FILM_SIDE) / f64::from(picture.width().max(picture.height()));
    let fit = |length: u32| ((f64::from(length) * scale).round() as u32).clamp(1, FILM_SIDE);
    let (width, height) = (fit(picture.width()), fit(picture.height()));
    let film = imageops::resize(picture, width, height, FilterType::Triangle);
    let (left, top) = ((FILM_SIDE - width) / 2, (FILM_SIDE - height) / 2);
    let share =
        |heat: &HeatMap, x: u32, y: u32| heat.at((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32);
    for (x, y, gray) in film.enumerate_pixels() {
        let mut colour = Rgb([gray[0]; 3]);
        if let Some(heat) = heat {
            let value = share(heat, x, y);
            let on_line = value >= LINE_LEVEL
                && [(x.wrapping_sub(2), y), (x + 2, y), (x, y.wrapping_sub(2)), (x, y + 2)]
                    .iter()
                    .any(|&(x, y)| x < width && y < height && share(heat, x, y) < LINE_LEVEL);
            colour = if on_line { WHITE } else { blend(colour, viridis(value), STRONGEST_ALPHA * value) };
        }
        canvas.put_pixel(left + x, top + y, colour);
    }
}

/// Everything right of the film, from top to bottom.
fn draw_panel(canvas: &mut RgbImage, record: &Record, heat: Option<&(Class, HeatMap)>) {
    let mut y = MARGIN - 6;
    HEADLINE.write(canvas, PANEL_X, y, record.outcome.headline(), WHITE);
    y += HEADLINE.line();
    y = SMALL.write_wrapped(canvas, y, record.outcome.meaning(), LIGHT) + 12;

    if let Some(probabilities) = &record.probabilities {
        for class in Class::ALL {
            let on_top = record.top == Some(class);
            let (font, colour) = if on_top { (&BOLD, WHITE) } else { (&NORMAL, LIGHT) };
            let probability = probabilities.of(class);
            font.write(canvas, PANEL_X, y, class.label(), colour);
            let number = format!("{:.1} %", 100.0 * probability);
            font.write(canvas, PANEL_X + PANEL_WIDTH - font.width(&number), y, &number, colour);
            y += font.line();
            fill(canvas, PANEL_X, y, PANEL_WIDTH, 10, TRACK);
            let length = (probability * f64::from(PANEL_WIDTH)).round() as i32;
            fill(canvas, PANEL_X, y, length, 10, if on_top { WHITE } else { DIM });
            if let (Class::Covid19, Some(point)) = (class, record.thresholds) {
                let threshold = (point.covid19_at_least * f64::from(PANEL_WIDTH)).round() as i32;
                fill(canvas, PANEL_X + threshold - 1, y - 3, 3, 16, WARNING);
            }
            y += 16;
        }
        y += 8;
    }

    if let Some((class, heat)) = heat {
        if !heat.is_empty() {
            SMALL.write(canvas, PANEL_X, y, &format!("Map: what speaks for {}", class.label()), LIGHT);
            y += SMALL.line() + 2;
            for x in 0..PANEL_WIDTH {
                let value = x as f32 / (PANEL_WIDTH - 1) as f32;
                let Rgb([r, g, b]) = blend(Rgb([110; 3]), viridis(value), STRONGEST_ALPHA * value);
                fill(canvas, PANEL_X + x, y, 1, 16, Rgb([r, g, b]));
            }
            fill(canvas, PANEL_X + (LINE_LEVEL * PANEL_WIDTH as f32) as i32, y - 3, 2, 22, WHITE);
            y += 19;
            SMALL.write(canvas, PANEL_X, y, "nothing", LIGHT);
            SMALL.write(canvas, PANEL_X + (PANEL_WIDTH - SMALL.width("half (line)")) / 2, y, "half (line)", LIGHT);
            SMALL.write(canvas, PANEL_X + PANEL_WIDTH - SMALL.width("most"), y, "most", LIGHT);
            y += SMALL.line() + 10;
        } else {
            let text = format!("No place on the film speaks for {}.", class.label());
            y = SMALL.write_wrapped(canvas, y, &text, LIGHT) + 10;
        }
    }

    let profile = record.profile.map_or("-", profile_name);
    let name = Path::new(&record.file).file_name().unwrap_or_default().to_string_lossy();
    let details = [
        name.into_owned(),
        format!("profile {profile}"),
        format!("operating point {}", record.operating_point.as_deref().unwrap_or("-")),
        record.thresholds.map_or_else(String::new, |point| point.to_string()),
        format!("model {}", record.model.id),
        format!("xray-triage {}", record.version),
    ];
    let details_top = disclaimer_top() - SMALL.line() * details.len() as i32 - 8;
    for (index, advice) in record.advice.iter().enumerate() {
        let lines = wrap(advice, SMALL.letters_in_panel()).len() as i32;
        if y + (lines + 1) * SMALL.line() > details_top {
            let left = record.advice.len() - index;
            SMALL.write(canvas, PANEL_X, y, &format!("... and {left} more"), WHITE);
            break;
        }
        y = SMALL.write_wrapped(canvas, y, advice, WHITE) + 8;
    }

    let mut y = details_top;
    for detail in &details {
        let shown: String = detail.chars().take(SMALL.letters_in_panel()).collect();
        SMALL.write(canvas, PANEL_X, y, &shown, DIM);
        y += SMALL.line();
    }
    draw_disclaimer(canvas);
}

/// Upper edge of the disclaimer's band.
fn disclaimer_top() -> i32 {
    SIZE.1 as i32 - BOLD.line() * 2 - 12
}

/// The band at the bottom right that every screen has.
fn draw_disclaimer(canvas: &mut RgbImage) {
    let top = disclaimer_top();
    fill(canvas, FILM_SIDE as i32, top, SIZE.0 as i32 - FILM_SIDE as i32, SIZE.1 as i32 - top, WARNING);
    BOLD.write(canvas, PANEL_X, top + 6, "RESEARCH USE ONLY", BACKGROUND);
    BOLD.write(canvas, PANEL_X, top + 6 + BOLD.line(), "NOT FOR DIAGNOSIS", BACKGROUND);
}

/// Fills a rectangle; what lies outside the canvas is left out.
fn fill(canvas: &mut RgbImage, left: i32, top: i32, width: i32, height: i32, colour: Rgb<u8>) {
    for y in top..top + height {
        for x in left..left + width {
            put(canvas, x, y, |_| colour);
        }
    }
}

/// Changes a pixel if the canvas has it.
fn put(canvas: &mut RgbImage, x: i32, y: i32, change: impl FnOnce(Rgb<u8>) -> Rgb<u8>) {
    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
        && let Some(pixel) = canvas.get_pixel_mut_checked(x, y)
    {
        *pixel = change(*pixel);
    }
}

/// A pre-rasterised font; letters are `scale` times as large.
struct Font {
    weight: FontWeight,
    height: RasterHeight,
    scale: i32,
}

const SMALL: Font = Font { weight: FontWeight::Regular, height: RasterHeight::Size20, scale: 1 };
const NORMAL: Font = Font { weight: FontWeight::Regular, height: RasterHeight::Size24, scale: 1 };
const BOLD: Font = Font { weight: FontWeight::Bold, height: RasterHeight::Size24, scale: 1 };
const HEADLINE: Font = Font { weight: FontWeight::Bold, height: RasterHeight::Size32, scale: 2 };

impl Font {
    /// Pixels from one line to the next.
    fn line(&self) -> i32 {
        self.height.val() as i32 * self.scale
    }

    /// Width of a letter, pixels.
    fn letter(&self) -> i32 {
        get_raster_width(self.weight, self.height) as i32 * self.scale
    }

    /// How many letters a line of the panel takes.
    fn letters_in_panel(&self) -> usize {
        (PANEL_WIDTH / self.letter()) as usize
    }

    /// Width of a text in pixels.
    fn width(&self, text: &str) -> i32 {
        text.chars().count() as i32 * self.letter()
    }

    /// Writes one line with its upper left corner at (`x`, `y`). Characters the font lacks become `?`.
    fn write(&self, canvas: &mut RgbImage, x: i32, y: i32, text: &str, colour: Rgb<u8>) {
        let over = colour.0.map(f32::from);
        let letters = text.chars().map(|letter| {
            get_raster(letter, self.weight, self.height).or_else(|| get_raster('?', self.weight, self.height))
        });
        for (place, letter) in (0..).zip(letters) {
            let Some(letter) = letter else { continue };
            for (row, line) in (0..).zip(letter.raster()) {
                for (column, &ink) in (0..).zip(line.iter()) {
                    for (down, across) in (0..self.scale).flat_map(|d| (0..self.scale).map(move |a| (d, a))) {
                        let x = x + place * self.letter() + column * self.scale + across;
                        let y = y + row * self.scale + down;
                        put(canvas, x, y, |under| blend(under, over, f32::from(ink) / 255.0));
                    }
                }
            }
        }
    }

    /// Writes lines broken at the panel's width from `y` on; returns the y below them.
    fn write_wrapped(&self, canvas: &mut RgbImage, mut y: i32, text: &str, colour: Rgb<u8>) -> i32 {
        for line in wrap(text, self.letters_in_panel()) {
            self.write(canvas, PANEL_X, y, &line, colour);
            y += self.line();
        }
        y
    }
}

/// Breaks a text at spaces into lines of at most `width` characters; longer words are cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for (index, piece) in letters.chunks(width).enumerate() {
            let gap = usize::from(used > 0 && index == 0);
            if used + gap + piece.len() > width {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                if used > 0 && index == 0 {
                    line.push(' ');
                    used += 1;
                }
                line.extend(piece);
                used += piece.len();
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_words_and_cut_long_ones() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
    }

    #[test]
    fn the_colour_map_runs_through_its_anchors() {
        assert_eq!(viridis(0.0), VIRIDIS[0]);
        assert_eq!(viridis(0.5), VIRIDIS[2]);
        assert_eq!(viridis(1.0), VIRIDIS[4]);
    }

    #[test]
    fn writing_over_the_edge_is_harmless() {
        let mut canvas = RgbImage::from_pixel(8, 8, BACKGROUND);
        HEADLINE.write(&mut canvas, -20, -20, "W\u{e9}", WHITE);
        fill(&mut canvas, 6, 6, 10, 10, WHITE);
        assert_eq!(canvas.get_pixel(7, 7), &WHITE);
    }
}

//! Text on a canvas, in the fonts of `assets/fonts`: Noto Sans for Latin-1, and Noto Sans CJK SC for the Chinese texts of
//! [`strings`](crate::ui::strings).
//!
//! Characters follow one another from left to right without kerning. Each begins on a whole pixel, so that a text looks the
//! same wherever it stands.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, point};
use image::{Rgb, RgbImage};
use xray_triage_core::overlay;

/// Distance from the top of a line to its baseline, in sizes: the tallest letter, an accented capital, has room above it.
const BASELINE: f32 = 1.0;
/// Distance from one line to the next, in sizes.
const LINE: f32 = 1.25;

/// The Latin font, then the Chinese one. A character is taken from the first font that has it.
type Family = [FontRef<'static>; 2];

static REGULAR: LazyLock<Family> = LazyLock::new(|| {
    family([
        include_bytes!("../../assets/fonts/NotoSans-Regular.ttf"),
        include_bytes!("../../assets/fonts/NotoSansCJKsc-Regular.otf"),
    ])
});
static BOLD: LazyLock<Family> = LazyLock::new(|| {
    family([
        include_bytes!("../../assets/fonts/NotoSans-Bold.ttf"),
        include_bytes!("../../assets/fonts/NotoSansCJKsc-Bold.otf"),
    ])
});

fn family(files: [&'static [u8]; 2]) -> Family {
    files.map(|file| FontRef::try_from_slice(file).expect("a font built into the program"))
}

/// How heavy letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Letters of usual weight.
    Regular,
    /// Heavy letters.
    Bold,
}

/// How a text is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// How heavy the letters are.
    pub weight: Weight,
    /// The font's em, pixels. A capital letter is 0.71 of it high.
    pub size: f32,
    /// The colour of the letters.
    pub colour: Rgb<u8>,
}

impl Style {
    /// Distance from one line to the next, pixels.
    pub fn line(&self) -> f32 {
        self.size * LINE
    }

    /// Width of a text, pixels.
    pub fn width(&self, text: &str) -> f32 {
        text.chars().map(|letter| self.advance(letter)).sum()
    }

    /// The same style, smaller if the text needs that to fit into `width` pixels.
    #[must_use]
    pub fn shrunk_to(self, text: &str, width: f32) -> Style {
        let natural = self.width(text);
        let scale = if natural > width { width.max(0.0) / natural } else { 1.0 };
        Style { size: self.size * scale, ..self }
    }

    /// Writes one line with its upper left corner at (`x`, `y`), pixels. A character that no font has becomes `?`. The part
    /// outside the canvas is left out.
    pub fn write(&self, canvas: &mut RgbImage, x: f32, y: f32, text: &str) {
        let mut x = x;
        for letter in text.chars() {
            let (font, id) = self.glyph(letter);
            let glyph =
                Glyph { id, scale: self.scale(font), position: point(x.round(), (y + BASELINE * self.size).round()) };
            x += self.advance(letter);
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|column, row, ink| {
                let (left, top) = (bounds.min.x as i32 + column as i32, bounds.min.y as i32 + row as i32);
                if let (Ok(left), Ok(top)) = (u32::try_from(left), u32::try_from(top))
                    && let Some(pixel) = canvas.get_pixel_mut_checked(left, top)
                {
                    *pixel = overlay::blend(*pixel, self.colour.0.map(f32::from), ink.clamp(0.0, 1.0));
                }
            });
        }
    }

    /// Breaks a text into lines of at most `width` pixels. Lines break at spaces and beside Chinese characters, but never
    /// before punctuation. A word that is longer than a line is cut.
    pub fn wrap(&self, text: &str, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for piece in pieces(text) {
            if !line.is_empty() && self.width(line.trim_end()) + self.width(&trailing(&line, piece)) > width {
                lines.push(line.trim_end().to_string());
                line.clear();
            }
            for letter in piece.chars() {
                if !line.is_empty() && letter != ' ' && self.width(&line) + self.advance(letter) > width {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(letter);
            }
        }
        if !line.trim_end().is_empty() {
            lines.push(line.trim_end().to_string());
        }
        lines
    }

    fn glyph(&self, letter: char) -> (&'static FontRef<'static>, GlyphId) {
        let family: &'static Family = match self.weight {
            Weight::Regular => &REGULAR,
            Weight::Bold => &BOLD,
        };
        let has = |letter: char| {
            let glyphs = family.iter().map(|font| (font, font.glyph_id(letter)));
            glyphs.into_iter().find(|(_, id)| id.0 != 0)
        };
        has(letter).or_else(|| has('?')).unwrap_or((&family[0], GlyphId(0)))
    }

    /// The scale that makes the font's em as large as the size: ab_glyph's scale is the height from the highest ascender to
    /// the lowest descender.
    fn scale(&self, font: &FontRef) -> PxScale {
        PxScale::from(self.size * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
    }

    fn advance(&self, letter: char) -> f32 {
        let (font, id) = self.glyph(letter);
        font.h_advance_unscaled(id) * self.size / font.units_per_em().unwrap_or(1000.0)
    }
}

/// What a piece adds to the width of a line: the spaces that the line ends with, and the piece without the spaces that it
/// ends with.
fn trailing(line: &str, piece: &str) -> String {
    format!("{}{}", &line[line.trim_end().len()..], piece.trim_end())
}

/// The parts of a text between which a line may break. Spaces belong to the word before them.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, letter) in text.char_indices() {
        let may_break = match last {
            None => false,
            Some(' ') => letter != ' ' && letter != ':',
            Some(last) => (is_chinese(last) || is_chinese(letter)) && !is_punctuation(letter) && last != '（',
        };
        if may_break {
            pieces.push(&text[start..at]);
            start = at;
        }
        last = Some(letter);
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

fn is_chinese(letter: char) -> bool {
    ('\u{2e80}'..='\u{9fff}').contains(&letter) || ('\u{ff00}'..='\u{ffef}').contains(&letter)
}

/// Whether a character must not begin a line.
fn is_punctuation(letter: char) -> bool {
    "，。：；、！？）".contains(letter) || letter == ' '
}

#[cfg(test)]
mod tests {
    use crate::ui::strings::Language;

    use super::*;

    fn style(size: f32) -> Style {
        Style { weight: Weight::Bold, size, colour: Rgb([255; 3]) }
    }

    #[test]
    fn every_character_of_the_texts_has_a_glyph() {
        let tables = [
            include_str!("strings/chinese.rs"),
            include_str!("strings/english.rs"),
            include_str!("strings/french.rs"),
            include_str!("strings/portuguese.rs"),
            include_str!("strings/spanish.rs"),
        ];
        assert_eq!(tables.len(), Language::ALL.len());
        let table = tables.concat();
        assert!(table.contains('新') && table.contains('É'));
        for letter in table.chars().filter(|letter| !letter.is_control()) {
            for weight in [Weight::Regular, Weight::Bold] {
                let (font, id) = Style { weight, ..style(16.0) }.glyph(letter);
                assert_eq!(id, font.glyph_id(letter), "{letter:?} {weight:?}: run scripts/fonts");
                assert!(id.0 != 0, "{letter:?} {weight:?}: run scripts/fonts");
            }
        }
    }

    #[test]
    fn lines_fit_and_nothing_is_lost() {
        let style = style(16.0);
        for text in ["one two three four", "unbreakablelongword and more", "请将胶片摆正，并完整放入画面。"]
        {
            for width in [40.0, 75.0, 1000.0] {
                let lines = style.wrap(text, width);
                assert!(lines.iter().all(|line| style.width(line) <= width), "{lines:?}");
                let letters = |text: &str| text.chars().filter(|letter| *letter != ' ').collect::<String>();
                assert_eq!(letters(&lines.concat()), letters(text));
                assert!(lines.iter().all(|line| !line.starts_with(['，', '。', ' '])), "{lines:?}");
            }
        }
        assert_eq!(style.wrap("one two three", style.width("one two")), ["one two", "three"]);
        assert!(style.wrap(" ", 10.0).is_empty());
    }

    #[test]
    fn a_heading_shrinks_to_its_place_and_no_further() {
        let style = style(80.0);
        let shrunk = style.shrunk_to("PNEUMONIA", 200.0);
        assert!((shrunk.width("PNEUMONIA") - 200.0).abs() < 0.1);
        assert_eq!(style.shrunk_to("A", 200.0), style);
    }

    #[test]
    fn ink_stays_in_its_line_and_on_the_canvas() {
        let style = style(20.0);
        let mut canvas = RgbImage::new(60, 40);
        style.write(&mut canvas, 0.0, 10.0, "Ég新");
        let ink =
            |canvas: &RgbImage| canvas.enumerate_pixels().filter(|(.., p)| p.0 != [0; 3]).map(|(_, y, _)| y).max();
        assert!(ink(&canvas).is_some_and(|lowest| lowest > 20 && lowest < 10 + style.line() as u32 + 1));
        assert!(canvas.rows().take(10).flatten().all(|pixel| pixel.0 == [0; 3]));
        style.write(&mut canvas, -30.0, -10.0, "W\u{2603}");
        style.write(&mut canvas, 55.0, 35.0, "W");
    }
}

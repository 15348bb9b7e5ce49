//! Text on a canvas, in the fonts of `assets/fonts`: Noto Sans for Latin-1, Noto Sans CJK SC for the Chinese of
//! [`strings`](crate::ui::strings). One character follows the other from left to right, without kerning, each on whole
//! pixels, so that it looks the same everywhere.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, point};
use image::{Rgb, RgbImage};
use xray_triage_core::overlay;

/// Baseline below the top of a line, in sizes: Noto Sans' tallest letter, an accented capital, ends below the top.
const BASELINE: f32 = 1.0;
/// From one line to the next, in sizes.
const LINE: f32 = 1.25;

/// Latin, then Chinese. A character is taken from the first that has it.
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
    Regular,
    Bold,
}

/// How a text is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    pub weight: Weight,
    /// The font's em, pixels; a capital is 0.71 of it high.
    pub size: f32,
    pub colour: Rgb<u8>,
}

impl Style {
    /// Pixels from one line to the next.
    pub fn line(&self) -> f32 {
        self.size * LINE
    }

    /// Width of a text, pixels.
    pub fn width(&self, text: &str) -> f32 {
        text.chars().map(|letter| self.advance(letter)).sum()
    }

    /// The same style, as much smaller as the text needs to fit into `width` pixels.
    #[must_use]
    pub fn shrunk_to(self, text: &str, width: f32) -> Style {
        let natural = self.width(text);
        let scale = if natural > width { width.max(0.0) / natural } else { 1.0 };
        Style { size: self.size * scale, ..self }
    }

    /// Writes one line with its upper left corner at (`x`, `y`). Characters without a glyph become `?`; what lies
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

    /// Breaks a text into lines of at most `width` pixels: at spaces, and before and after Chinese characters but for
    /// punctuation, which stays with what it follows. A longer word is cut.
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

    /// ab_glyph counts from the highest ascender to the lowest descender; this makes the em as large as the size.
    fn scale(&self, font: &FontRef) -> PxScale {
        PxScale::from(self.size * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0))
    }

    fn advance(&self, letter: char) -> f32 {
        let (font, id) = self.glyph(letter);
        font.h_advance_unscaled(id) * self.size / font.units_per_em().unwrap_or(1000.0)
    }
}

/// What a piece adds to a line: the spaces the line ends with, and the piece without those it ends with.
fn trailing(line: &str, piece: &str) -> String {
    format!("{}{}", &line[line.trim_end().len()..], piece.trim_end())
}

/// The parts a text may be broken between; spaces belong to the word before them.
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

/// What must not begin a line.
fn is_punctuation(letter: char) -> bool {
    "，。：；、！？）".contains(letter) || letter == ' '
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(size: f32) -> Style {
        Style { weight: Weight::Bold, size, colour: Rgb([255; 3]) }
    }

    #[test]
    fn every_character_of_the_string_table_has_a_glyph() {
        let table = include_str!("strings.rs");
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

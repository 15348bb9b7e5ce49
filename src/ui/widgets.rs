//! The parts that screens are made of: a page with header, heading and disclaimer; a column of texts, bars and legends; a
//! film with its heat map.
//!
//! Lengths are in *units*: a unit is one pixel on a screen of [`UNIT_SIZE`] and grows with the screen.

use image::imageops::{self, FilterType};
use image::{GrayImage, Rgb, RgbImage};
use xray_triage_core::cam::HeatMap;
use xray_triage_core::decision::{Class, OperatingPoint, Probabilities};
use xray_triage_core::overlay;

use crate::ui::strings::Strings;
use crate::ui::text::{Style, Weight};

/// Width and height of the screen on which a unit is one pixel.
const UNIT_SIZE: (f32, f32) = (480.0, 320.0);

// Lengths in units.
/// Distance between the screen's edge and what is drawn.
const MARGIN: f32 = 8.0;
/// Height of the header.
const HEADER: f32 = 20.0;
/// Height of the heading.
const HEADING: f32 = 64.0;
/// Width of the warning sign.
const SIGN: f32 = 52.0;
/// Height of the disclaimer's band.
const BAND: f32 = 24.0;
/// Height of the line above a bar: the class and its probability.
const BAR_TEXT: f32 = 20.0;
/// Height of a bar.
const BAR: f32 = 7.0;
/// Distance from a bar to the next.
const BAR_GAP: f32 = 4.0;
/// Height of the legend's scale of colours.
const SCALE: f32 = 10.0;

/// The share of its size down to which text shrinks; text that then has no room is cut.
const SMALLEST: f32 = 0.6;

const BACKGROUND: Rgb<u8> = Rgb([16, 18, 22]);
/// Colour of headings and of what matters most.
pub const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
/// Colour of text that is read from near.
pub const LIGHT: Rgb<u8> = Rgb([205, 210, 216]);
/// Colour of what matters least.
pub const DIM: Rgb<u8> = Rgb([140, 148, 158]);
/// Colour of the empty part of a bar.
const TRACK: Rgb<u8> = Rgb([48, 53, 61]);
/// Colour of warnings and thresholds.
pub const WARNING: Rgb<u8> = Rgb([255, 193, 37]);

/// A rectangle on the canvas, pixels.
#[derive(Clone, Copy)]
pub struct Area {
    /// Distance from the left edge of the canvas.
    pub left: f32,
    /// Distance from the top edge of the canvas.
    pub top: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// A part of a column. Sizes are in units.
pub enum Block {
    /// A text, in as many lines as it needs.
    Text {
        /// The words.
        text: String,
        /// How heavy the letters are.
        weight: Weight,
        /// The font's em.
        size: f32,
        /// The letters' colour.
        colour: Rgb<u8>,
    },
    /// A bar for the probability of each class.
    Bars {
        /// The probabilities.
        probabilities: Probabilities,
        /// The class that stands out.
        top: Option<Class>,
        /// The operating point, whose threshold of COVID-19 is marked.
        point: Option<OperatingPoint>,
    },
    /// The legend of the heat map of a class.
    Legend(Class),
    /// Empty space of this height.
    Gap(f32),
}

/// A text of this size, units.
pub fn text(text: &str, weight: Weight, size: f32, colour: Rgb<u8>) -> Block {
    Block::Text { text: text.into(), weight, size, colour }
}

/// A text that is read from near.
pub fn small(words: &str) -> Block {
    text(words, Weight::Regular, 12.0, LIGHT)
}

/// A canvas that a screen is drawn on, with its measures and its language.
pub struct Page<'a> {
    canvas: &'a mut RgbImage,
    /// The texts in the screen's language.
    pub strings: &'static Strings,
    /// Width of the canvas, pixels.
    width: f32,
    /// Height of the canvas, pixels.
    height: f32,
    /// Length of a unit, pixels.
    unit: f32,
    /// How many texts, bars and legends had no room: cut or left out.
    pub left_out: usize,
}

impl<'a> Page<'a> {
    /// Empties the canvas and draws the disclaimer at its bottom.
    pub fn new(canvas: &'a mut RgbImage, strings: &'static Strings) -> Page<'a> {
        let (width, height) = (canvas.width() as f32, canvas.height() as f32);
        let unit = (width / UNIT_SIZE.0).min(height / UNIT_SIZE.1);
        canvas.pixels_mut().for_each(|pixel| *pixel = BACKGROUND);
        let mut page = Page { canvas, strings, width, height, unit, left_out: 0 };
        let top = height - BAND * unit;
        page.fill(Area { left: 0.0, top, width, height: BAND * unit }, WARNING);
        let disclaimer = Style { weight: Weight::Bold, size: 17.0 * unit, colour: BACKGROUND }
            .shrunk_to(strings.disclaimer, width - 2.0 * MARGIN * unit);
        let left = (width - disclaimer.width(strings.disclaimer)) / 2.0;
        disclaimer.write(page.canvas, left, height - BAND * unit / 2.0 - 0.65 * disclaimer.size, strings.disclaimer);
        page
    }

    /// Writes the line at the top, one text at the left, one in the middle, one at the right.
    pub fn header(&mut self, left: &str, middle: &str, right: &str) {
        let unit = self.unit;
        let style = Style { weight: Weight::Regular, size: 12.0 * unit, colour: LIGHT };
        let third = (self.width - 4.0 * MARGIN * unit) / 3.0;
        let top = 3.0 * unit;
        for (text, share) in [(left, 0.0), (middle, 0.5), (right, 1.0)] {
            let style = style.shrunk_to(text, third);
            let space = self.width - 2.0 * MARGIN * unit - style.width(text);
            style.write(self.canvas, MARGIN * unit + share * space, top, text);
        }
    }

    /// Writes the heading. One that asks for `attention` has a warning sign before it.
    pub fn heading(&mut self, heading: &str, attention: bool) {
        let unit = self.unit;
        let top = HEADER * unit;
        if attention {
            let side = SIGN * unit;
            self.sign(Area { left: MARGIN * unit, top: top + 6.0 * unit, width: side, height: side * 0.88 });
        }
        let (left, style) = self.heading_style(heading, attention);
        style.write(self.canvas, left, top + (HEADING * unit - 1.2 * style.size) / 2.0, heading);
    }

    /// The left end of a heading, pixels, and its style: as large as its width allows.
    pub fn heading_style(&self, heading: &str, attention: bool) -> (f32, Style) {
        let unit = self.unit;
        let sign = if attention { SIGN + MARGIN } else { 0.0 };
        let left = (MARGIN + sign) * unit;
        let style = Style { weight: Weight::Bold, size: 60.0 * unit, colour: WHITE };
        (left, style.shrunk_to(heading, self.width - left - MARGIN * unit))
    }

    /// Draws the warning sign, a triangle with an exclamation mark.
    fn sign(&mut self, area: Area) {
        let rows = area.height.round() as i32;
        for row in 0..rows {
            let half = area.width / 2.0 * (row + 1) as f32 / rows as f32;
            let line = Area {
                left: area.left + area.width / 2.0 - half,
                top: area.top + row as f32,
                width: 2.0 * half,
                height: 1.0,
            };
            self.fill(line, WARNING);
        }
        let mark = Style { weight: Weight::Bold, size: 0.8 * area.height, colour: BACKGROUND };
        let left = area.left + (area.width - mark.width("!")) / 2.0;
        mark.write(self.canvas, left, area.top + 0.94 * area.height - mark.size, "!");
    }

    /// The area between heading and disclaimer.
    pub fn body(&self) -> Area {
        let unit = self.unit;
        let top = (HEADER + HEADING) * unit;
        Area {
            left: MARGIN * unit,
            top,
            width: self.width - 2.0 * MARGIN * unit,
            height: self.height - top - (BAND + MARGIN) * unit,
        }
    }

    /// The part of the body that is right of a picture of this width, pixels.
    fn beside(&self, width: f32) -> Area {
        let body = self.body();
        let taken = width + 1.5 * MARGIN * self.unit;
        Area { left: body.left + taken, width: body.width - taken, ..body }
    }

    /// Draws a film or a camera's frame at the left of the body, at most `share` of the screen's width wide, with the heat
    /// map over it. Returns the area that is left: all of the body if there is no picture.
    pub fn picture(&mut self, picture: Option<&GrayImage>, share: f32, heat: Option<&HeatMap>) -> Area {
        let Some(picture) = picture else { return self.body() };
        let body = self.body();
        let (own_width, own_height) = (picture.width().max(1) as f32, picture.height().max(1) as f32);
        let scale = (share * self.width / own_width).min(body.height / own_height);
        let fit = |length: f32| ((length * scale).round() as u32).max(1);
        let (width, height) = (fit(own_width), fit(own_height));
        // A thumbnail averages pixels, which is fast enough for a preview and invents no detail.
        let film = if scale < 1.0 {
            imageops::thumbnail(picture, width, height)
        } else {
            imageops::resize(picture, width, height, FilterType::Triangle)
        };
        let (left, top) = (body.left.round() as u32, body.top.round() as u32);
        let reach = (self.unit.round() as u32).max(1);
        for (x, y, colour) in overlay::with_map(&film, heat, reach).enumerate_pixels() {
            if let Some(pixel) = self.canvas.get_pixel_mut_checked(left + x, top + y) {
                *pixel = *colour;
            }
        }
        self.beside(width as f32)
    }

    /// Draws blocks one below the other. Where they do not fit into the area, all are drawn smaller, down to [`SMALLEST`];
    /// what still does not fit is cut or left out.
    pub fn column(&mut self, area: Area, blocks: &[Block]) {
        let height = |unit: f32| blocks.iter().map(|block| block.height(area.width, unit)).sum::<f32>();
        let steps = (0..=20).map(|step| self.unit * (1.0 - (1.0 - SMALLEST) * step as f32 / 20.0));
        let unit = steps.into_iter().find(|unit| height(*unit) <= area.height).unwrap_or(SMALLEST * self.unit);
        let mut top = area.top;
        for block in blocks {
            let left = area.top + area.height - top;
            self.block(block, Area { top, height: left, ..area }, unit);
            top += block.height(area.width, unit);
        }
    }

    /// Draws a block at the top of an area, as much of it as fits.
    fn block(&mut self, block: &Block, area: Area, unit: f32) {
        match block {
            Block::Text { text, .. } => {
                let Some(style) = block.style(unit) else { return };
                let lines = style.wrap(text, area.width);
                let room = (area.height / style.line() + 0.01).max(0.0) as usize;
                self.left_out += usize::from(lines.len() > room);
                for (index, line) in lines.iter().take(room).enumerate() {
                    let cut = index + 1 == room && lines.len() > room;
                    let line = if cut { format!("{line}...") } else { line.clone() };
                    style.shrunk_to(&line, area.width).write(
                        self.canvas,
                        area.left,
                        area.top + index as f32 * style.line(),
                        &line,
                    );
                }
            }
            Block::Gap(_) => {}
            _ if block.height(area.width, unit) > area.height + 0.5 => self.left_out += 1,
            Block::Bars { probabilities, top, point } => self.bars(probabilities, *top, *point, area, unit),
            Block::Legend(class) => self.legend(*class, area, unit),
        }
    }

    /// Draws a bar for the probability of each class, with a mark at the threshold of COVID-19.
    fn bars(
        &mut self,
        probabilities: &Probabilities,
        top: Option<Class>,
        point: Option<OperatingPoint>,
        area: Area,
        unit: f32,
    ) {
        let mut y = area.top;
        for class in Class::ALL {
            let on_top = top == Some(class);
            let (weight, colour) = if on_top { (Weight::Bold, WHITE) } else { (Weight::Regular, LIGHT) };
            let style = Style { weight, size: 15.0 * unit, colour };
            let probability = probabilities.of(class) as f32;
            let number = format!("{:.1} %", 100.0 * probability);
            style.write(self.canvas, area.left, y, self.strings.class(class));
            style.write(self.canvas, area.left + area.width - style.width(&number), y, &number);
            y += BAR_TEXT * unit;
            let bar = Area { top: y, height: BAR * unit, ..area };
            self.fill(bar, TRACK);
            self.fill(Area { width: probability * area.width, ..bar }, if on_top { WHITE } else { DIM });
            if let (Class::Covid19, Some(point)) = (class, point) {
                let at = area.left + point.covid19_at_least as f32 * area.width;
                let mark = Area { left: at - unit, top: y - 2.0 * unit, width: 2.0 * unit, height: (BAR + 4.0) * unit };
                self.fill(mark, WARNING);
            }
            y += (BAR + BAR_GAP) * unit;
        }
    }

    /// Draws the legend of the heat map of a class: its colours from the weakest to the strongest evidence.
    fn legend(&mut self, class: Class, area: Area, unit: f32) {
        let strings = self.strings;
        let title = format!("{} {}", strings.speaks_for, strings.class(class));
        let style = Style { weight: Weight::Regular, size: 12.0 * unit, colour: LIGHT };
        style.shrunk_to(&title, area.width).write(self.canvas, area.left, area.top, &title);
        let top = area.top + style.line() + unit;
        let (left, right) = (area.left.round() as i32, (area.left + area.width).round() as i32);
        for x in left..right {
            let value = (x - left) as f32 / (right - left).max(1) as f32;
            let colour = overlay::colour(Rgb([110; 3]), value);
            self.fill(Area { left: x as f32, top, width: 1.0, height: SCALE * unit }, colour);
        }
        let half = Area {
            left: area.left + overlay::LINE_LEVEL * area.width,
            top: top - 2.0 * unit,
            width: unit.max(1.0),
            height: (SCALE + 4.0) * unit,
        };
        self.fill(half, WHITE);
        let style = Style { size: 11.0 * unit, ..style };
        let below = top + (SCALE + 1.0) * unit;
        for (label, share) in [(strings.least, 0.0), (strings.half, overlay::LINE_LEVEL), (strings.most, 1.0)] {
            let left = area.left + share * (area.width - style.width(label));
            style.write(self.canvas, left, below, label);
        }
    }

    /// Fills an area with a colour. The part outside the canvas is left out.
    fn fill(&mut self, area: Area, colour: Rgb<u8>) {
        let (width, height) = self.canvas.dimensions();
        let range = |from: f32, length: f32, limit: u32| {
            let end = ((from + length).round().max(0.0) as u32).min(limit);
            (from.round().max(0.0) as u32).min(end)..end
        };
        for y in range(area.top, area.height, height) {
            for x in range(area.left, area.width, width) {
                self.canvas.put_pixel(x, y, colour);
            }
        }
    }
}

impl Block {
    /// The style of a text; `None` for other blocks.
    fn style(&self, unit: f32) -> Option<Style> {
        match self {
            Block::Text { weight, size, colour, .. } => {
                Some(Style { weight: *weight, size: size * unit, colour: *colour })
            }
            _ => None,
        }
    }

    /// Height in a column of this width, pixels.
    fn height(&self, width: f32, unit: f32) -> f32 {
        match self {
            Block::Text { text, .. } => {
                self.style(unit).map_or(0.0, |style| style.wrap(text, width).len() as f32 * style.line())
            }
            Block::Bars { .. } => Class::ALL.len() as f32 * (BAR_TEXT + BAR + BAR_GAP) * unit,
            Block::Legend(_) => (15.0 + 1.0 + SCALE + 1.0 + 14.0) * unit,
            Block::Gap(gap) => gap * unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ui::strings::Language;

    use super::*;

    #[test]
    fn filling_stops_at_the_edge_of_the_canvas() {
        let mut canvas = RgbImage::new(8, 8);
        let area = Area { left: -3.0, top: 6.0, width: 20.0, height: 20.0 };
        Page::new(&mut canvas, Language::English.strings()).fill(area, WHITE);
        assert_eq!(canvas.get_pixel(7, 7), &WHITE);
    }
}

//! Every screen of the box, at any size from 480 x 320 to 1920 x 1080, and the picture `triage --cam` writes.
//!
//! A screen has, from top to bottom: a line with model, case and clock; a heading in very large type; the film and what
//! is to be said about it; the disclaimer. Lengths are in *units*: a unit is a pixel at 480 x 320 and grows with the
//! screen. Text that does not fit is set smaller.
//!
//! Nothing is told by colour alone: a line surrounds the strongest half of the heat map, bars carry numbers, the
//! verdict is a word, and a warning has a sign.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{GrayImage, Rgb, RgbImage};
use xray_triage_core::cam::HeatMap;
use xray_triage_core::decision::{Class, OperatingPoint, Outcome, Probabilities};
use xray_triage_core::film::Profile;
use xray_triage_core::overlay;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::record::Record;

use crate::ui::status::{Fault, Hint};
use crate::ui::strings::{Language, Strings, Words};
use crate::ui::text::{Style, Weight};

/// What is to be shown.
pub enum Screen<'a> {
    /// The model is being loaded.
    Booting,
    /// Waiting for the button.
    Ready {
        /// The camera's newest frame.
        preview: Option<&'a GrayImage>,
        /// What is wrong with it.
        hint: Option<Hint>,
    },
    /// The picture is being taken.
    Capturing,
    /// The film is being judged, for so many seconds.
    Analysing { seconds: u32 },
    /// A class, or that the film is referred.
    Verdict {
        assessment: &'a Assessment,
        /// Where the case log keeps it.
        case: Option<&'a str>,
        /// Whether the heat map lies over the film.
        heat_map: bool,
    },
    /// The film reached no verdict.
    Refused { assessment: &'a Assessment, case: Option<&'a str> },
    /// The box cannot work.
    Fault {
        fault: Fault,
        /// The error, for who repairs it.
        detail: &'a str,
    },
    /// The program is ending.
    ShuttingDown,
    /// The program has ended.
    Off,
}

/// What stands on every screen.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub language: Language,
    /// The time of day, such as `14:32`; nothing if the box does not know it.
    pub clock: Option<&'a str>,
    /// The model's id.
    pub model: &'a str,
}

/// Size of [`picture`], pixels.
pub const PICTURE_SIZE: (u32, u32) = (1024, 640);
/// The screen whose pixels are the unit.
const UNIT_SIZE: (f32, f32) = (480.0, 320.0);

// Units.
const MARGIN: f32 = 8.0;
const HEADER: f32 = 20.0;
const HEADING: f32 = 64.0;
const SIGN: f32 = 52.0;
const BAND: f32 = 24.0;

/// Widest film beside text, and widest preview, as shares of the screen's width.
const FILM_SHARE: f32 = 0.48;
const PREVIEW_SHARE: f32 = 0.55;

/// To what share of its size text may shrink before it is cut.
const SMALLEST: f32 = 0.6;
/// Most characters of a fault's detail that are shown.
const DETAIL_CHARACTERS: usize = 160;

const BACKGROUND: Rgb<u8> = Rgb([16, 18, 22]);
const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const LIGHT: Rgb<u8> = Rgb([205, 210, 216]);
const DIM: Rgb<u8> = Rgb([140, 148, 158]);
const TRACK: Rgb<u8> = Rgb([48, 53, 61]);
const WARNING: Rgb<u8> = Rgb([255, 193, 37]);

/// Draws a screen over all of the canvas. Returns how many of its texts, bars and legends had no room: cut or left out.
pub fn draw(canvas: &mut RgbImage, screen: &Screen, around: &Surroundings) -> usize {
    let strings = around.language.strings();
    let mut page = Page::new(canvas, strings);
    let case = match screen {
        Screen::Verdict { case: Some(case), .. } | Screen::Refused { case: Some(case), .. } => {
            format!("{} {case}", strings.case)
        }
        _ => String::new(),
    };
    page.header(&format!("{} {}", strings.model, around.model), &case, around.clock.unwrap_or_default());
    match screen {
        Screen::Booting => page.words(strings.booting, vec![]),
        Screen::Ready { preview, hint } => page.ready(*preview, *hint),
        Screen::Capturing => page.words(strings.capturing, vec![]),
        Screen::Analysing { seconds } => {
            page.words(strings.analysing, vec![text(&format!("{seconds} s"), Weight::Bold, 40.0, WHITE)]);
        }
        Screen::Verdict { assessment, heat_map, .. } => {
            page.verdict(assessment, *heat_map, vec![small(strings.help_verdict)]);
        }
        Screen::Refused { assessment, .. } => page.refused(assessment, vec![small(strings.help_again)]),
        Screen::Fault { fault, detail } => page.fault(*fault, detail),
        Screen::ShuttingDown => page.words(strings.shutting_down, vec![]),
        Screen::Off => page.words(strings.off, vec![]),
    }
    page.left_out
}

/// The picture `triage --cam` writes: [`PICTURE_SIZE`], English. `None` if the file was unreadable, so that there is
/// nothing to show.
pub fn picture(assessment: &Assessment) -> Option<RgbImage> {
    assessment.picture.as_ref()?;
    let record = &assessment.record;
    let mut canvas = RgbImage::new(PICTURE_SIZE.0, PICTURE_SIZE.1);
    let mut page = Page::new(&mut canvas, Language::English.strings());
    let name = Path::new(&record.file).file_name().unwrap_or_default().to_string_lossy();
    page.header(&format!("Model {}", record.model.id), &name, &format!("xray-triage {}", record.version));
    let operating_point = record.operating_point.as_deref().unwrap_or("-");
    let mut notes = vec![small(&format!(
        "Profile {}, operating point {operating_point}",
        record.profile.map_or("-", Profile::name)
    ))];
    notes.extend(record.thresholds.map(|point| small(&point.to_string())));
    match record.outcome {
        Outcome::Refused => page.refused(assessment, notes),
        _ => page.verdict(assessment, true, notes),
    }
    Some(canvas)
}

/// A part of the canvas, pixels.
#[derive(Clone, Copy)]
struct Area {
    left: f32,
    top: f32,
    width: f32,
    height: f32,
}

/// A part of a column of text. Sizes are in units.
enum Block {
    Text { text: String, weight: Weight, size: f32, colour: Rgb<u8> },
    Bars { probabilities: Probabilities, top: Option<Class>, point: Option<OperatingPoint> },
    Legend(Class),
    Gap(f32),
}

fn text(text: &str, weight: Weight, size: f32, colour: Rgb<u8>) -> Block {
    Block::Text { text: text.into(), weight, size, colour }
}

/// What is read from near.
fn small(words: &str) -> Block {
    text(words, Weight::Regular, 12.0, LIGHT)
}

/// A canvas with its measures.
struct Page<'a> {
    canvas: &'a mut RgbImage,
    strings: &'static Strings,
    width: f32,
    height: f32,
    /// Pixels.
    unit: f32,
    /// Blocks that were cut or left out.
    left_out: usize,
}

impl<'a> Page<'a> {
    /// Empties the canvas and draws the disclaimer.
    fn new(canvas: &'a mut RgbImage, strings: &'static Strings) -> Page<'a> {
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

    /// The line on top.
    fn header(&mut self, left: &str, middle: &str, right: &str) {
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

    /// The heading, with a sign before it if it asks for attention.
    fn heading(&mut self, heading: &str, attention: bool) {
        let unit = self.unit;
        let top = HEADER * unit;
        if attention {
            let side = SIGN * unit;
            self.sign(Area { left: MARGIN * unit, top: top + 6.0 * unit, width: side, height: side * 0.88 });
        }
        let (left, style) = self.heading_style(heading, attention);
        style.write(self.canvas, left, top + (HEADING * unit - 1.2 * style.size) / 2.0, heading);
    }

    /// Where a heading begins and how it is set.
    fn heading_style(&self, heading: &str, attention: bool) -> (f32, Style) {
        let unit = self.unit;
        let sign = if attention { SIGN + MARGIN } else { 0.0 };
        let left = (MARGIN + sign) * unit;
        let style = Style { weight: Weight::Bold, size: 60.0 * unit, colour: WHITE };
        (left, style.shrunk_to(heading, self.width - left - MARGIN * unit))
    }

    /// A triangle with an exclamation mark.
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

    /// What lies between heading and disclaimer.
    fn body(&self) -> Area {
        let unit = self.unit;
        let top = (HEADER + HEADING) * unit;
        Area {
            left: MARGIN * unit,
            top,
            width: self.width - 2.0 * MARGIN * unit,
            height: self.height - top - (BAND + MARGIN) * unit,
        }
    }

    /// The body, right of something so wide.
    fn beside(&self, width: f32) -> Area {
        let body = self.body();
        let taken = width + 1.5 * MARGIN * self.unit;
        Area { left: body.left + taken, width: body.width - taken, ..body }
    }

    /// A screen of words.
    fn words(&mut self, words: Words, more: Vec<Block>) {
        self.heading(words.heading, false);
        let mut blocks = vec![Block::Gap(12.0), text(words.text, Weight::Regular, 30.0, WHITE), Block::Gap(12.0)];
        blocks.extend(more);
        self.column(self.body(), &blocks);
    }

    fn ready(&mut self, preview: Option<&GrayImage>, hint: Option<Hint>) {
        let strings = self.strings;
        self.heading(strings.ready.heading, false);
        let area = match preview {
            Some(frame) => {
                let width = self.film(frame, PREVIEW_SHARE, None);
                self.beside(width)
            }
            None => self.body(),
        };
        let mut blocks = vec![text(strings.ready.text, Weight::Regular, 19.0, WHITE), Block::Gap(10.0)];
        if let Some(hint) = hint {
            blocks.push(text(&format!("! {}", strings.hint(hint)), Weight::Bold, 17.0, WARNING));
            blocks.push(Block::Gap(10.0));
        }
        blocks.push(small(strings.help_ready));
        self.column(area, &blocks);
    }

    fn fault(&mut self, fault: Fault, detail: &str) {
        let words = self.strings.fault(fault);
        self.heading(words.heading, true);
        // A settings file's errors have several lines.
        let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let detail: String = format!("{}: {detail}", fault.code()).chars().take(DETAIL_CHARACTERS).collect();
        let mut blocks = vec![Block::Gap(6.0), text(words.text, Weight::Regular, 24.0, WHITE), Block::Gap(10.0)];
        if !fault.needs_restart() {
            blocks.extend([small(self.strings.help_again), Block::Gap(6.0)]);
        }
        blocks.push(text(&detail, Weight::Regular, 12.0, DIM));
        self.column(self.body(), &blocks);
    }

    fn verdict(&mut self, assessment: &Assessment, heat_map: bool, notes: Vec<Block>) {
        let record = &assessment.record;
        let strings = self.strings;
        let words = strings.outcome(record.outcome);
        self.heading(words.heading, record.outcome == Outcome::Refer);
        // The verdict's own evidence; that of the most probable class where the verdict is no class.
        let shown = record.outcome.class().or(record.top);
        let heat = match (&assessment.cam, shown) {
            (Some(cam), Some(class)) => Some((class, cam.heat(class))),
            _ => None,
        };
        let area = match &assessment.picture {
            Some(film) => {
                let heat = heat.as_ref().filter(|_| heat_map).map(|(_, heat)| heat);
                let width = self.film(film, FILM_SHARE, heat);
                self.beside(width)
            }
            None => self.body(),
        };

        let mut blocks = vec![text(words.text, Weight::Regular, 17.0, WHITE), Block::Gap(7.0)];
        if let Some(probabilities) = record.probabilities {
            blocks.push(Block::Bars { probabilities, top: record.top, point: record.thresholds });
            if record.thresholds.is_some() {
                blocks.push(text(&format!("| {}", strings.threshold), Weight::Regular, 11.0, WARNING));
            }
            blocks.push(Block::Gap(6.0));
        }
        match &heat {
            Some(_) if !heat_map => blocks.push(small(strings.heat_map_off)),
            Some((class, heat)) if heat.is_empty() => {
                blocks.push(small(&format!("{} {}.", strings.nothing_speaks_for, strings.class(*class))));
            }
            Some((class, _)) => blocks.push(Block::Legend(*class)),
            None => {}
        }
        blocks.push(Block::Gap(5.0));
        for advice in advice(record, strings) {
            blocks.push(text(&advice, Weight::Bold, 14.0, WHITE));
            blocks.push(Block::Gap(5.0));
        }
        blocks.extend(notes);
        self.column(area, &blocks);
    }

    fn refused(&mut self, assessment: &Assessment, notes: Vec<Block>) {
        let strings = self.strings;
        let words = strings.outcome(Outcome::Refused);
        self.heading(words.heading, true);
        let area = match &assessment.picture {
            Some(frame) => {
                let width = self.film(frame, FILM_SHARE, None);
                self.beside(width)
            }
            None => self.body(),
        };
        let mut blocks = vec![text(words.text, Weight::Regular, 17.0, LIGHT), Block::Gap(6.0)];
        for advice in advice(&assessment.record, strings) {
            blocks.push(text(&advice, Weight::Bold, 19.0, WHITE));
            blocks.push(Block::Gap(8.0));
        }
        blocks.extend(notes);
        self.column(area, &blocks);
    }

    /// Fits a film or frame into the body's left, as much of the screen's width as `share`, with the map over it.
    /// Returns its width.
    fn film(&mut self, picture: &GrayImage, share: f32, heat: Option<&HeatMap>) -> f32 {
        let body = self.body();
        let (own_width, own_height) = (picture.width().max(1) as f32, picture.height().max(1) as f32);
        let scale = (share * self.width / own_width).min(body.height / own_height);
        let fit = |length: f32| ((length * scale).round() as u32).max(1);
        let (width, height) = (fit(own_width), fit(own_height));
        // Averages: fast enough for a preview, and no detail that is not there.
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
        width as f32
    }

    /// Sets blocks one below the other, all as much smaller as they need to fit.
    fn column(&mut self, area: Area, blocks: &[Block]) {
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

    /// Fills an area; what lies outside the canvas is left out.
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

// Units: a bar's label, the bar, the gap below it; the legend's scale.
const BAR_TEXT: f32 = 20.0;
const BAR: f32 = 7.0;
const BAR_GAP: f32 = 4.0;
const SCALE: f32 = 10.0;

impl Block {
    fn style(&self, unit: f32) -> Option<Style> {
        match self {
            Block::Text { weight, size, colour, .. } => {
                Some(Style { weight: *weight, size: size * unit, colour: *colour })
            }
            _ => None,
        }
    }

    /// Height in a column so wide, pixels.
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

/// What is to be done, in the screen's language; errors, which have no code of a reason, as they are.
fn advice(record: &Record, strings: &Strings) -> Vec<String> {
    let own = |(code, advice): (&&str, &String)| strings.reason(code).map_or_else(|| advice.clone(), Into::into);
    record.reasons.iter().zip(&record.advice).map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docs/design/architecture.md has it: how large a heading's capitals are seen from 2 m, minutes of arc.
    #[test]
    fn verdicts_are_read_from_two_metres() {
        // Pixels, and the diagonal in millimetres: 3.5 and 7 inches.
        for (width, height, diagonal, least) in [(480, 320, 88.9, 10.0), (800, 480, 177.8, 20.0)] {
            let outcomes = [Outcome::Covid19, Outcome::Pneumonia, Outcome::Normal, Outcome::Refer, Outcome::Refused];
            for (language, outcome) in Language::ALL.into_iter().flat_map(|l| outcomes.map(|outcome| (l, outcome))) {
                let strings = language.strings();
                let mut canvas = RgbImage::new(width, height);
                let heading = strings.outcome(outcome).heading;
                let attention = matches!(outcome, Outcome::Refer | Outcome::Refused);
                let (_, style) = Page::new(&mut canvas, strings).heading_style(heading, attention);
                let millimetre = (width as f32).hypot(height as f32) / diagonal;
                let minutes = 60.0 * (0.71 * style.size / millimetre / 2000.0).atan().to_degrees();
                assert!(minutes >= least, "{heading} on {width} x {height}: {minutes}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_the_canvas_is_left_out() {
        let mut canvas = RgbImage::new(8, 8);
        let around = Surroundings { language: Language::Chinese, clock: Some("14:32"), model: "m" };
        let preview = GrayImage::new(300, 2);
        draw(&mut canvas, &Screen::Ready { preview: Some(&preview), hint: Some(Hint::NoFilm) }, &around);
        Page::new(&mut canvas, Language::English.strings())
            .fill(Area { left: -3.0, top: 6.0, width: 20.0, height: 20.0 }, WHITE);
        assert_eq!(canvas.get_pixel(7, 7), &WHITE);
    }
}

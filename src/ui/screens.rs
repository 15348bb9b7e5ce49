//! What every screen of the box shows, at any size from 480 x 320 to 1920 x 1080, and the picture that `triage --cam`
//! writes.
//!
//! A screen has, from top to bottom: a line with the model, the case and the time of day; a heading in very large type; the
//! film and what is to be said about it; the disclaimer. Text that does not fit is drawn smaller.
//!
//! Colour never stands alone: a line surrounds the strongest half of the heat map, bars carry numbers, the verdict is a
//! word, and a warning has a sign.

use std::path::Path;

use image::{GrayImage, RgbImage};
use xray_triage_core::decision::Outcome;
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::record::Record;

use crate::ui::status::{Fault, Hint};
use crate::ui::strings::{Language, Strings, Words};
use crate::ui::text::Weight;
use crate::ui::widgets::{Block, DIM, LIGHT, Page, WARNING, WHITE, small, text};

/// A screen with what it shows.
pub enum Screen<'a> {
    /// The model is being loaded, and the camera has sent no frame yet.
    Booting,
    /// The box waits for the button.
    Ready {
        /// The camera's newest frame.
        preview: Option<&'a GrayImage>,
        /// What the operator can improve about it.
        hint: Option<Hint>,
    },
    /// The picture is being taken.
    Capturing,
    /// The film is being judged.
    Analysing {
        /// For how many seconds already.
        seconds: u32,
    },
    /// The film has a verdict: a class, or a referral to a trained reader.
    Verdict {
        /// The verdict and its film.
        assessment: &'a Assessment,
        /// The case's number in the case log.
        case: Option<&'a str>,
        /// Whether the heat map lies over the film.
        heat_map: bool,
    },
    /// The film was refused: it has no verdict.
    Refused {
        /// The reasons and the camera's frame.
        assessment: &'a Assessment,
        /// The case's number in the case log.
        case: Option<&'a str>,
    },
    /// A part of the box does not work.
    Fault {
        /// The part.
        fault: Fault,
        /// The error's own words, for whoever repairs the box.
        detail: &'a str,
    },
    /// The program is ending.
    ShuttingDown,
    /// The program has ended.
    Off,
}

/// What all screens have in common.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The language of all texts.
    pub language: Language,
    /// The time of day, such as `14:32`; `None` if the box does not know it.
    pub clock: Option<&'a str>,
    /// The model's id.
    pub model: &'a str,
}

/// Width and height of the [`picture`] that `triage --cam` writes, pixels.
pub const PICTURE_SIZE: (u32, u32) = (1024, 640);

/// Largest width of a film beside text, as a share of the screen's width.
const FILM_SHARE: f32 = 0.48;
/// Largest width of the preview, as a share of the screen's width.
const PREVIEW_SHARE: f32 = 0.55;

/// Most characters of a fault's detail that are shown.
const DETAIL_CHARACTERS: usize = 160;

/// Draws a screen over the whole canvas. Returns how many of its texts, bars and legends had no room and were cut or left
/// out.
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
        Screen::Booting => words(&mut page, strings.booting, vec![]),
        Screen::Ready { preview, hint } => ready(&mut page, *preview, *hint),
        Screen::Capturing => words(&mut page, strings.capturing, vec![]),
        Screen::Analysing { seconds } => {
            let seconds = text(&format!("{seconds} s"), Weight::Bold, 40.0, WHITE);
            words(&mut page, strings.analysing, vec![seconds]);
        }
        Screen::Verdict { assessment, heat_map, .. } => {
            verdict(&mut page, assessment, *heat_map, vec![small(strings.help_verdict)]);
        }
        Screen::Refused { assessment, .. } => refused(&mut page, assessment, vec![small(strings.help_again)]),
        Screen::Fault { fault: part, detail } => fault(&mut page, *part, detail),
        Screen::ShuttingDown => words(&mut page, strings.shutting_down, vec![]),
        Screen::Off => words(&mut page, strings.off, vec![]),
    }
    page.left_out
}

/// Draws the picture that `triage --cam` writes, in English, with [`PICTURE_SIZE`]. `None` if the file was unreadable, so
/// that there is no film to show.
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
        Outcome::Refused => refused(&mut page, assessment, notes),
        _ => verdict(&mut page, assessment, true, notes),
    }
    Some(canvas)
}

/// Draws a screen that has words only, with `more` below them.
fn words(page: &mut Page, words: Words, more: Vec<Block>) {
    page.heading(words.heading, false);
    let mut blocks = vec![Block::Gap(12.0), text(words.text, Weight::Regular, 30.0, WHITE), Block::Gap(12.0)];
    blocks.extend(more);
    page.column(page.body(), &blocks);
}

fn ready(page: &mut Page, preview: Option<&GrayImage>, hint: Option<Hint>) {
    let strings = page.strings;
    page.heading(strings.ready.heading, false);
    let area = page.picture(preview, PREVIEW_SHARE, None);
    let mut blocks = vec![text(strings.ready.text, Weight::Regular, 19.0, WHITE), Block::Gap(10.0)];
    if let Some(hint) = hint {
        blocks.push(text(&format!("! {}", strings.hint(hint)), Weight::Bold, 17.0, WARNING));
        blocks.push(Block::Gap(10.0));
    }
    blocks.push(small(strings.help_ready));
    page.column(area, &blocks);
}

fn fault(page: &mut Page, fault: Fault, detail: &str) {
    let words = page.strings.fault(fault);
    page.heading(words.heading, true);
    // The error of a settings file has several lines.
    let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    let detail: String = format!("{}: {detail}", fault.code()).chars().take(DETAIL_CHARACTERS).collect();
    let mut blocks = vec![Block::Gap(6.0), text(words.text, Weight::Regular, 24.0, WHITE), Block::Gap(10.0)];
    if !fault.needs_restart() {
        blocks.extend([small(page.strings.help_again), Block::Gap(6.0)]);
    }
    blocks.push(text(&detail, Weight::Regular, 12.0, DIM));
    page.column(page.body(), &blocks);
}

fn verdict(page: &mut Page, assessment: &Assessment, heat_map: bool, notes: Vec<Block>) {
    let record = &assessment.record;
    let strings = page.strings;
    let words = strings.outcome(record.outcome);
    page.heading(words.heading, record.outcome == Outcome::Refer);
    // A referral is no class: its heat map is that of the most probable class.
    let shown = record.outcome.class().or(record.top);
    let heat = match (&assessment.cam, shown) {
        (Some(cam), Some(class)) => Some((class, cam.heat(class))),
        _ => None,
    };
    let over_film = heat.as_ref().filter(|_| heat_map).map(|(_, heat)| heat);
    let area = page.picture(assessment.picture.as_ref(), FILM_SHARE, over_film);

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
    page.column(area, &blocks);
}

fn refused(page: &mut Page, assessment: &Assessment, notes: Vec<Block>) {
    let strings = page.strings;
    let words = strings.outcome(Outcome::Refused);
    page.heading(words.heading, true);
    let area = page.picture(assessment.picture.as_ref(), FILM_SHARE, None);
    let mut blocks = vec![text(words.text, Weight::Regular, 17.0, LIGHT), Block::Gap(6.0)];
    for advice in advice(&assessment.record, strings) {
        blocks.push(text(&advice, Weight::Bold, 19.0, WHITE));
        blocks.push(Block::Gap(8.0));
    }
    blocks.extend(notes);
    page.column(area, &blocks);
}

/// What the operator is to do, a text for each reason of the record: in the screen's language, or as the record has it
/// where the reason is an error.
fn advice(record: &Record, strings: &Strings) -> Vec<String> {
    let own = |(code, advice): (&&str, &String)| strings.reason(code).map_or_else(|| advice.clone(), Into::into);
    record.reasons.iter().zip(&record.advice).map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capitals of a heading are seen from 2 m under this angle at least, minutes of arc (docs/design/architecture.md).
    #[test]
    fn headings_can_be_read_from_two_metres() {
        // Width and height in pixels, diagonal in millimetres (3.5 and 7 inches), smallest angle.
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
    fn a_canvas_that_is_too_small_is_harmless() {
        let mut canvas = RgbImage::new(8, 8);
        let around = Surroundings { language: Language::Chinese, clock: Some("14:32"), model: "m" };
        let preview = GrayImage::new(300, 2);
        draw(&mut canvas, &Screen::Ready { preview: Some(&preview), hint: Some(Hint::NoFilm) }, &around);
    }
}

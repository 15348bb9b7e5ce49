//! Compares every screen with its picture in `tests/screens`, pixel by pixel.
//!
//! After a change of the screens, `SCREENS=write cargo test --test screens` draws the pictures anew. Look at them before
//! they are committed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops;
use image::{GrayImage, Luma, RgbImage};
use xray_triage::ui::screens::{self, Screen, Surroundings, draw};
use xray_triage::ui::status::{Fault, Hint};
use xray_triage::ui::strings::Language;
use xray_triage_core::cam::Cam;
use xray_triage_core::decision::{Class, OperatingPoint, Outcome, Probabilities};
use xray_triage_core::film::Profile;
use xray_triage_core::image_file;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::reason::Reason;
use xray_triage_core::record::{ModelName, Record};

/// Sizes of the smallest screen and of the Raspberry Pi's official one.
const SIZES: [(u32, u32); 2] = [(480, 320), (800, 480)];
const SMALLEST: (u32, u32) = SIZES[0];
const OFFICIAL: (u32, u32) = SIZES[1];
/// The error of a mistyped settings file, which has several lines.
const MISTYPED: &str = "/etc/xray-triage/config.toml: TOML parse error at line 2, column 1
  |
2 | widht = 640
  | ^^^^^
unknown field `widht`";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A film of few pixels, so that the pictures of screens stay small files.
fn film() -> GrayImage {
    let film = image_file::read(&folder("films/nih_00001872_004.jpg")).expect("a film");
    imageops::thumbnail(&film, 24, 24)
}

fn photograph() -> GrayImage {
    image_file::read(&folder("films/film-photo-nih_00002102_000.jpg")).expect("a photograph")
}

/// A photograph of few pixels, so that the pictures of screens stay small files.
fn small_photograph() -> GrayImage {
    let photograph = photograph();
    imageops::thumbnail(&photograph, photograph.width() / 8, photograph.height() / 8)
}

/// A made-up class activation map with one warm place for pneumonia, and nothing for the other classes.
fn cam() -> Cam {
    let side = 7;
    let warm = |index: usize| {
        let (row, column) = ((index / side) as f32, (index % side) as f32);
        3.0 - (row - 4.0).hypot(column - 1.5)
    };
    let cold = std::iter::repeat_n(-1.0, side * side);
    Cam::new(side, cold.clone().chain((0..side * side).map(warm)).chain(cold).collect())
}

fn assessment(outcome: Outcome, probabilities: Option<[f64; 3]>, reasons: &[Reason], shown: GrayImage) -> Assessment {
    let probabilities = probabilities.map(|[covid19, pneumonia, normal]| Probabilities { covid19, pneumonia, normal });
    let record = Record {
        file: "camera".into(),
        outcome,
        top: probabilities.map(|probabilities| probabilities.top()),
        probabilities,
        reasons: reasons.iter().map(|reason| reason.code()).collect(),
        advice: reasons.iter().map(ToString::to_string).collect(),
        error: None,
        quality: None,
        ood_score: None,
        profile: Some(Profile::Film),
        operating_point: Some("balanced".into()),
        thresholds: Some(OperatingPoint { covid19_at_least: 0.12, refer_below: 0.55 }),
        model: ModelName { id: "densenet121-cbam-0.2".into(), sha256: String::new() },
        outline: None,
        timings_ms: BTreeMap::new(),
        version: "0.1.0",
    };
    let cam = probabilities.is_some().then(cam);
    Assessment { record, picture: Some(shown), cam }
}

fn pneumonia() -> Assessment {
    assessment(Outcome::Pneumonia, Some([0.06, 0.81, 0.13]), &[], film())
}

fn refused() -> Assessment {
    assessment(Outcome::Refused, None, &[Reason::TooDark, Reason::Blurred], small_photograph())
}

fn drawn(screen: &Screen, language: Language, size: (u32, u32)) -> RgbImage {
    drawn_with_room(screen, language, size).0
}

/// Draws a screen. Returns it, and how many of its parts had no room.
fn drawn_with_room(screen: &Screen, language: Language, size: (u32, u32)) -> (RgbImage, usize) {
    let mut canvas = RgbImage::new(size.0, size.1);
    let around = Surroundings { language, clock: Some("14:32"), model: "densenet121-cbam-0.2" };
    let left_out = draw(&mut canvas, screen, &around);
    (canvas, left_out)
}

/// Draws a screen and compares it with its picture.
fn check(screen: &Screen, name: &str, language: Language, size: (u32, u32)) {
    check_picture(&drawn(screen, language, size), &format!("{name}-{language}-{}x{}", size.0, size.1));
}

/// Compares a screen with the picture of this name, or writes the picture if that was asked for.
fn check_picture(drawn: &RgbImage, name: &str) {
    let path = folder("screens").join(format!("{name}.png"));
    if std::env::var_os("SCREENS").is_some_and(|wish| wish == "write") {
        // A picture of words is a smaller file without a filter, and one of a film with a filter.
        let files = [FilterType::NoFilter, FilterType::Adaptive].map(|filter| {
            let mut file = Vec::new();
            let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Best, filter);
            drawn.write_with_encoder(encoder).expect("a PNG file");
            file
        });
        let smallest = files.iter().min_by_key(|file| file.len()).expect("two files");
        fs::write(&path, smallest).expect("a writable tests/screens");
        return;
    }
    let known = image::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into_rgb8();
    assert_eq!(known.dimensions(), drawn.dimensions(), "{}", path.display());
    let changed = known.pixels().zip(drawn.pixels()).filter(|(known, drawn)| known != drawn).count();
    assert_eq!(changed, 0, "pixels differ from {}; SCREENS=write draws it anew", path.display());
}

#[test]
fn screens_of_words_are_as_their_pictures() {
    let detail = "camera /dev/video0: No such file or directory (os error 2)";
    for size in SIZES {
        let check = |screen: Screen, name: &str| check(&screen, name, Language::English, size);
        check(Screen::Booting, "booting");
        check(Screen::Ready { preview: None, hint: None }, "ready-without-preview");
        check(Screen::Capturing, "capturing");
        check(Screen::Analysing { seconds: 4 }, "analysing");
        check(Screen::ShuttingDown, "shutting-down");
        check(Screen::Off, "off");
        check(Screen::Fault { fault: Fault::Camera, detail }, "camera-fault");
        check(Screen::Fault { fault: Fault::Storage, detail: "no space left" }, "storage-fault");
        check(Screen::Fault { fault: Fault::Model, detail: "hash differs" }, "model-fault");
        check(Screen::Fault { fault: Fault::Settings, detail: MISTYPED }, "settings-fault");
        if size == SMALLEST {
            check(Screen::Fault { fault: Fault::Gpio, detail: "pin 17 is in use" }, "panel-fault");
        }
    }
}

#[test]
fn screens_with_a_film_are_as_their_pictures() {
    let case = Some("000123");
    let covid19 = assessment(Outcome::Covid19, Some([0.58, 0.3, 0.12]), &[], film());
    let normal = assessment(Outcome::Normal, Some([0.02, 0.07, 0.91]), &[], film());
    let refer = assessment(Outcome::Refer, Some([0.09, 0.5, 0.41]), &[Reason::LowConfidence], film());
    let refused = refused();
    let (preview, small_preview) = (photograph(), small_photograph());
    for size in SIZES {
        let check = |screen: Screen, name: &str| check(&screen, name, Language::English, size);
        check(Screen::Ready { preview: Some(&preview), hint: None }, "ready");
        check(Screen::Verdict { assessment: &pneumonia(), case, heat_map: true }, "pneumonia");
        check(Screen::Verdict { assessment: &refer, case, heat_map: true }, "refer");
        check(Screen::Refused { assessment: &refused, case }, "refused");
        if size == SMALLEST {
            check(Screen::Ready { preview: Some(&small_preview), hint: Some(Hint::NoFilm) }, "ready-hint");
            check(Screen::Verdict { assessment: &covid19, case, heat_map: true }, "covid19");
            check(Screen::Verdict { assessment: &pneumonia(), case, heat_map: false }, "pneumonia-without-map");
            check(Screen::Verdict { assessment: &normal, case, heat_map: true }, "normal");
        }
    }
}

#[test]
fn the_picture_of_triage_cam_is_as_its_picture() {
    let mut assessment = pneumonia();
    assessment.record.file = "films/nih_00001872_004.jpg".into();
    check_picture(&screens::picture(&assessment).expect("a picture"), "picture");
    assessment.picture = None;
    assert!(screens::picture(&assessment).is_none());
}

#[test]
fn screens_in_other_languages_are_as_their_pictures() {
    let case = Some("000123");
    for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
        let check = |screen: Screen, name: &str| check(&screen, name, language, SMALLEST);
        check(Screen::Verdict { assessment: &pneumonia(), case, heat_map: true }, "pneumonia");
        check(Screen::Fault { fault: Fault::Storage, detail: "no space left" }, "storage-fault");
        check(Screen::Fault { fault: Fault::Settings, detail: MISTYPED }, "settings-fault");
        check(Screen::Refused { assessment: &refused(), case }, "refused");
    }
    // tests/cli.rs compares the screen of the running program with this picture.
    let fault = Screen::Fault { fault: Fault::Settings, detail: MISTYPED };
    check(&fault, "settings-fault", Language::French, OFFICIAL);
}

#[test]
fn the_largest_screen_is_as_its_picture() {
    let screen = Screen::Verdict { assessment: &pneumonia(), case: Some("000123"), heat_map: true };
    check(&screen, "pneumonia", Language::English, (1920, 1080));
}

/// The gap above the disclaimer and the margins stay empty: no text runs over.
#[test]
fn no_text_runs_over_in_any_language() {
    let all = Reason::ALL;
    let refused = assessment(Outcome::Refused, None, &all, film());
    let refer = assessment(Outcome::Refer, Some([0.09, 0.5, 0.41]), &[Reason::LowConfidence], film());
    let preview = GrayImage::from_pixel(160, 90, Luma([128]));
    let detail = "an error without an end ".repeat(40);
    let sizes = Language::ALL.map(|language| (SMALLEST, language)).into_iter().chain([
        ((640, 480), Language::English),
        ((1024, 600), Language::Portuguese),
        ((1920, 1080), Language::French),
    ]);
    for (size @ (width, height), language) in sizes {
        let mut screens = vec![
            Screen::Booting,
            Screen::Capturing,
            Screen::Analysing { seconds: 12345 },
            Screen::ShuttingDown,
            Screen::Off,
            Screen::Verdict { assessment: &refer, case: Some("000123"), heat_map: true },
            Screen::Verdict { assessment: &refer, case: None, heat_map: false },
            Screen::Refused { assessment: &refused, case: Some("000123") },
        ];
        screens.extend(Fault::ALL.map(|fault| Screen::Fault { fault, detail: &detail }));
        for hint in [Hint::Loading, Hint::NoFilm, Hint::TooDark, Hint::TooBright, Hint::Blurred] {
            screens.push(Screen::Ready { preview: Some(&preview), hint: Some(hint) });
        }
        for (index, screen) in screens.iter().enumerate() {
            let picture = drawn(screen, language, size);
            let unit = (width as f32 / 480.0).min(height as f32 / 320.0);
            let background = *picture.get_pixel(0, 0);
            let gap = height - (27.0 * unit) as u32;
            let side = (5.0 * unit) as u32;
            let clean = (0..width).all(|x| *picture.get_pixel(x, gap) == background)
                && (0..gap)
                    .all(|y| (0..side).chain(width - side..width).all(|x| *picture.get_pixel(x, y) == background));
            assert!(clean, "screen {index} in {language} at {width} x {height}");
        }
    }
}

/// All that may have to be said on one screen has room on the smallest one.
#[test]
fn nothing_is_left_out_in_any_language() {
    let preview = GrayImage::from_pixel(160, 90, Luma([128]));
    let detail = "camera /dev/video0: was unplugged. Plug it in again";
    // Wider than a film, so that it leaves less room beside it.
    let film = GrayImage::new(90, 60);
    let mut assessments = Vec::new();
    for outcome in [Outcome::Covid19, Outcome::Pneumonia, Outcome::Normal, Outcome::Refer] {
        let reasons: &[Reason] = if outcome == Outcome::Refer { &[Reason::LowConfidence] } else { &[] };
        assessments.push(assessment(outcome, Some([0.35, 0.33, 0.32]), reasons, film.clone()));
    }
    for (index, &first) in Reason::ALL.iter().enumerate() {
        for &second in &Reason::ALL[index + 1..] {
            assessments.push(assessment(Outcome::Refused, None, &[first, second], film.clone()));
        }
    }
    let mut screens = vec![Screen::Booting, Screen::Capturing, Screen::Analysing { seconds: 239 }];
    screens.extend([Screen::ShuttingDown, Screen::Off, Screen::Ready { preview: None, hint: None }]);
    screens.extend(Fault::ALL.map(|fault| Screen::Fault { fault, detail }));
    let hints = [None, Some(Hint::Loading), Some(Hint::NoFilm), Some(Hint::TooDark), Some(Hint::TooBright)];
    for hint in hints.into_iter().chain([Some(Hint::Blurred)]) {
        screens.push(Screen::Ready { preview: Some(&preview), hint });
    }
    for assessment in &assessments {
        let case = Some("000123");
        if assessment.record.outcome == Outcome::Refused {
            screens.push(Screen::Refused { assessment, case });
        } else {
            screens.extend([true, false].map(|heat_map| Screen::Verdict { assessment, case, heat_map }));
        }
    }
    let mut left_out = Vec::new();
    for language in Language::ALL {
        for (index, screen) in screens.iter().enumerate() {
            let (_, missing) = drawn_with_room(screen, language, SMALLEST);
            if missing > 0 {
                left_out.push(format!("screen {index} in {language}: {missing}"));
            }
        }
    }
    assert!(left_out.is_empty(), "{left_out:#?}");
    let too_much = assessment(Outcome::Refused, None, &Reason::ALL, film.clone());
    let screen = Screen::Refused { assessment: &too_much, case: None };
    assert!(drawn_with_room(&screen, Language::English, SMALLEST).1 > 0, "it is noticed");
}

#[test]
fn the_heat_map_is_on_the_film_only_while_it_is_switched_on() {
    let pneumonia = pneumonia();
    let with =
        drawn(&Screen::Verdict { assessment: &pneumonia, case: None, heat_map: true }, Language::English, SMALLEST);
    let without =
        drawn(&Screen::Verdict { assessment: &pneumonia, case: None, heat_map: false }, Language::English, SMALLEST);
    let coloured = |picture: &RgbImage, left: u32| {
        let film = imageops::crop_imm(picture, left, 90, 100, 190).to_image();
        film.pixels().filter(|pixel| pixel[0] != pixel[2]).count()
    };
    assert!(coloured(&with, 10) > 1000, "the warm side");
    assert_eq!(coloured(&without, 10), 0);
    assert!(pneumonia.cam.is_some_and(|cam| cam.heat(Class::Normal).is_empty()));
}

#[test]
fn a_canvas_without_pixels_is_harmless() {
    let preview = photograph();
    drawn(&Screen::Ready { preview: Some(&preview), hint: Some(Hint::Blurred) }, Language::Chinese, (0, 0));
    drawn(&Screen::Verdict { assessment: &pneumonia(), case: None, heat_map: true }, Language::English, (0, 0));
}

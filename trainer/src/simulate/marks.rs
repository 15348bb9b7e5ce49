//! What people leave on a film: labels, writing and fingerprints, drawn on the sheet in millimetres from its middle.

use std::f64::consts::TAU;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use xray_triage_core::film::Point;

use super::effects::{Choices, Effect, WORST, between};

/// Most labels.
const LABELS: [usize; 5] = [0, 1, 1, 2, 3];
/// Length of the longest label, millimetres.
const LABEL_MM: [f64; 5] = [0.0, 35.0, 45.0, 60.0, 110.0];
/// Most written words.
const WORDS: [usize; 5] = [0, 1, 1, 2, 4];
/// Length of the longest word, millimetres.
const WORD_MM: [f64; 5] = [0.0, 35.0, 50.0, 70.0, 120.0];
/// Most fingerprints.
const FINGERPRINTS: [usize; 5] = [0, 2, 3, 5, 9];
/// Largest share of the light that a fingerprint's ridges scatter.
const SMUDGE: [f64; 5] = [0.0, 0.08, 0.15, 0.35, 0.7];

/// The light that grease scatters into the camera, as a share of the panel's radiance or of the screen's white. It is about
/// the mean of the surroundings.
const SCATTERED: f64 = 0.15;
/// Distance from ridge to ridge of a finger, millimetres (H. Cummins, W. Waits, J. McQuitty, The breadths of epidermal ridges on the
/// finger tips and palms, 1941: 0.48 mm).
const RIDGE_MM: f64 = 0.48;

/// All marks of a sheet.
pub struct Marks(Vec<Mark>);

struct Mark {
    centre: Point,
    /// Half the width and the height of the box that holds the mark.
    half: [f64; 2],
    /// Sine and cosine of the mark's turn.
    turn: (f64, f64),
    kind: Kind,
}

enum Kind {
    /// Paper with lines of print. Each line has words, with where they begin and end along the label's width, -1 to 1.
    Label { paper: Layer, lines: Vec<Vec<[f64; 2]>> },
    /// A pen's line through these points.
    Word { ink: Layer, points: Vec<Point>, pen_mm: f64 },
    /// A finger's ridges around a core.
    Fingerprint { strength: f64, core: Point, phase: f64 },
}

/// What a mark makes of light: it lets a share through, and adds what it reflects or scatters.
#[derive(Clone, Copy)]
pub struct Layer {
    /// The share of the light that passes, 0..=1.
    pub transmits: f64,
    /// The radiance that is added.
    pub adds: f64,
}

impl Layer {
    const CLEAR: Layer = Layer { transmits: 1.0, adds: 0.0 };

    /// The layer where it covers only a share of the place, 0..=1.
    fn covering(self, share: f64) -> Layer {
        Layer { transmits: 1.0 - share * (1.0 - self.transmits), adds: share * self.adds }
    }
}

impl Marks {
    /// Draws the marks of a sheet of these half sizes, millimetres.
    pub fn draw(choices: &Choices, sheet: [f64; 2]) -> Self {
        let mut marks = Vec::new();
        let count = |rng: &mut ChaCha8Rng, effect, most: &[usize; 5]| match choices.effects.level(effect) {
            WORST => choices.at(effect, most),
            _ => rng.random_range(0..=choices.at(effect, most)),
        };

        let mut rng = choices.of(Effect::Stickers);
        for _ in 0..count(&mut rng, Effect::Stickers, &LABELS) {
            let width = choices.at(Effect::Stickers, &LABEL_MM) * between(&mut rng, [0.6, 1.0]);
            let half = [width / 2.0, width * between(&mut rng, [0.12, 0.25])];
            let paper = Layer { transmits: between(&mut rng, [0.15, 0.4]), adds: between(&mut rng, [0.005, 0.06]) };
            let lines = (0..(half[1] / 2.5) as usize).map(|_| words(&mut rng)).collect();
            marks.push(Mark::near_the_edge(
                &mut rng,
                choices,
                Effect::Stickers,
                sheet,
                half,
                Kind::Label { paper, lines },
            ));
        }

        let mut rng = choices.of(Effect::Handwriting);
        for _ in 0..count(&mut rng, Effect::Handwriting, &WORDS) {
            let width = choices.at(Effect::Handwriting, &WORD_MM) * between(&mut rng, [0.6, 1.0]);
            let half = [width / 2.0, width * between(&mut rng, [0.06, 0.12])];
            // A felt pen lets little through; a grease pencil is seen by the light of the room on black film.
            let ink = Layer { transmits: between(&mut rng, [0.05, 0.4]), adds: between(&mut rng, [0.0, 0.08]) };
            let word = Kind::Word { ink, points: handwriting(&mut rng, half), pen_mm: between(&mut rng, [0.7, 1.8]) };
            marks.push(Mark::near_the_edge(&mut rng, choices, Effect::Handwriting, sheet, half, word));
        }

        let mut rng = choices.of(Effect::Fingerprints);
        for _ in 0..count(&mut rng, Effect::Fingerprints, &FINGERPRINTS) {
            let half = [between(&mut rng, [7.0, 9.0]), between(&mut rng, [9.0, 13.0])];
            let fingerprint = Kind::Fingerprint {
                strength: choices.at(Effect::Fingerprints, &SMUDGE) * between(&mut rng, [0.4, 1.0]),
                core: half.map(|half| half * between(&mut rng, [-0.3, 0.3])),
                phase: rng.random(),
            };
            // Where a hand takes the sheet: along its left and right side.
            let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
            let inward = between(&mut rng, [0.0, 0.25]) * sheet[0];
            let centre = [side * (sheet[0] - half[0] - inward), between(&mut rng, [-0.9, 0.9]) * sheet[1]];
            let turn = between(&mut rng, [-1.2, 1.2]).sin_cos();
            marks.push(Mark { centre, half, turn, kind: fingerprint });
        }
        Marks(marks)
    }

    /// All marks at a place as one layer.
    pub fn at(&self, p: Point) -> Layer {
        self.0.iter().filter_map(|mark| mark.at(p)).fold(Layer::CLEAR, |below, above| Layer {
            transmits: below.transmits * above.transmits,
            adds: below.adds * above.transmits + above.adds,
        })
    }
}

impl Mark {
    /// Places a mark at the sheet's upper or lower edge, away from its middle, where no lung is. At the worst level it may
    /// be anywhere.
    fn near_the_edge(
        rng: &mut ChaCha8Rng,
        choices: &Choices,
        effect: Effect,
        sheet: [f64; 2],
        half: [f64; 2],
        kind: Kind,
    ) -> Self {
        let anywhere = choices.effects.level(effect) == WORST;
        let inward = if anywhere { between(rng, [0.0, 2.0 * sheet[1]]) } else { between(rng, [3.0, 20.0]) };
        let mut sign = || if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        let signs = [sign(), sign()];
        let aside = between(rng, [if anywhere { 0.0 } else { 0.5 }, 1.0]);
        let centre = [signs[0] * aside * (sheet[0] - half[0] - 4.0), signs[1] * (sheet[1] - half[1] - inward)];
        Mark { centre, half, turn: between(rng, [-0.12, 0.12]).sin_cos(), kind }
    }

    /// The mark's layer at a place of the sheet, or `None` beyond its box.
    fn at(&self, [x, y]: Point) -> Option<Layer> {
        let (x, y) = (x - self.centre[0], y - self.centre[1]);
        let (sin, cos) = self.turn;
        let [x, y] = [x * cos + y * sin, y * cos - x * sin];
        if x.abs() > self.half[0] || y.abs() > self.half[1] {
            return None;
        }
        let (u, v) = (x / self.half[0], y / self.half[1]);
        Some(match &self.kind {
            Kind::Label { paper, lines } => {
                let line = (v + 1.0) / 2.0 * lines.len() as f64;
                let printed = (0.3..0.7).contains(&line.fract())
                    && lines[line as usize % lines.len()].iter().any(|word| (word[0]..word[1]).contains(&u));
                // Print takes nine tenths of what the paper gives.
                if printed { Layer { transmits: paper.transmits * 0.1, adds: paper.adds * 0.1 } } else { *paper }
            }
            Kind::Word { ink, points, pen_mm } => {
                let squared = points.windows(2).map(|ends| squared_distance([x, y], ends[0], ends[1]));
                let distance = squared.fold(f64::INFINITY, f64::min).sqrt();
                ink.covering((0.5 + (pen_mm / 2.0 - distance) / 0.3).clamp(0.0, 1.0))
            }
            Kind::Fingerprint { strength, core, phase } => {
                let from_core = (x - core[0]).hypot(1.3 * (y - core[1]));
                // A whorl: each turn ends one ridge farther out.
                let ridges = from_core / RIDGE_MM + (y - core[1]).atan2(x - core[0]) / TAU + phase;
                let pressed = (1.0 - u * u - v * v).max(0.0).sqrt();
                let grease = Layer { transmits: 0.0, adds: SCATTERED };
                grease.covering(strength * pressed * (0.5 + 0.5 * (TAU * ridges).cos()))
            }
        })
    }
}

/// Where the words of a line of print begin and end, -1 to 1.
fn words(rng: &mut ChaCha8Rng) -> Vec<[f64; 2]> {
    let mut words = Vec::new();
    let mut at = -0.9;
    let end = between(rng, [0.0, 0.9]);
    while at < end {
        let word = between(rng, [0.1, 0.5]);
        words.push([at, (at + word).min(0.9)]);
        at += word + 0.06;
    }
    words
}

/// The pen's path of a written word that fills a box of these half sizes. The pen swings to and fro and up and down while
/// the hand moves on evenly, with another swing for each letter (J. Hollerbach, An oscillation theory of handwriting, Biological
/// Cybernetics 39, 1981).
fn handwriting(rng: &mut ChaCha8Rng, half: [f64; 2]) -> Vec<Point> {
    const POINTS_PER_SWING: usize = 10;
    let letters = rng.random_range(4..10);
    let letter_mm = 2.0 * half[0] / (letters + 1) as f64;
    let mut points = Vec::with_capacity(letters * POINTS_PER_SWING);
    for letter in 0..letters {
        let height = half[1] * between(rng, [0.4, 0.95]);
        let (width, lag) = (letter_mm * between(rng, [0.2, 0.6]), between(rng, [0.1, 0.4]));
        points.extend((0..POINTS_PER_SWING).map(|step| {
            let time = step as f64 / POINTS_PER_SWING as f64;
            let along = -half[0] + letter_mm * (letter as f64 + 1.0 + time);
            let x = (along + width * (TAU * (time + lag)).sin()).clamp(-half[0], half[0]);
            [x, height * (TAU * time).sin()]
        }));
    }
    points
}

/// The squared distance of a place from the line between `a` and `b`.
fn squared_distance(p: Point, a: Point, b: Point) -> f64 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length = along[0] * along[0] + along[1] * along[1];
    let share = ((along[0] * to[0] + along[1] * to[1]) / length.max(1e-12)).clamp(0.0, 1.0);
    (to[0] - share * along[0]).powi(2) + (to[1] - share * along[1]).powi(2)
}

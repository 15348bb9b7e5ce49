//! How a film hangs on the light box: free on the panel, under a rail, or flush with sides of the panel.

use rand::Rng;
use xray_triage_core::film::Point;

use super::effects::{Choices, between};

/// How far the rail reaches over the film's upper edge, millimetres.
const RAIL_REACH_MM: [f64; 2] = [4.0, 18.0];
/// How wide the rail is, millimetres.
const RAIL_MM: [f64; 2] = [25.0, 60.0];
/// How far the housing reaches over the film at a flush side, millimetres; negative where a gap is left.
const FLUSH_REACH_MM: [f64; 2] = [-0.5, 4.0];
/// Width of the rim of rail and housing that the panel's light falls on, millimetres.
const LIP_MM: [f64; 2] = [1.0, 9.0];
/// Radiance of that rim beside the panel; it falls off to the housing's.
const LIP: [f64; 2] = [0.02, 0.35];

/// What holds the film at its sides, and whether there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// A rail over the film's upper edge.
    pub rail: bool,
    /// Sides at which the film ends where the panel ends, or just beyond: top, right, bottom, left.
    pub flush: [bool; 4],
    /// The light box without a film.
    pub empty: bool,
}

impl Mount {
    /// Reads words with commas between them: `rail`, `top`, `right`, `bottom` and `left` for flush sides, and `empty`.
    ///
    /// # Errors
    /// There is no such word. The message says which there are.
    pub fn of_words(text: &str) -> Result<Mount, String> {
        let mut mount = Mount::default();
        for word in text.split(',') {
            match ["top", "right", "bottom", "left"].iter().position(|side| *side == word) {
                Some(side) => mount.flush[side] = true,
                None if word == "rail" => mount.rail = true,
                None if word == "empty" => mount.empty = true,
                None => return Err(format!("`{word}` is none of rail, top, right, bottom, left, empty")),
            }
        }
        Ok(mount)
    }
}

/// The rail and the rims, with all random choices made.
pub struct Held {
    /// How far rail or housing reach over the film at each side, millimetres; less than 0 where a gap is left. `None` where
    /// the panel goes on.
    reach: [Option<f64>; 4],
    /// Where the rail begins above the film's upper edge, millimetres; 0 without a rail.
    rail_mm: f64,
    lip_mm: f64,
    lip: f64,
}

impl Held {
    pub fn draw(choices: &Choices, mount: &Mount) -> Self {
        let mut rng = choices.of_mount();
        let rail_reach = between(&mut rng, RAIL_REACH_MM);
        let rail_mm = if mount.rail { between(&mut rng, RAIL_MM) } else { 0.0 };
        let (lip_mm, lip) = (between(&mut rng, LIP_MM), between(&mut rng, LIP) * f64::from(rng.random_bool(0.8)));
        let reach = std::array::from_fn(|side| {
            let flush = between(&mut rng, FLUSH_REACH_MM);
            if side == 0 && mount.rail { Some(rail_reach) } else { mount.flush[side].then_some(flush) }
        });
        Held { reach, rail_mm, lip_mm, lip }
    }

    /// The panel's edges (left, top, right, bottom) moved to the film's sides that are flush.
    pub fn edges(&self, free: [f64; 4], half: [f64; 2]) -> [f64; 4] {
        let [top, right, bottom, left] = self.reach;
        [
            left.map_or(free[0], |reach| reach - half[0]),
            top.map_or(free[1], |reach| reach - half[1]),
            right.map_or(free[2], |reach| half[0] - reach),
            bottom.map_or(free[3], |reach| half[1] - reach),
        ]
    }

    /// What rail and housing have at a place that lies `beyond` the panel: the lit rim, then `housing`.
    pub fn rim(&self, beyond: f64, housing: f64) -> f64 {
        let lit = if beyond < self.lip_mm { self.lip * (1.0 - 0.6 * beyond / self.lip_mm) } else { 0.0 };
        lit.max(housing)
    }

    /// How wide the rail or housing is above the panel, if there is a rail.
    pub fn rail_mm(&self) -> f64 {
        self.rail_mm
    }

    /// The corners of the part of the film that is seen, clockwise from its top left, millimetres from its middle.
    pub fn visible(&self, half: [f64; 2]) -> [Point; 4] {
        let [top, right, bottom, left] = self.reach.map(|reach| reach.unwrap_or(0.0).max(0.0));
        let (x0, x1, y0, y1) = (left - half[0], half[0] - right, top - half[1], half[1] - bottom);
        [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
    }
}

#[cfg(test)]
mod tests {
    use super::super::effects::Effects;
    use super::*;

    #[test]
    fn words_say_how_a_film_hangs() {
        let mount = Mount::of_words("rail,left").unwrap();
        assert_eq!(mount, Mount { rail: true, flush: [false, false, false, true], empty: false });
        assert!(Mount::of_words("rail,ceiling").unwrap_err().contains("`ceiling`"));
    }

    #[test]
    fn a_held_film_is_seen_up_to_where_the_panel_ends() {
        let half = [150.0, 200.0];
        for seed in 0..20 {
            let choices = Choices { effects: &Effects::NONE, seed };
            let held = Held::draw(&choices, &Mount::of_words("rail,right").unwrap());
            let [[left, top], [right, _], [_, bottom], _] = held.visible(half);
            assert_eq!((left, bottom), (-150.0, 200.0));
            assert!((-200.0 + 4.0..-200.0 + 18.0).contains(&top) && (146.0..=150.0).contains(&right), "{top} {right}");
            let edges = held.edges([-190.0, -240.0, 190.0, 240.0], half);
            assert_eq!((edges[0], edges[1], edges[3]), (-190.0, top, 240.0));
            assert!(edges[2] >= right && edges[2] - right <= 0.5);
        }
    }
}

//! Light of the room that reaches the camera by way of the film or the screen. It is scattered, or it is the reflection of a
//! window, a wall or lamps.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use xray_triage_core::film::Point;

use super::effects::{Choices, Effect, between};

/// Radiance that lens, dust and room scatter onto everything.
const VEIL: [[f64; 2]; 5] = [[0.0, 0.0], [0.002, 0.005], [0.003, 0.01], [0.005, 0.02], [0.01, 0.04]];
/// Largest radiance of a reflected window or wall.
const ROOM: [f64; 5] = [0.0, 0.004, 0.015, 0.05, 0.2];
/// Fewest and most reflected lamps.
const LAMPS: [[usize; 2]; 5] = [[0, 0], [1, 1], [1, 2], [1, 3], [2, 4]];
/// Largest radiance of one lamp.
const LAMP: [f64; 5] = [0.0, 0.02, 0.08, 0.2, 0.6];

/// The room's light on an object, in units of the panel's radiance or of the screen's white.
pub struct Reflections {
    veil: f64,
    room: f64,
    shape: Shape,
    lamps: Vec<Lamp>,
}

/// The brightest thing of the room that is reflected.
enum Shape {
    /// A window with a cross of bars. It is a parallelogram, because it is seen from the side.
    Window { centre: Point, half: [f64; 2], shear: f64, bar_mm: f64, soft_mm: f64 },
    /// A wall that grows brighter from one side of the object to the other.
    Wall { direction: Point, half_mm: f64 },
}

/// A reflected lamp: a Gaussian spot.
struct Lamp {
    centre: Point,
    radius_mm: f64,
    radiance: f64,
}

impl Reflections {
    /// Draws the light on an object of these half sizes, millimetres.
    pub fn draw(choices: &Choices, half: [f64; 2]) -> Self {
        let mut rng = choices.of(Effect::Ambient);
        let veil = between(&mut rng, choices.at(Effect::Ambient, &VEIL));
        let room = choices.at(Effect::Ambient, &ROOM) * between(&mut rng, [0.3, 1.0]);
        let shape = if rng.random_bool(0.5) {
            let height = between(&mut rng, [40.0, 110.0]);
            Shape::Window {
                centre: place(&mut rng, half),
                half: [height * between(&mut rng, [0.4, 0.9]), height],
                shear: between(&mut rng, [-0.5, 0.5]),
                bar_mm: between(&mut rng, [3.0, 10.0]),
                soft_mm: between(&mut rng, [2.0, 15.0]),
            }
        } else {
            let (sin, cos) = between(&mut rng, [0.0, std::f64::consts::TAU]).sin_cos();
            Shape::Wall { direction: [cos, sin], half_mm: half[0].hypot(half[1]) }
        };
        let mut rng = choices.of(Effect::Glare);
        let [fewest, most] = choices.at(Effect::Glare, &LAMPS);
        let lamps = (0..rng.random_range(fewest..=most))
            .map(|_| Lamp {
                centre: place(&mut rng, half),
                radius_mm: between(&mut rng, [10.0, 45.0]),
                radiance: choices.at(Effect::Glare, &LAMP) * rng.random::<f64>(),
            })
            .collect();
        Reflections { veil, room, shape, lamps }
    }

    /// The radiance that is added at a place.
    pub fn at(&self, p: Point) -> f64 {
        self.veil + self.room * self.shape.at(p) + self.lamps.iter().map(|lamp| lamp.at(p)).sum::<f64>()
    }
}

/// A random place on the object, not at its very edge.
fn place(rng: &mut ChaCha8Rng, half: [f64; 2]) -> Point {
    half.map(|half| half * between(rng, [-0.9, 0.9]))
}

impl Shape {
    /// The brightness of the shape at a place, 0..=1.
    fn at(&self, [x, y]: Point) -> f64 {
        match self {
            Shape::Window { centre, half, shear, bar_mm, soft_mm } => {
                let y = y - centre[1];
                let x = x - centre[0] + shear * y;
                // How far inside an edge, from 0 to 1 over its softness.
                let inside = |mm: f64| (0.5 + mm / soft_mm).clamp(0.0, 1.0);
                let pane = inside(half[0] - x.abs()) * inside(half[1] - y.abs());
                pane * inside(x.abs() - bar_mm / 2.0) * inside(y.abs() - bar_mm / 2.0)
            }
            Shape::Wall { direction, half_mm } => {
                (0.5 + (x * direction[0] + y * direction[1]) / (2.0 * half_mm)).clamp(0.0, 1.0)
            }
        }
    }
}

impl Lamp {
    fn at(&self, p: Point) -> f64 {
        let squared = (p[0] - self.centre[0]).powi(2) + (p[1] - self.centre[1]).powi(2);
        let variances = squared / self.radius_mm.powi(2);
        // Nothing is left five radii away.
        if variances > 25.0 { 0.0 } else { self.radiance * (-variances / 2.0).exp() }
    }
}

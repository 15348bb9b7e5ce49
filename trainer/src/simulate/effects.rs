//! What spoils a photograph, and how much of each: a level for every effect.
//!
//! The levels are 0 for none, 1 as in a careful photograph, 2 in an ordinary one, 3 in a careless one, and 4 in one that a
//! person would take again. Each effect draws from a random stream of its own, so that another level of one effect leaves
//! all others as they were.

use clap::ValueEnum;
use rand::distr::weighted::WeightedIndex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The highest level.
pub const WORST: u8 = 4;

/// What can be wrong with a photograph, in the order in which light and signal meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Effect {
    /// The film as a negative. Every level above 0 exchanges bright and dark; higher ones also bend the grays.
    Inversion,
    /// A black or clear border around a film.
    Border,
    /// An unevenly lit light box, and little of it to be seen beside the film.
    Panel,
    /// Clips that hold a film by its upper edge.
    Clips,
    /// Paper labels on a film, or on the film that a screen shows.
    Stickers,
    /// Words written on a film, or on the film that a screen shows.
    Handwriting,
    /// Smudges of fingers.
    Fingerprints,
    /// Light of the room: scattered by everything, and a window or a bright wall reflected.
    Ambient,
    /// Reflected lamps.
    Glare,
    /// Roll, tilt and an off-centre aim of the camera.
    Perspective,
    /// Aberrations of the lens.
    LensBlur,
    /// A lens focused on another distance.
    Defocus,
    /// A camera that moves during the exposure.
    Motion,
    /// A screen's pixel grid against the sensor's.
    Moire,
    /// Light that falls off towards the photograph's corners.
    Vignetting,
    /// An exposure that is too short or too long. If it is too long, bright places are clipped.
    Exposure,
    /// A colour cast.
    WhiteBalance,
    /// Shot and read noise of the sensor.
    Noise,
    /// JPEG coding. Level 0 is no coding at all.
    Jpeg,
}

/// A level, 0 to [`WORST`], for each effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effects([u8; Effect::COUNT]);

impl Effect {
    const COUNT: usize = Effect::Jpeg as usize + 1;

    /// Reads `NAME=LEVEL`, for instance `glare=3`, with names as on the command line.
    ///
    /// # Errors
    /// There is no such effect or level. The message says which there are.
    pub fn at_level(text: &str) -> Result<(Effect, u8), String> {
        let names = || Effect::value_variants().iter().filter_map(|effect| effect.to_possible_value());
        let help = || {
            let names: Vec<String> = names().map(|name| name.get_name().to_string()).collect();
            format!("write NAME=LEVEL, a level of 0 to {WORST} for one of {}", names.join(", "))
        };
        let (name, level) = text.split_once('=').ok_or_else(help)?;
        let effect = Effect::from_str(name, false).map_err(|_| help())?;
        let level = level.parse().ok().filter(|level| *level <= WORST).ok_or_else(help)?;
        Ok((effect, level))
    }
}

impl Effects {
    /// No effect at all.
    pub const NONE: Effects = Effects([0; Effect::COUNT]);

    /// All effects at one level, 0 to [`WORST`] (higher counts as that). Only inversion is off, because the device refuses
    /// a negative as out-of-distribution.
    pub fn all(level: u8) -> Self {
        Effects([level.min(WORST); Effect::COUNT]).with(Effect::Inversion, 0)
    }

    /// Each effect at a level of its own, mostly a mild one. Inversion is off.
    pub fn mixed(seed: u64) -> Self {
        // For levels 0 to 4. With 18 effects, two photographs of five have none at level 4.
        let level = WeightedIndex::new([30, 30, 25, 10, 5]).expect("the weights are positive");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Effects(std::array::from_fn(|_| rng.sample(&level) as u8)).with(Effect::Inversion, 0)
    }

    /// The same effects with one at another level, 0 to [`WORST`] (higher counts as that).
    #[must_use]
    pub fn with(mut self, effect: Effect, level: u8) -> Self {
        self.0[effect as usize] = level.min(WORST);
        self
    }

    /// The level of an effect.
    pub fn level(&self, effect: Effect) -> u8 {
        self.0[effect as usize]
    }
}

/// What decides a photograph's random choices.
pub struct Choices<'a> {
    /// The level of each effect.
    pub effects: &'a Effects,
    /// The seed of all random numbers.
    pub seed: u64,
}

impl Choices<'_> {
    /// The random numbers of an effect.
    pub fn of(&self, effect: Effect) -> ChaCha8Rng {
        self.stream(effect as u64 + 1)
    }

    /// The random numbers of everything that is no effect: how the film is printed, and the room.
    pub fn of_scene(&self) -> ChaCha8Rng {
        self.stream(0)
    }

    /// The random numbers of how the film is held.
    pub fn of_mount(&self) -> ChaCha8Rng {
        self.stream(Effect::COUNT as u64 + 1)
    }

    /// The entry of a table for the level that an effect has. The table has one for each level, 0 to [`WORST`].
    pub fn at<T: Copy>(&self, effect: Effect, by_level: &[T; WORST as usize + 1]) -> T {
        by_level[usize::from(self.effects.level(effect))]
    }

    fn stream(&self, number: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        rng
    }
}

/// A random number, uniform in `range`. Its two ends may be the same.
pub fn between(rng: &mut ChaCha8Rng, range: [f64; 2]) -> f64 {
    range[0] + (range[1] - range[0]) * rng.random::<f64>()
}

//! A film's whole way: picture, film, gate, film space, preprocessing, network, triage.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use image::GrayImage;
use serde::Serialize;
use thiserror::Error;

use crate::bundle::{Bundle, BundleError, Profiles};
use crate::cam::Cam;
use crate::film::{self, Film, Profile};
use crate::film_space::FilmSpace;
use crate::gate::{self, Quality};
use crate::infer::{InferError, Network, Prediction};
use crate::picture;
use crate::preprocess::{self, InputSpec};
use crate::reason::Reason;
use crate::triage::{self, Class, OperatingPoint, Outcome, Probabilities, Rule};

/// Code of a record whose film was fine but whose network failed.
const NETWORK_FAULT: &str = "network_fault";

/// Why a [`Triage`] cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The bundle is unusable.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle is what it claims to be, but its network does not load.
    #[error("model {id}: {source}")]
    Network {
        /// The bundle's id.
        id: String,
        /// What the network lacks.
        source: InferError,
    },
}

/// How films are to be judged.
#[derive(Clone, Debug)]
pub struct Options {
    /// The capture profile; `None` finds it out film by film.
    pub profile: Option<Profile>,
    /// The operating point; `None` takes the bundle's default one of the film's profile.
    pub operating_point: Option<String>,
    /// Threads for the network, at least 1.
    pub threads: usize,
}

impl Default for Options {
    /// Profile found out, the bundle's default operating points, one thread per available processor.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
        Options { profile: None, operating_point: None, threads }
    }
}

/// Which model gave a verdict.
#[derive(Clone, Debug, Serialize)]
pub struct ModelName {
    /// The bundle's id.
    pub id: String,
    /// SHA-256 of the network.
    pub sha256: String,
}

/// What became of one film: the object `--json` prints.
#[derive(Serialize)]
pub struct Record {
    /// The file as named by the caller.
    pub file: String,
    /// The verdict, or that there is none.
    pub outcome: Outcome,
    /// The most probable class, if the network saw the film.
    pub top: Option<Class>,
    /// Calibrated probabilities, if the network saw the film.
    pub probabilities: Option<Probabilities>,
    /// Codes that say why the film was refused or referred.
    pub reasons: Vec<&'static str>,
    /// For each reason, what happened and what to do.
    #[serde(skip)]
    pub advice: Vec<String>,
    /// What went wrong, if the file could not be read or the network failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The gate's measures.
    pub quality: Option<Quality>,
    /// How far the plate is from what chest films look like ([`FilmSpace::distance`]), if it passed the gate.
    pub unfamiliarity: Option<f64>,
    /// The capture profile used.
    pub profile: Option<Profile>,
    /// The operating point used.
    pub operating_point: Option<String>,
    /// Its thresholds.
    #[serde(skip)]
    pub thresholds: Option<OperatingPoint>,
    /// The model used.
    pub model: ModelName,
    /// Where the film lies in the picture.
    pub film: Option<Film>,
    /// Wall-clock milliseconds by stage, those that ran, and `total`.
    pub timings_ms: BTreeMap<&'static str, f64>,
    /// This program's version.
    pub version: &'static str,
}

/// A [`Record`] with what is needed to draw it.
pub struct Assessment {
    /// The outcome.
    pub record: Record,
    /// The plate; the whole frame if the film was refused; nothing if the file was unreadable.
    pub picture: Option<GrayImage>,
    /// The class activation maps, if the network saw the film.
    pub cam: Option<Cam>,
}

/// The device's judgement: a network with the rules to read it.
pub struct Triage {
    network: Network,
    film_space: FilmSpace,
    input: InputSpec,
    model: ModelName,
    wanted: Option<Profile>,
    rules: Profiles<Rule>,
}

impl Triage {
    /// Loads the bundle's network, which takes seconds, and looks the operating points up.
    pub fn new(bundle: &Bundle, options: &Options) -> Result<Triage, SetupError> {
        let manifest = &bundle.manifest;
        let rules = manifest.rules(options.operating_point.as_deref())?;
        let network = Network::load(&bundle.model, manifest.input.size, options.threads)
            .map_err(|source| SetupError::Network { id: manifest.id.clone(), source })?;
        Ok(Triage {
            network,
            film_space: bundle.film_space.clone(),
            input: manifest.input.clone(),
            model: ModelName { id: manifest.id.clone(), sha256: manifest.sha256.clone() },
            wanted: options.profile,
            rules,
        })
    }

    /// Which model judges.
    pub fn model(&self) -> &ModelName {
        &self.model
    }

    /// The network's answer for a plate; the trainer evaluates with this. A plate has at least one pixel.
    pub fn predict(&self, plate: &GrayImage) -> Result<Prediction, InferError> {
        self.network.run(&preprocess::tensor(plate, &self.input))
    }

    /// The rule in force for films of `profile`, for [`triage::decide`].
    pub fn rule(&self, profile: Profile) -> &Rule {
        self.rules.get(profile)
    }

    /// Judges a picture file. Every file gets a record; one that cannot be read is refused with
    /// [`Record::error`].
    pub fn assess_file(&self, path: &Path) -> Assessment {
        let mut clock = Clock::start();
        let file = path.display().to_string();
        match picture::read(path) {
            Ok(frame) => {
                clock.lap("picture");
                self.assess_frame(frame, file, clock)
            }
            Err(error) => {
                clock.lap("picture");
                let mut record = self.fault(file, error.code(), error.to_string());
                record.timings_ms = clock.stop();
                Assessment { record, picture: None, cam: None }
            }
        }
    }

    /// The record of something that should have been a picture file but is not readable as one.
    pub fn fault(&self, file: String, code: &'static str, error: String) -> Record {
        Record {
            file,
            outcome: Outcome::Refused,
            top: None,
            probabilities: None,
            reasons: vec![code],
            advice: vec![error.clone()],
            error: Some(error),
            quality: None,
            unfamiliarity: None,
            profile: self.wanted,
            operating_point: self.wanted.map(|profile| self.rule(profile).name.clone()),
            thresholds: self.wanted.map(|profile| self.rule(profile).point),
            model: self.model.clone(),
            film: None,
            timings_ms: BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Judges a frame from a camera; `origin` stands in the record where a picture's file name stands.
    pub fn assess(&self, frame: GrayImage, origin: String) -> Assessment {
        self.assess_frame(frame, origin, Clock::start())
    }

    /// Finds the film in a frame and looks whether it can be judged.
    fn look(&self, frame: &GrayImage, wanted: Option<Profile>, clock: &mut Clock) -> Look {
        let film::Rectified { plate, film, profile } = film::rectify(frame, wanted);
        clock.lap("film");
        let quality = gate::assess(&plate, &film);
        clock.lap("gate");
        let mut refusals = quality.refusals();
        let unfamiliarity = refusals.is_empty().then(|| self.film_space.distance(&plate));
        if unfamiliarity.is_some() {
            clock.lap("film_space");
        }
        if unfamiliarity.is_some_and(|distance| distance > self.rule(profile).unfamiliar_above) {
            refusals.push(Reason::Unfamiliar);
        }
        Look { plate, film, profile, quality, unfamiliarity, refusals }
    }

    /// A film, or the picture on a screen, for which there is weak evidence only, if what it encloses can be judged; of
    /// two the one that is farther below its profile's threshold of unfamiliarity.
    fn look_closer(&self, frame: &GrayImage, clock: &mut Clock) -> Option<Look> {
        // 0 is a film like many, 1 the threshold; what can be judged has a distance.
        let strangeness = |look: &Look| {
            look.unfamiliarity.map_or(1.0, |distance| distance / self.rule(look.profile).unfamiliar_above)
        };
        [Profile::Film, Profile::Screen]
            .map(|profile| self.look(frame, Some(profile), clock))
            .into_iter()
            .filter(|look| look.film.found && look.refusals.is_empty())
            .min_by(|a, b| strangeness(a).total_cmp(&strangeness(b)))
    }

    fn assess_frame(&self, frame: GrayImage, file: String, mut clock: Clock) -> Assessment {
        let mut look = self.look(&frame, self.wanted, &mut clock);
        if self.wanted.is_none() && look.refusals == [Reason::Unfamiliar] {
            look = self.look_closer(&frame, &mut clock).unwrap_or(look);
        }
        let Look { plate, film, profile, quality, unfamiliarity, refusals } = look;
        let rule = self.rule(profile);
        let mut record = Record {
            file,
            outcome: Outcome::Refused,
            top: None,
            probabilities: None,
            reasons: refusals.iter().map(|reason| reason.code()).collect(),
            advice: refusals.iter().map(ToString::to_string).collect(),
            error: None,
            quality: Some(quality),
            unfamiliarity,
            profile: Some(profile),
            operating_point: Some(rule.name.clone()),
            thresholds: Some(rule.point),
            model: self.model.clone(),
            film: Some(film),
            timings_ms: BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION"),
        };
        if !refusals.is_empty() {
            record.timings_ms = clock.stop();
            return Assessment { record, picture: Some(frame), cam: None };
        }
        drop(frame);

        let tensor = preprocess::tensor(&plate, &self.input);
        clock.lap("preprocess");
        let prediction = self.network.run(&tensor);
        clock.lap("infer");
        let cam = match prediction {
            Ok(prediction) => {
                let verdict = triage::decide(&prediction.logits, rule);
                clock.lap("triage");
                record.outcome = verdict.outcome;
                record.top = Some(verdict.top);
                record.probabilities = Some(verdict.probabilities);
                record.reasons = verdict.reasons.iter().map(|reason| reason.code()).collect();
                record.advice = verdict.reasons.iter().map(ToString::to_string).collect();
                Some(prediction.cam)
            }
            Err(error) => {
                record.reasons = vec![NETWORK_FAULT];
                record.advice = vec![error.to_string()];
                record.error = Some(error.to_string());
                None
            }
        };
        record.timings_ms = clock.stop();
        Assessment { record, picture: Some(plate), cam }
    }
}

/// A film as it was found in a frame, and whether it can be judged.
struct Look {
    plate: GrayImage,
    film: Film,
    profile: Profile,
    quality: Quality,
    /// Distance from the film space; none if the gate refused the plate.
    unfamiliarity: Option<f64>,
    refusals: Vec<Reason>,
}

/// Milliseconds by stage.
struct Clock {
    start: Instant,
    lap: Instant,
    stages: BTreeMap<&'static str, f64>,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Clock { start: now, lap: now, stages: BTreeMap::new() }
    }

    /// Ends the stage `name`, which may come again.
    fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        *self.stages.entry(name).or_default() += milliseconds(now - self.lap);
        self.lap = now;
    }

    fn stop(mut self) -> BTreeMap<&'static str, f64> {
        self.stages.insert("total", milliseconds(self.start.elapsed()));
        self.stages
    }
}

/// To a thousandth.
fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

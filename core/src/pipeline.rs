//! The stages in one place: image file, film, gate, OOD score, preprocessing, network, decision.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use image::GrayImage;
use thiserror::Error;

use crate::bundle::{Bundle, BundleError, Profiles};
use crate::cam::Cam;
use crate::decision::{self, Outcome, Rule};
use crate::film::{self, Outline, Profile};
use crate::gate::{self, Quality};
use crate::image_file;
use crate::network::{Network, NetworkError, Prediction};
use crate::ood::OodModel;
use crate::preprocess::{self, InputSpec};
use crate::reason::Reason;
use crate::record::{ModelName, NETWORK_FAULT, Record};

/// Why a [`Pipeline`] cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The bundle is unusable.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle is what it claims to be, but its network does not load.
    #[error("model {id}: {cause}")]
    Network {
        /// The bundle's id.
        id: String,
        /// What the network lacks.
        cause: NetworkError,
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

/// A [`Record`] with what is needed to draw it.
pub struct Assessment {
    /// The outcome.
    pub record: Record,
    /// The rectified film; the whole frame if the film was refused; nothing if the file was unreadable.
    pub picture: Option<GrayImage>,
    /// The class activation maps, if the network saw the film.
    pub cam: Option<Cam>,
}

/// Everything that judges films: a network with the rules to read its answers.
///
/// ```no_run
/// use std::path::Path;
///
/// use xray_triage_core::bundle::Bundle;
/// use xray_triage_core::pipeline::{Options, Pipeline};
///
/// let bundle = Bundle::load(Path::new("models/densenet121-cbam"))?;
/// let pipeline = Pipeline::new(&bundle, &Options::default())?;
/// let record = pipeline.assess_file(Path::new("film.jpg")).record;
/// match record.network_error() {
///     Some(error) => println!("the model failed: {error}"),
///     None => println!("{} {:?}", record.outcome.headline(), record.probabilities),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pipeline {
    network: Network,
    ood: OodModel,
    input: InputSpec,
    model: ModelName,
    wanted: Option<Profile>,
    rules: Profiles<Rule>,
}

impl Pipeline {
    /// Loads the bundle's network, which takes seconds, and looks the operating points up.
    ///
    /// # Errors
    /// The bundle has no such operating point, or its network does not load.
    pub fn new(bundle: &Bundle, options: &Options) -> Result<Pipeline, SetupError> {
        let manifest = &bundle.manifest;
        let rules = manifest.rules(options.operating_point.as_deref())?;
        let network = Network::load(&bundle.model, manifest.input.size, options.threads)
            .map_err(|cause| SetupError::Network { id: manifest.id.clone(), cause })?;
        Ok(Pipeline {
            network,
            ood: bundle.ood.clone(),
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

    /// The network's answer for a rectified film of at least one pixel. The trainer evaluates with this.
    ///
    /// # Errors
    /// The network fails on this film.
    pub fn predict(&self, film: &GrayImage) -> Result<Prediction, NetworkError> {
        self.network.run(&preprocess::tensor(film, &self.input))
    }

    /// The rule in force for films of `profile`, for [`decision::decide`].
    pub fn rule(&self, profile: Profile) -> &Rule {
        self.rules.get(profile)
    }

    /// Judges a picture file. Every file gets a record; one that cannot be read is refused with
    /// [`Record::error`].
    pub fn assess_file(&self, path: &Path) -> Assessment {
        let mut clock = Clock::start();
        let file = path.display().to_string();
        match image_file::read(path) {
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
            ood_score: None,
            profile: self.wanted,
            operating_point: self.wanted.map(|profile| self.rule(profile).name.clone()),
            thresholds: self.wanted.map(|profile| self.rule(profile).point),
            model: self.model.clone(),
            outline: None,
            timings_ms: BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Judges a frame from a camera; `origin` stands in the record where a picture's file name stands.
    pub fn assess(&self, frame: GrayImage, origin: String) -> Assessment {
        self.assess_frame(frame, origin, Clock::start())
    }

    /// Finds the film in a frame and tells whether it can be judged.
    fn look(&self, frame: &GrayImage, wanted: Option<Profile>, clock: &mut Clock) -> Look {
        let rectified = film::rectify(frame, wanted);
        let has_film = rectified.has_film();
        clock.lap("film");
        let quality = gate::assess(&rectified.film, &rectified.outline);
        clock.lap("gate");
        let mut refusals = match () {
            () if !has_film => no_film(&quality),
            () if rectified.several => vec![Reason::TwoFilms],
            () => quality.refusals(),
        };
        let film::Rectified { film, outline, profile, .. } = rectified;
        let ood_score = refusals.is_empty().then(|| self.ood.score(&film));
        if ood_score.is_some() {
            clock.lap("film_space");
        }
        if ood_score.is_some_and(|score| score > self.rule(profile).ood_above) {
            refusals.push(Reason::OutOfDistribution);
        }
        Look { film, outline, profile, quality, ood_score, refusals }
    }

    /// Looks again for a film, and for the picture on a screen, and takes weaker evidence for each. Returns the one that can
    /// be judged; of two, the one whose OOD score is the smaller share of its profile's threshold.
    fn look_closer(&self, frame: &GrayImage, clock: &mut Clock) -> Option<Look> {
        // 0 is a film like many, 1 the threshold. What can be judged has a score.
        let strangeness = |look: &Look| look.ood_score.map_or(1.0, |score| score / self.rule(look.profile).ood_above);
        [Profile::Film, Profile::Screen]
            .map(|profile| self.look(frame, Some(profile), clock))
            .into_iter()
            .filter(|look| look.outline.found && look.refusals.is_empty())
            .min_by(|a, b| strangeness(a).total_cmp(&strangeness(b)))
    }

    fn assess_frame(&self, frame: GrayImage, file: String, mut clock: Clock) -> Assessment {
        let mut look = self.look(&frame, self.wanted, &mut clock);
        if self.wanted.is_none() && matches!(look.refusals[..], [Reason::OutOfDistribution | Reason::NoFilm]) {
            look = self.look_closer(&frame, &mut clock).unwrap_or(look);
        }
        let Look { film, outline, profile, quality, ood_score, refusals } = look;
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
            ood_score,
            profile: Some(profile),
            operating_point: Some(rule.name.clone()),
            thresholds: Some(rule.point),
            model: self.model.clone(),
            outline: Some(outline),
            timings_ms: BTreeMap::new(),
            version: env!("CARGO_PKG_VERSION"),
        };
        if !refusals.is_empty() {
            record.timings_ms = clock.stop();
            return Assessment { record, picture: Some(frame), cam: None };
        }
        drop(frame);

        let tensor = preprocess::tensor(&film, &self.input);
        clock.lap("preprocess");
        let prediction = self.network.run(&tensor);
        clock.lap("infer");
        let cam = match prediction {
            Ok(prediction) => {
                let verdict = decision::decide(&prediction.logits, rule);
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
        Assessment { record, picture: Some(film), cam }
    }
}

/// Why there is no verdict without a film. Of the frame that was measured in its place, only the light matters.
fn no_film(frame: &Quality) -> Vec<Reason> {
    let light = frame.refusals().into_iter().find(|reason| matches!(reason, Reason::TooDark | Reason::Overexposed));
    [Some(Reason::NoFilm), light].into_iter().flatten().collect()
}

/// A film as it was found in a frame, and whether it can be judged.
struct Look {
    film: GrayImage,
    outline: Outline,
    profile: Profile,
    quality: Quality,
    /// The out-of-distribution score; none if the gate refused the film.
    ood_score: Option<f64>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestGraph, shipped, stored};

    /// A bundle whose network takes the logarithm of the film's inverted gray, which is no number where that is below
    /// zero.
    fn failing_bundle() -> Bundle {
        let weight = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0];
        let graph = TestGraph::new("image", &[1, 3, 32, 32])
            .floats("weight", &[3, 3, 1, 1], &weight)
            .node("Conv", "inverted", &["image", "weight"], &[])
            .node("Log", "cam", &["inverted"], &[])
            .node("GlobalAveragePool", "mean", &["cam"], &[])
            .node("Flatten", "logits", &["mean"], &[])
            .int("axis", 1)
            .output("logits", &[1, 3])
            .output("cam", &[1, 3, 32, 32]);
        let mut bundle = shipped();
        bundle.manifest.input.size = 32;
        Bundle { model: graph.encode().into(), ..bundle }
    }

    #[test]
    fn a_network_that_fails_on_a_good_film_is_told_apart_from_a_refused_film() {
        let pipeline = Pipeline::new(&failing_bundle(), &Options::default()).unwrap();
        let assessment = pipeline.assess(stored("nih_00002102_000"), "good film".into());
        let record = &assessment.record;
        assert_eq!((record.outcome, &record.reasons[..]), (Outcome::Refused, &[NETWORK_FAULT][..]));
        assert!(record.network_error().is_some_and(|words| words.contains("not finite")), "{:?}", record.error);
        assert!(record.probabilities.is_none() && record.top.is_none() && assessment.cam.is_none());
        assert!(record.timings_ms.contains_key("infer"));
    }

    #[test]
    fn there_is_no_verdict_without_a_film() {
        // A lit panel between dark housings; a room that is nearly dark; a film that is not on a light box.
        let panel = GrayImage::from_fn(800, 600, |x, y| {
            image::Luma([if (80..700).contains(&x) { (200 + y / 20 + x / 40) as u8 } else { 20 }])
        });
        let dark = GrayImage::from_pixel(400, 400, image::Luma([3]));
        let film = stored("nih_00002817_010");
        for profile in [None, Some(Profile::Film), Some(Profile::Screen)] {
            let pipeline = Pipeline::new(&failing_bundle(), &Options { profile, ..Options::default() }).unwrap();
            let reasons = |frame: &GrayImage| {
                let record = pipeline.assess(frame.clone(), "frame".into()).record;
                assert_eq!(record.outcome, Outcome::Refused);
                record.reasons
            };
            assert_eq!(reasons(&panel), ["no_film"], "{profile:?}");
            assert_eq!(reasons(&dark), ["no_film", "too_dark"], "{profile:?}");
            assert_eq!(reasons(&film), if profile.is_some() { ["no_film"] } else { [NETWORK_FAULT] }, "{profile:?}");
        }
    }
}

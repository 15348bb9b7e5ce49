//! Views of the training films, and the training target of each view.

use image::GrayImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use xray_triage_core::decision::Class;
use xray_triage_core::preprocess::{self, InputSpec};

use super::augment::{self, Geometry};
use super::example::Example;
use super::sampling;
use super::teacher::Teacher;
use super::{CLASSES, TrainConfig, TrainError};

/// The views of one step, with their training targets.
#[derive(Default)]
pub struct Batch {
    /// The network's input, `[batch, 3, size, size]`.
    pub input: Vec<f32>,
    /// The probabilities to learn, `[batch, classes]`.
    pub target: Vec<f32>,
    /// The label of each view: of the film with the larger share where two are mixed.
    pub labels: Vec<Class>,
    /// The teacher's features, `[batch, features]`; empty without a teacher.
    pub features: Vec<f32>,
    /// The teacher's features at the places of the network's last map, `[batch * cells * cells, features]`; empty where the
    /// teacher's map is not learned.
    pub map: Vec<f32>,
    /// For each view with a lung mask: its place in the batch, and how much of each cell of its activation map is lung
    /// (0..=1), `[cells * cells]`.
    pub lungs: Vec<(usize, Vec<f32>)>,
}

/// One view of a film, as the network sees it, with its training target.
struct View {
    /// The network's input, `[3, size, size]`.
    input: Vec<f32>,
    /// The probabilities to learn.
    target: [f32; 3],
    /// The label, as in [`Batch`].
    label: Class,
    /// The teacher's features; empty without a teacher.
    features: Vec<f32>,
    /// The teacher's features at the places of the network's last map, `[cells * cells, features]`; empty where the
    /// teacher's map is not learned.
    map: Vec<f32>,
    /// How much of each cell of the activation map is lung (0..=1), `[cells * cells]`; `None` without a lung mask.
    lungs: Option<Vec<f32>>,
}

/// Which view of an epoch is meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrawnView {
    /// The film's place in the list of films.
    film: usize,
    /// How many views of the same film come before in the epoch.
    before: usize,
}

/// The views of an epoch in random order. A film may come more than once, or not at all ([`sampling`]).
pub fn order(train: &[Example], config: &TrainConfig, epoch: usize) -> Vec<DrawnView> {
    let mut rng = rng(config.seed, epoch, usize::MAX);
    let order = sampling::draw(train, config, config.views_per_epoch(train.len()), &mut rng);
    let mut drawn = vec![0; train.len()];
    let count = |film: usize| {
        drawn[film] += 1;
        DrawnView { film, before: drawn[film] - 1 }
    };
    order.into_iter().map(count).collect()
}

/// Makes views of an epoch, which is counted from 0.
///
/// # Errors
/// [`TrainError::Teacher`].
pub fn batch(
    train: &[Example],
    drawn: &[DrawnView],
    teacher: Option<&Teacher>,
    config: &TrainConfig,
    epoch: usize,
) -> Result<Batch, TrainError> {
    let views: Result<Vec<View>, TrainError> =
        drawn.par_iter().map(|&drawn| view(train, drawn, teacher, config, epoch)).collect();
    let mut batch = Batch::default();
    for view in views? {
        if let Some(coverage) = view.lungs {
            batch.lungs.push((batch.labels.len(), coverage));
        }
        batch.input.extend(view.input);
        batch.target.extend(view.target);
        batch.labels.push(view.label);
        batch.features.extend(view.features);
        batch.map.extend(view.map);
    }
    Ok(batch)
}

/// Makes one view of an epoch. With the chance of `config.mixup` it is mixed with a view of another film.
fn view(
    train: &[Example],
    DrawnView { film, before }: DrawnView,
    teacher: Option<&Teacher>,
    config: &TrainConfig,
    epoch: usize,
) -> Result<View, TrainError> {
    let spec = InputSpec::imagenet(config.size(epoch));
    // A film that comes again in the epoch has another view.
    let mut rng = rng(config.seed, epoch, before * train.len() + film);
    // The view is fine enough for the network and for the teacher.
    let side = teacher.map_or(spec.size, |teacher| teacher.side().max(spec.size));
    let example = &train[film];
    let (mut picture, geometry) = look(train, example, config, side, &mut rng);
    let mut target = target_of(example.label, config);
    let (mut label, mut lungs) = (example.label, example.lungs.as_ref());
    // Without mixing nothing is drawn, so that views stay what they were.
    if config.mixup > 0.0 && rng.random_bool(config.mixup.into()) {
        let other = &train[rng.random_range(0..train.len())];
        let share = rng.random_range(0.0..1.0f32);
        let (other_picture, _) = look(train, other, config, side, &mut rng);
        augment::mix(&mut picture, &other_picture, share);
        target = mixed(target, target_of(other.label, config), share);
        label = if share > 0.5 { other.label } else { label };
        lungs = None;
    }
    let answer = teacher.map(|teacher| teacher.teach(&picture)).transpose();
    let answer = answer.map_err(|error| TrainError::Teacher { reason: format!("it fails on a view, {error:#}") })?;
    let cells = config.cells(epoch);
    let (mut features, mut map) = (Vec::new(), Vec::new());
    if let Some(answer) = answer {
        target = mixed(target, answer.probabilities, config.teacher_share);
        features = answer.features;
        map = answer.map.filter(|_| config.map_weight > 0.0).map_or(map, |map| map.at_cells(cells));
    }
    let lungs = lungs.map(|lungs| geometry.coverage(lungs, cells));
    Ok(View { input: preprocess::tensor(&picture, &spec), target, label, features, map, lungs })
}

/// A look at a film, and from where: a random one of `side` pixels each way, or the film as it is.
fn look(
    train: &[Example],
    example: &Example,
    config: &TrainConfig,
    side: u32,
    rng: &mut impl Rng,
) -> (GrayImage, Geometry) {
    let picture = seen_picture(example, config.photograph_share, rng);
    if !config.augment {
        return (picture.clone(), Geometry::IDENTITY);
    }
    let mut base = augment::base(picture, side);
    // Where a chance is 0 nothing is drawn, so that views stay what they were.
    if config.borrowed_grays > 0.0 && rng.random_bool(config.borrowed_grays.into()) {
        augment::borrow_grays(&mut base, &train[rng.random_range(0..train.len())].picture);
    }
    if config.coarse > 0.0 && rng.random_bool(config.coarse.into()) {
        base = augment::coarse(&base, rng);
    }
    augment::random_view(&base, side, rng)
}

/// The picture that a view starts from: the film, or with a chance of `photograph_share` one of its photographs.
fn seen_picture<'a>(example: &'a Example, photograph_share: f32, rng: &mut impl Rng) -> &'a GrayImage {
    // Without photographs nothing is drawn, so that views stay what they were.
    match example.photographs.len() {
        count if count > 0 && rng.random_bool(photograph_share.into()) => {
            &example.photographs[rng.random_range(0..count)]
        }
        _ => &example.picture,
    }
}

/// Random numbers that follow from the seed, the epoch and the view's place in it.
fn rng(seed: u64, epoch: usize, index: usize) -> impl Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
    key[16..24].copy_from_slice(&(index as u64).to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The smoothed label as probabilities.
fn target_of(label: Class, config: &TrainConfig) -> [f32; 3] {
    std::array::from_fn(|class| {
        let one_hot = if class == label as usize { 1.0 } else { 0.0 };
        one_hot * (1.0 - config.label_smoothing) + config.label_smoothing / CLASSES as f32
    })
}

/// The mean of two probabilities, of which `other` has the weight `share`, 0..=1.
fn mixed(probabilities: [f32; 3], other: [f32; 3], share: f32) -> [f32; 3] {
    std::array::from_fn(|class| probabilities[class] * (1.0 - share) + other[class] * share)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::model::architecture::Attention;
    use crate::train::Stage;

    use super::*;

    #[test]
    fn balanced_epochs_have_every_class_equally_often() {
        let labels = [(Class::Covid19, 2), (Class::Pneumonia, 9), (Class::Normal, 4)];
        let train: Vec<Example> = labels
            .into_iter()
            .flat_map(|(label, count)| std::iter::repeat_n(label, count))
            .map(|label| Example::new(GrayImage::new(8, 8), label))
            .collect();
        let count = |config: &TrainConfig| {
            let order = order(&train, config, 0);
            Class::ALL.map(|class| order.iter().filter(|film| train[film.film].label == class).count())
        };
        let plain = TrainConfig { balance_classes: false, balance_exponent: 1.0, ..TrainConfig::own(Attention::None) };
        assert_eq!(count(&plain), [2, 9, 4]);
        let balanced = TrainConfig { balance_classes: true, ..plain };
        assert_eq!(count(&balanced), [5, 5, 5]);

        // Films that come again do so in other views.
        let order = order(&train, &balanced, 0);
        let again: Vec<DrawnView> = order.iter().copied().filter(|drawn| drawn.before > 0).collect();
        assert!(!again.is_empty());
        let config = TrainConfig { stages: vec![Stage { size: 32, epochs: 1 }], ..balanced };
        for drawn in again {
            let view = |drawn| view(&train, drawn, None, &config, 0).unwrap().input;
            assert_ne!(view(drawn), view(DrawnView { before: 0, ..drawn }));
        }
    }

    #[test]
    fn views_start_from_photographs_as_often_as_asked() {
        let mut example = Example {
            photographs: vec![GrayImage::new(2, 2), GrayImage::new(3, 3)],
            ..Example::new(GrayImage::new(1, 1), Class::Normal)
        };
        let widths = |example: &Example, share| {
            let mut counts = [0; 3];
            for index in 0..1000 {
                counts[seen_picture(example, share, &mut rng(1, 0, index)).width() as usize - 1] += 1;
            }
            counts
        };
        assert!(
            widths(&example, 0.5)
                .iter()
                .zip([500, 250, 250])
                .all(|(count, expected): (&i32, _)| (count - expected).abs() < 60)
        );
        assert_eq!(widths(&example, 0.0), [1000, 0, 0]);
        example.photographs.clear();
        assert_eq!(widths(&example, 1.0), [1000, 0, 0]);
    }

    #[test]
    fn the_teacher_looks_at_the_very_view_and_mixed_films_have_mixed_targets() {
        let teacher = Teacher::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teacher.onnx")).unwrap();
        let film = |gray, label| {
            let picture = GrayImage::from_pixel(64, 64, image::Luma([gray]));
            Example { lungs: Some(GrayImage::new(1, 1)), ..Example::new(picture, label) }
        };
        let films = [film(0, Class::Covid19), film(255, Class::Normal)];
        let labels_alone = TrainConfig {
            stages: vec![Stage { size: 64, epochs: 1 }],
            label_smoothing: 0.0,
            teacher_share: 0.0,
            augment: false,
            ..TrainConfig::own(Attention::None)
        };
        let drawn = |film| DrawnView { film, before: 0 };
        let look =
            |config: &TrainConfig, film, epoch| view(&films, drawn(film), Some(&teacher), config, epoch).unwrap();
        for (film, gray) in [(0, 0.0), (1, 1.0)] {
            let view = look(&labels_alone, film, 0);
            assert_eq!(view.features, [gray; 3]);
            assert_eq!((view.target, view.lungs.is_some()), ([1.0 - gray, 0.0, gray], true));
        }
        // The teacher's features are the gray, which is the share of the white film.
        let mixed = TrainConfig { mixup: 1.0, ..labels_alone.clone() };
        let views: Vec<View> = (0..20).map(|epoch| look(&mixed, 0, epoch)).collect();
        for view in &views {
            let white = view.features[0];
            assert!((view.target[2] - white).abs() < 3e-3 && view.target[1] == 0.0, "{:?}, gray {white}", view.target);
            assert_eq!(view.label, if view.target[2] > 0.5 { Class::Normal } else { Class::Covid19 });
            assert!(view.lungs.is_none());
        }
        assert!(views.iter().any(|view| (0.2..0.8).contains(&view.target[2])), "none is mixed");

        let taught = TrainConfig { teacher_share: 1.0, ..labels_alone.clone() };
        assert_eq!(look(&taught, 1, 0).target, teacher.teach(&films[1].picture).unwrap().probabilities);
        let with_map = TrainConfig { map_weight: 1.0, ..labels_alone.clone() };
        let places = with_map.cells(0).pow(2);
        let of_all = |config: &TrainConfig| batch(&films, &[0, 1].map(drawn), Some(&teacher), config, 0).unwrap();
        assert_eq!(of_all(&with_map).map.len(), 2 * places * teacher.features());
        assert!(of_all(&labels_alone).map.is_empty());
    }
}

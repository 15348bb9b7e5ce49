//! The shipped bundle's answers to the stored films and photographs, pinned. A change of any stage shows here.

use std::path::Path;

use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::{Class, Outcome};
use xray_triage_core::film::Profile;
use xray_triage_core::pipeline::{Options, Pipeline};

/// Largest difference of a probability. Floating-point sums depend on the processor; the answers themselves do not.
const TOLERANCE: f64 = 0.01;

/// What the bundle `densenet121-cbam-0.4.0` says on x86-64, the profile found out: outcome, probabilities in the order of
/// [`Class::ALL`], and the out-of-distribution score.
const PINNED: [(&str, Profile, Outcome, [f64; 3], f64); 9] = [
    ("film-photo-nih_00002102_000", Profile::Film, Outcome::Normal, [0.03276, 0.03250, 0.93473], 0.04913),
    ("film-photo-nih_00008727_009", Profile::Film, Outcome::Normal, [0.02067, 0.13018, 0.84915], 0.05550),
    ("screen-photo-nih_00001872_004", Profile::Screen, Outcome::Pneumonia, [0.11673, 0.79093, 0.09234], 0.04393),
    ("nih_00001872_004", Profile::Digital, Outcome::Pneumonia, [0.22953, 0.72000, 0.05047], 0.04441),
    ("nih_00002102_000", Profile::Digital, Outcome::Normal, [0.03363, 0.05974, 0.90663], 0.04851),
    ("nih_00002817_010", Profile::Digital, Outcome::Pneumonia, [0.02163, 0.68907, 0.28931], 0.05813),
    ("nih_00003040_000", Profile::Digital, Outcome::Refer, [0.07796, 0.47020, 0.45184], 0.04484),
    ("nih_00005639_003", Profile::Digital, Outcome::Pneumonia, [0.01759, 0.88924, 0.09317], 0.04731),
    ("nih_00008727_009", Profile::Digital, Outcome::Normal, [0.02620, 0.17040, 0.80339], 0.05237),
];

#[test]
fn the_stored_films_have_their_pinned_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let bundle = Bundle::load(&root.join("models/densenet121-cbam")).unwrap();
    let pipeline = Pipeline::new(&bundle, &Options::default()).unwrap();
    for (name, profile, outcome, probabilities, ood_score) in PINNED {
        let record = pipeline.assess_file(&root.join("tests/films").join(format!("{name}.jpg"))).record;
        assert_eq!((record.outcome, record.profile), (outcome, Some(profile)), "{name}: {:?}", record.reasons);
        let found = record.probabilities.unwrap();
        for (class, pinned) in Class::ALL.into_iter().zip(probabilities) {
            let found = found.of(class);
            assert!((found - pinned).abs() < TOLERANCE, "{name}: {} {found} instead of {pinned}", class.label());
        }
        assert!((record.ood_score.unwrap() - ood_score).abs() < TOLERANCE / 10.0, "{name}: {:?}", record.ood_score);
    }
}

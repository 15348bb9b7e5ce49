//! The shipped bundle's answers on the stored films and photographs, pinned.
//!
//! The values are those of `xray-triage triage --json tests/films` with model 0.4.0, by the program as it was before it
//! became three crates, on an x86-64 processor with AVX2.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::Path;

use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::{Class, Outcome};
use xray_triage_core::pipeline::{Options, Pipeline};

/// How far a probability may be from the pinned one: processors sum in different orders, which moves the last digit that
/// is shown.
const TOLERANCE: f64 = 0.01;

/// File, outcome, and the probabilities in the order of [`Class::ALL`].
const PINNED: [(&str, Outcome, [f64; 3]); 9] = [
    ("film-photo-nih_00002102_000", Outcome::Normal, [0.032764326312197785, 0.03250322044928967, 0.9347324532385125]),
    ("film-photo-nih_00008727_009", Outcome::Normal, [0.020667892639374668, 0.1301834086345033, 0.8491486987261221]),
    ("nih_00001872_004", Outcome::Pneumonia, [0.22953151619782705, 0.7199958806232838, 0.05047260317888908]),
    ("nih_00002102_000", Outcome::Normal, [0.03362656237059949, 0.05973920579220345, 0.906634231837197]),
    ("nih_00002817_010", Outcome::Pneumonia, [0.021625549088396593, 0.6890658449616638, 0.2893086059499397]),
    ("nih_00003040_000", Outcome::Refer, [0.0779643648206602, 0.47019870138271186, 0.45183693379662804]),
    ("nih_00005639_003", Outcome::Pneumonia, [0.017585925398920274, 0.8892405362720307, 0.093173538329049]),
    ("nih_00008727_009", Outcome::Normal, [0.02620326672529828, 0.1704031912274954, 0.8033935420472065]),
    (
        "screen-photo-nih_00001872_004",
        Outcome::Pneumonia,
        [0.11673468794191456, 0.790929099646222, 0.09233621241186334],
    ),
];

#[test]
fn the_shipped_bundle_answers_as_before() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let bundle = Bundle::load(&root.join("models/densenet121-cbam")).unwrap();
    assert_eq!(bundle.manifest.id, "densenet121-cbam-0.4.0", "another model has other answers: pin them anew");
    let pipeline = Pipeline::new(&bundle, &Options::default()).unwrap();
    for (name, outcome, pinned) in PINNED {
        let record = pipeline.assess_file(&root.join("tests/films").join(format!("{name}.jpg"))).record;
        assert_eq!(record.outcome, outcome, "{name}: {:?}", record.error);
        let probabilities = record.probabilities.unwrap();
        for class in Class::ALL {
            let (found, pinned) = (probabilities.of(class), pinned[class as usize]);
            println!("{name} {class:?} {found} {}", if found == pinned { "exactly" } else { "differs" });
            assert!((found - pinned).abs() < TOLERANCE, "{name}: {class:?} {found} instead of {pinned}");
        }
    }
}

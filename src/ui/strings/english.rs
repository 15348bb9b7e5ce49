//! The screens' texts in English.
//!
//! The outcomes take their words from [`Outcome`], so that the screen and the command line say the same.

use xray_triage_core::decision::Outcome;

use super::{Strings, Words, words};

/// The English table.
pub static STRINGS: Strings = Strings {
    disclaimer: "RESEARCH USE ONLY - NOT FOR DIAGNOSIS",
    booting: words("STARTING", "The model is being loaded."),
    ready: words("READY", "Lay a film on the light box and press the button."),
    capturing: words("PICTURE", "Do not move the film or the camera."),
    analysing: words("ANALYSING", "Please wait. The film may be taken away."),
    shutting_down: words("STOPPING", "Do not unplug the box yet."),
    off: words("OFF", "The box may be unplugged."),
    help_ready: "Press: take the picture. Hold for 5 s: switch off.",
    help_verdict: "Press: next film. Hold for 1 s: heat map.",
    help_again: "Press: go on.",
    case: "Case",
    model: "Model",
    classes: ["COVID-19", "Pneumonia", "Normal"],
    threshold: "mark: threshold",
    speaks_for: "Map: what speaks for",
    nothing_speaks_for: "No place on the film speaks for",
    least: "nothing",
    half: "half (line)",
    most: "most",
    heat_map_off: "Heat map off",
    covid19: english(Outcome::Covid19),
    pneumonia: english(Outcome::Pneumonia),
    normal: english(Outcome::Normal),
    refer: english(Outcome::Refer),
    refused: english(Outcome::Refused),
    no_film: "No film found. Is the light box on? Lay the whole film on the lit panel.",
    two_films: "More than one film. Take the others off the light box.",
    too_small: "The film is too small in the picture. Move the camera closer.",
    too_dark: "The film is too dark. Switch the light box on, or make it brighter.",
    overexposed: "The picture is too bright. Remove glare, or dim the light box.",
    no_contrast: "Hardly any contrast. Lay a film on the light box and shade it from room light.",
    blurred: "The picture is blurred. Focus on the film and keep the camera still.",
    out_of_distribution: "This does not look like a frontal chest film. Lay it upright and whole. If it is one, a trained reader \
                 must look at it.",
    low_confidence: "No class is probable enough. A trained reader must look at this film.",
    hint_no_film: "No film found. Lay it upright on the lit light box.",
    hint_too_dark: "Too dark: switch the light box on.",
    hint_too_bright: "Too bright: remove glare, or dim the light box.",
    hint_blurred: "Blurred: focus on the film.",
    fault_camera: words("CAMERA FAULT", "The camera gives no picture. Check its cable and plug it in again."),
    fault_storage: words("STORAGE FAULT", "Cases cannot be stored. No film is judged. Make room or replace the card."),
    fault_model: words(
        "MODEL FAULT",
        "The film cannot be judged. Take it again after the restart; if this stays, install the program again.",
    ),
    fault_gpio: words("PANEL FAULT", "The button or the lights do not answer. Check the wires and restart the box."),
    fault_settings: words(
        "SETTINGS FAULT",
        "The settings file cannot be used. No film is judged. Correct the file and restart the box.",
    ),
};

const fn english(outcome: Outcome) -> Words {
    words(outcome.headline(), outcome.meaning())
}

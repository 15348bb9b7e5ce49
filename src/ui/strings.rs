//! Every text of the screens, in each language of the box: this module says which texts there are, and the modules below
//! it hold them, one language each. The command line speaks English and keeps its texts where it prints them.
//!
//! `scripts/fonts` reads the files in `src/ui/strings`: the fonts in `assets/fonts` have Latin-1 and the other characters
//! that stand there.

mod chinese;
mod english;
mod french;
mod portuguese;
mod spanish;

use std::fmt;

use serde::{Deserialize, Serialize};
use xray_triage_core::decision::{Class, Outcome};
use xray_triage_core::reason::Reason;

use crate::ui::status::{Fault, Hint};

/// A language of the screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English, the default.
    #[default]
    #[serde(rename = "en")]
    English,
    /// French.
    #[serde(rename = "fr")]
    French,
    /// Spanish.
    #[serde(rename = "es")]
    Spanish,
    /// Portuguese, as it is written in Brazil.
    #[serde(rename = "pt")]
    Portuguese,
    /// Chinese, in simplified characters.
    #[serde(rename = "zh")]
    Chinese,
}

impl Language {
    /// All languages.
    pub const ALL: [Language; 5] =
        [Language::English, Language::French, Language::Spanish, Language::Portuguese, Language::Chinese];

    /// The ISO 639-1 code, which names the language in the settings.
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::French => "fr",
            Language::Spanish => "es",
            Language::Portuguese => "pt",
            Language::Chinese => "zh",
        }
    }

    /// The texts in this language.
    pub fn strings(self) -> &'static Strings {
        match self {
            Language::English => &english::STRINGS,
            Language::French => &french::STRINGS,
            Language::Spanish => &spanish::STRINGS,
            Language::Portuguese => &portuguese::STRINGS,
            Language::Chinese => &chinese::STRINGS,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A heading in very large type and the sentence below it.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The heading: one or two words in capitals.
    pub heading: &'static str,
    /// The sentence that says what the heading means or what to do.
    pub text: &'static str,
}

/// All texts of the screens in one language.
pub struct Strings {
    /// What the band at the bottom of every screen says.
    pub disclaimer: &'static str,

    /// The screen while the model is being loaded.
    pub booting: Words,
    /// The screen that waits for the button.
    pub ready: Words,
    /// The screen while the picture is being taken.
    pub capturing: Words,
    /// The screen while the film is being judged.
    pub analysing: Words,
    /// The screen while the program is ending.
    pub shutting_down: Words,
    /// The screen after the program has ended.
    pub off: Words,

    /// What the button does while the box is ready.
    pub help_ready: &'static str,
    /// What the button does while a verdict is shown.
    pub help_verdict: &'static str,
    /// What the button does after a refusal or a fault.
    pub help_again: &'static str,

    /// The word before a case's number.
    pub case: &'static str,
    /// The word before a model's id.
    pub model: &'static str,

    /// Names of the classes beside their bars, in the order of [`Class::ALL`].
    classes: [&'static str; 3],
    /// What the mark on the COVID-19 bar is.
    pub threshold: &'static str,
    /// The words above the heat map's legend, before a class.
    pub speaks_for: &'static str,
    /// The words that stand before a class in place of the legend where its heat map is empty.
    pub nothing_speaks_for: &'static str,
    /// The lower end of the legend.
    pub least: &'static str,
    /// The middle of the legend, where the line on the film runs.
    pub half: &'static str,
    /// The upper end of the legend.
    pub most: &'static str,
    /// The words in place of the legend while the heat map is switched off.
    pub heat_map_off: &'static str,

    covid19: Words,
    pneumonia: Words,
    normal: Words,
    refer: Words,
    refused: Words,

    no_film: &'static str,
    two_films: &'static str,
    too_small: &'static str,
    too_dark: &'static str,
    overexposed: &'static str,
    no_contrast: &'static str,
    blurred: &'static str,
    out_of_distribution: &'static str,
    low_confidence: &'static str,

    hint_no_film: &'static str,
    hint_too_dark: &'static str,
    hint_too_bright: &'static str,
    hint_blurred: &'static str,

    fault_camera: Words,
    fault_storage: Words,
    fault_model: Words,
    fault_gpio: Words,
    fault_settings: Words,
}

impl Strings {
    /// The words for an outcome: its name and what it means.
    pub fn outcome(&self, outcome: Outcome) -> Words {
        match outcome {
            Outcome::Covid19 => self.covid19,
            Outcome::Pneumonia => self.pneumonia,
            Outcome::Normal => self.normal,
            Outcome::Refer => self.refer,
            Outcome::Refused => self.refused,
        }
    }

    /// The name of a class.
    pub fn class(&self, class: Class) -> &'static str {
        self.classes[class as usize]
    }

    /// What happened to the film and what to do, by the reason's [code](Reason::code). `None` for a code that is none of
    /// a [`Reason`]: such a record has an error text.
    pub fn reason(&self, code: &str) -> Option<&'static str> {
        let reason = Reason::ALL.into_iter().find(|reason| reason.code() == code)?;
        Some(match reason {
            Reason::NoFilm => self.no_film,
            Reason::TwoFilms => self.two_films,
            Reason::TooSmall => self.too_small,
            Reason::TooDark => self.too_dark,
            Reason::Overexposed => self.overexposed,
            Reason::NoContrast => self.no_contrast,
            Reason::Blurred => self.blurred,
            Reason::OutOfDistribution => self.out_of_distribution,
            Reason::LowConfidence => self.low_confidence,
        })
    }

    /// What the operator should do before pressing the button.
    pub fn hint(&self, hint: Hint) -> &'static str {
        match hint {
            Hint::Loading => self.booting.text,
            Hint::NoFilm => self.hint_no_film,
            Hint::TooDark => self.hint_too_dark,
            Hint::TooBright => self.hint_too_bright,
            Hint::Blurred => self.hint_blurred,
        }
    }

    /// What is broken and what to do about it.
    pub fn fault(&self, fault: Fault) -> Words {
        match fault {
            Fault::Camera => self.fault_camera,
            Fault::Storage => self.fault_storage,
            Fault::Model => self.fault_model,
            Fault::Gpio => self.fault_gpio,
            Fault::Settings => self.fault_settings,
        }
    }
}

const fn words(heading: &'static str, text: &'static str) -> Words {
    Words { heading, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_goes_by_its_code() {
        for language in Language::ALL {
            assert_eq!(serde_json::to_string(&language).unwrap(), format!("{:?}", language.code()));
        }
    }

    #[test]
    fn every_reason_has_a_text_in_every_language() {
        for language in Language::ALL {
            for reason in Reason::ALL {
                assert!(language.strings().reason(reason.code()).is_some(), "{language} {reason:?}");
            }
            assert_eq!(language.strings().reason("network_fault"), None);
        }
    }
}

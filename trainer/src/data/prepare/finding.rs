//! What a source says of a film, in the data set's terms: its class, or why it is left out. Nothing is guessed: a film
//! whose source does not say plainly which of the three classes it is has none.

use std::fmt;

use serde::{Serialize, Serializer};
use xray_triage_core::decision::Class;

/// Why a film is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// CT or another modality.
    NotRadiograph,
    /// Lateral, oblique, decubitus.
    NotFrontal,
    /// The collection has views of all kinds and does not say which this is.
    ViewNotStated,
    NoLabel,
    OtherFinding,
    PictureMissing,
    PictureUnreadable,
    SamePixels,
    NearDuplicate,
    /// The same film has different labels; nothing tells which is right.
    LabelsContradict,
    /// The film's patient is in another split of an imported manifest.
    PatientInOtherSplit,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Reason::NotRadiograph => "not a radiograph",
            Reason::NotFrontal => "not a frontal view",
            Reason::ViewNotStated => "view not stated",
            Reason::NoLabel => "no label in source",
            Reason::OtherFinding => "finding outside the three classes",
            Reason::PictureMissing => "picture missing",
            Reason::PictureUnreadable => "picture unreadable",
            Reason::SamePixels => "same pixels as another film",
            Reason::NearDuplicate => "near duplicate of another film",
            Reason::LabelsContradict => "duplicates with different labels",
            Reason::PatientInOtherSplit => "patient is in another split",
        })
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Words that name an infectious or aspiration pneumonia in the three COVID-19 collections, in both spellings that
/// they were published in: `Streptococcus` and `Pneumonia/Bacterial/Streptococcus`. Lipoid pneumonia is not among
/// them, nor is tuberculosis.
const PNEUMONIA_WORDS: [&str; 23] = [
    "pneumonia",
    "viral",
    "bacterial",
    "fungal",
    "aspiration",
    "aspergillosis",
    "chlamydophila",
    "e.coli",
    "h1n1",
    "herpes",
    "influenza",
    "klebsiella",
    "legionella",
    "mers-cov",
    "mrsa",
    "mycoplasma",
    "nocardia",
    "pneumocystis",
    "sars",
    "staphylococcus",
    "streptococcus",
    "varicella",
    "covid-19",
];

/// A consequence that may stand beside a cause and says nothing of the class by itself.
const CONSEQUENCE: &str = "ards";

/// The class of a finding in the COVID-19 collections (Cohen, Figure 1, Actualmed): words between slashes, commas and
/// blanks, each of which must be known.
pub fn case_class(finding: &str) -> Result<Class, Reason> {
    let finding = finding.trim().to_lowercase();
    match finding.as_str() {
        "" | "todo" | "unknown" => return Err(Reason::NoLabel),
        "no finding" => return Ok(Class::Normal),
        _ => {}
    }
    let words: Vec<&str> = finding.split(['/', ',', ' ']).filter(|word| !word.is_empty()).collect();
    let pneumonia = |word: &&str| PNEUMONIA_WORDS.contains(word);
    if !words.iter().all(|word| pneumonia(word) || *word == CONSEQUENCE) || !words.iter().any(pneumonia) {
        return Err(Reason::OtherFinding);
    }
    Ok(if words.contains(&"covid-19") { Class::Covid19 } else { Class::Pneumonia })
}

/// The class of NIH's `Finding Labels`, several of which stand between bars. Other findings may go with a pneumonia.
pub fn nih_class(labels: &str) -> Result<Class, Reason> {
    match labels {
        "" => Err(Reason::NoLabel),
        "No Finding" => Ok(Class::Normal),
        _ if labels.split('|').any(|label| label == "Pneumonia") => Ok(Class::Pneumonia),
        _ => Err(Reason::OtherFinding),
    }
}

/// The class of RSNA's detailed class. `Lung Opacity` is the challenge's word for evidence of pneumonia; the films are
/// older than COVID-19.
pub fn rsna_class(class: &str) -> Result<Class, Reason> {
    match class {
        "" => Err(Reason::NoLabel),
        "Normal" => Ok(Class::Normal),
        "Lung Opacity" => Ok(Class::Pneumonia),
        _ => Err(Reason::OtherFinding),
    }
}

/// What a manifest has for a view that no one stated.
pub const UNKNOWN_VIEW: &str = "unknown";

/// Whether a view is frontal; an unstated one may be.
pub fn is_frontal(view: &str) -> bool {
    const FRONTAL: [&str; 7] = ["pa", "ap", "ap supine", "aps", "ap erect", "ap semi erect", UNKNOWN_VIEW];
    FRONTAL.contains(&view.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_covid_collections() {
        for covid in ["COVID-19", "COVID-19, ARDS", "Pneumonia/Viral/COVID-19"] {
            assert_eq!(case_class(covid), Ok(Class::Covid19), "{covid}");
        }
        for pneumonia in [
            "Pneumonia",
            "SARS",
            "Mycoplasma Bacterial Pneumonia",
            "Pneumonia/Bacterial/E.Coli",
            "Pneumonia/Viral/Herpes ",
        ] {
            assert_eq!(case_class(pneumonia), Ok(Class::Pneumonia), "{pneumonia}");
        }
        for normal in ["No Finding", "No finding"] {
            assert_eq!(case_class(normal), Ok(Class::Normal), "{normal}");
        }
    }

    #[test]
    fn what_is_not_plainly_a_class_is_left_out() {
        for unlabelled in ["", " ", "todo", "Unknown"] {
            assert_eq!(case_class(unlabelled), Err(Reason::NoLabel), "{unlabelled}");
        }
        for other in ["ARDS", "Pneumonia/Lipoid", "Tuberculosis", "no COVID-19", "COVID-19 excluded"] {
            assert_eq!(case_class(other), Err(Reason::OtherFinding), "{other}");
        }
    }

    #[test]
    fn nih_and_rsna_words() {
        assert_eq!(nih_class("Effusion|Pneumonia"), Ok(Class::Pneumonia));
        assert_eq!(nih_class("No Finding"), Ok(Class::Normal));
        assert_eq!(nih_class("Infiltration"), Err(Reason::OtherFinding));
        assert_eq!(rsna_class("Lung Opacity"), Ok(Class::Pneumonia));
        assert_eq!(rsna_class("Normal"), Ok(Class::Normal));
        assert_eq!(rsna_class("No Lung Opacity / Not Normal"), Err(Reason::OtherFinding));
    }

    #[test]
    fn frontal_views() {
        assert!(is_frontal("PA") && is_frontal("AP Supine") && is_frontal(UNKNOWN_VIEW));
        assert!(!is_frontal("L") && !is_frontal("Axial") && !is_frontal("LL"));
    }
}

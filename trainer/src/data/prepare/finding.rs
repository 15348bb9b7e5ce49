//! What a source says of a film, in the data set's terms: its class or why it is left out, its view, its patient's age.
//!
//! Nothing is guessed. A film whose source does not say plainly which of the three classes it is has none.

use xray_triage_core::decision::Class;

use crate::data::dataset::Label;

use super::dropped::Reason;

/// Words that name an infectious or aspiration pneumonia in the three COVID-19 collections. They fit both spellings in
/// which the collections were published: `Streptococcus` and `Pneumonia/Bacterial/Streptococcus`. Lipoid pneumonia is
/// not among them, nor is tuberculosis.
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

/// A consequence of pneumonia that may stand beside a cause. It says nothing of the class by itself.
const CONSEQUENCE: &str = "ards";

/// The class of a finding in the COVID-19 collections (Cohen, Figure 1, Actualmed). The finding is a list of words with
/// slashes, commas or blanks between them, and each word must be known.
///
/// # Errors
/// [`Reason::NoLabel`] if the finding is not stated, [`Reason::OtherFinding`] if it is none of the three classes.
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

/// The class of NIH's `Finding Labels`, which are several words with bars between them. Other findings may go with a
/// pneumonia.
///
/// # Errors
/// [`Reason::NoLabel`] if there is no word, [`Reason::OtherFinding`] if it is none of the three classes.
pub fn nih_class(labels: &str) -> Result<Class, Reason> {
    match labels {
        "" => Err(Reason::NoLabel),
        "No Finding" => Ok(Class::Normal),
        _ if labels.split('|').any(|label| label == "Pneumonia") => Ok(Class::Pneumonia),
        _ => Err(Reason::OtherFinding),
    }
}

/// What RSNA's detailed class says of a film, and the reading ([`READINGS`](crate::data::dataset::READINGS)) that it is.
/// `Lung Opacity` is the challenge's word for evidence of pneumonia. The films are older than COVID-19.
///
/// # Errors
/// [`Reason::NoLabel`] if there is no word, [`Reason::OtherFinding`] if the challenge has no such word.
pub fn rsna_label(class: &str) -> Result<(Label, &'static str), Reason> {
    match class {
        "" => Err(Reason::NoLabel),
        "Normal" => Ok((Label::Class(Class::Normal), "normal")),
        "Lung Opacity" => Ok((Label::Class(Class::Pneumonia), "lung_opacity")),
        "No Lung Opacity / Not Normal" => Ok((Label::Other, "abnormal_no_opacity")),
        _ => Err(Reason::OtherFinding),
    }
}

/// The column `view` of a film whose source states no view.
pub const UNKNOWN_VIEW: &str = "unknown";

/// Whether a view is frontal. A view that is not stated may be, so it counts.
pub fn is_frontal(view: &str) -> bool {
    const FRONTAL: [&str; 7] = ["pa", "ap", "ap supine", "aps", "ap erect", "ap semi erect", UNKNOWN_VIEW];
    FRONTAL.contains(&view.to_lowercase().as_str())
}

/// An age in years without the form that DICOM and the first NIH table give it: 58 of `058Y`. Other text stays.
pub fn years(age: &str) -> String {
    match age.strip_suffix('Y').unwrap_or(age).parse::<u16>() {
        Ok(years) => years.to_string(),
        Err(_) => age.into(),
    }
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
        assert_eq!(rsna_label("Lung Opacity"), Ok((Class::Pneumonia.into(), "lung_opacity")));
        assert_eq!(rsna_label("Normal"), Ok((Class::Normal.into(), "normal")));
        assert_eq!(rsna_label("No Lung Opacity / Not Normal"), Ok((Label::Other, "abnormal_no_opacity")));
        assert_eq!(rsna_label("Nodule"), Err(Reason::OtherFinding));
    }

    #[test]
    fn frontal_views() {
        assert!(is_frontal("PA") && is_frontal("AP Supine") && is_frontal(UNKNOWN_VIEW));
        assert!(!is_frontal("L") && !is_frontal("Axial") && !is_frontal("LL"));
    }
}

//! The Figure 1 collection of A. Chung, <https://github.com/agchung/Figure1-COVID-chestxray-dataset>.

use std::path::Path;

use crate::data::prepare::error::PrepareError;

use super::cases::{self, CaseCollection};
use super::listing::Listing;

/// The collection's name in manifests and ids.
pub const NAME: &str = "figure1";

const COLLECTION: CaseCollection = CaseCollection {
    name: NAME,
    picture_column: None,
    frontal_by_default: true,
    protocol_view: None,
    license: "none stated; research purposes only (repository README)",
    url: "https://github.com/agchung/Figure1-COVID-chestxray-dataset",
};

/// Lists the collection's films.
pub fn list(root: &Path) -> Result<Listing, PrepareError> {
    cases::list(root, &COLLECTION)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::data::prepare::dropped::Reason;
    use crate::data::prepare::sources::Source;
    use crate::data::prepare::sources::tests::{summary, write};

    #[test]
    fn figure1_names_pictures_by_patient_and_unlabelled_films_are_not_covid() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("metadata.csv"),
            "patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,notes\n\
             COVID-00003a,8,M,28,COVID-19,,39.1,90,AP erect,X-ray,\n\
             COVID-00003b,8,M,28,COVID-19,,39.1,90,,X-ray,\n\
             COVID-00005,,,,,,,,,X-ray,\n\
             COVID-00006,,,,No finding,,,,,X-ray,\n",
        );
        for name in ["COVID-00003a.jpg", "COVID-00003b.jpeg", "COVID-00005.jpg", "COVID-00006.png"] {
            write(path.join("images").join(name), "");
        }
        let (films, dropped) = summary(Source::Figure1(path.into()));
        assert_eq!(
            films,
            [
                ["figure1_00003a", "figure1_COVID-00003", "covid19", "seed"],
                ["figure1_00003b", "figure1_COVID-00003", "covid19", "seed"],
                ["figure1_00006", "figure1_COVID-00006", "normal", "extra"],
            ]
        );
        assert_eq!(dropped, [("COVID-00005.jpg".to_owned(), Reason::NoLabel)]);
    }

    #[test]
    fn a_letter_that_is_not_utf_8_costs_no_table() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(path.join("images/COVID-00003a.jpg"), "");
        // Latin-1's degree sign.
        let table = b"patientid,finding,view,modality,notes \xB0\nCOVID-00003a,COVID-19,PA,X-ray,39.1 \xB0C\n";
        fs::write(path.join("metadata.csv"), table).unwrap();
        let (films, dropped) = summary(Source::Figure1(path.into()));
        assert_eq!(films, [["figure1_00003a", "figure1_COVID-00003", "covid19", "seed"]]);
        assert!(dropped.is_empty(), "{dropped:?}");
    }
}

//! The Actualmed collection of A. Chung, <https://github.com/agchung/Actualmed-COVID-chestxray-dataset>.

use std::path::Path;

use crate::data::prepare::error::PrepareError;

use super::cases::{self, CaseCollection};
use super::listing::Listing;

/// The collection's name in manifests and ids.
pub const NAME: &str = "actualmed";

const COLLECTION: CaseCollection = CaseCollection {
    name: NAME,
    picture_column: Some("imagename"),
    frontal_by_default: true,
    protocol_view: None,
    license: "none stated; research purposes only (repository README)",
    url: "https://github.com/agchung/Actualmed-COVID-chestxray-dataset",
};

/// Lists the collection's films.
pub fn list(root: &Path) -> Result<Listing, PrepareError> {
    cases::list(root, &COLLECTION)
}

#[cfg(test)]
mod tests {
    use crate::data::prepare::dropped::Reason;
    use crate::data::prepare::sources::Source;
    use crate::data::prepare::sources::tests::{summary, write};

    #[test]
    fn actualmed_names_pictures_in_its_own_column() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("metadata.csv"),
            "patientid,finding,view,modality,imagename\n\
             ANON1,COVID-19,AP,X-ray,one.png\n\
             ANON1,No finding,PA,X-ray,two.png\n\
             ANON2,,PA,X-ray,three.png\n",
        );
        for name in ["one.png", "two.png", "three.png"] {
            write(path.join("images").join(name), "");
        }
        let (films, dropped) = summary(Source::Actualmed(path.into()));
        let labels: Vec<&str> = films.iter().map(|[_, _, label, _]| label.as_str()).collect();
        assert_eq!(labels, ["covid19", "normal"]);
        assert_eq!(dropped, [("three.png".to_owned(), Reason::NoLabel)]);
    }
}

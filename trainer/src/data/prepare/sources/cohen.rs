//! The COVID-19 image data collection of J. P. Cohen et al., <https://github.com/ieee8023/covid-chestxray-dataset>.

use std::path::Path;

use crate::data::prepare::error::PrepareError;

use super::cases::{self, CaseCollection};
use super::listing::Listing;

/// The collection's name in manifests and ids.
pub const NAME: &str = "cohen";

const COLLECTION: CaseCollection = CaseCollection {
    name: NAME,
    picture_column: Some("filename"),
    frontal_by_default: false,
    // The paper took the COVID-19 films in PA view.
    protocol_view: Some("PA"),
    license: "unspecified",
    url: "https://github.com/ieee8023/covid-chestxray-dataset",
};

/// Lists the collection's films.
pub fn list(root: &Path) -> Result<Listing, PrepareError> {
    cases::list(root, &COLLECTION)
}

#[cfg(test)]
mod tests {
    use crate::data::prepare::dropped::Reason;
    use crate::data::prepare::sources::tests::{summary, write};
    use crate::data::prepare::sources::{Source, short_hash};

    #[test]
    fn cohen_takes_frontal_radiographs_with_a_class() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        write(
            path.join("metadata.csv"),
            "Patientid,offset,sex,age,finding,view,modality,folder,filename,doi,url,license\n\
             2,0,M,65,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.jpg,10.1/x,https://x,CC BY\n\
             2,3,M,65,COVID-19,AP Supine,X-ray,images,b.jpg,,,\n\
             3,0,F,40,COVID-19,L,X-ray,images,c.jpg,,,\n\
             3,0,F,40,COVID-19,Axial,CT,volumes,d.nii.gz,,,\n\
             4,0,F,40,Tuberculosis,PA,X-ray,images,e.jpg,,,\n\
             5,0,F,40,todo,PA,X-ray,images,f.jpg,,,\n\
             6,0,F,40,Pneumonia,PA,X-ray,images,gone.jpg,,,\n\
             7,0,F,40,Pneumonia,,X-ray,images,a.jpg,,,\n",
        );
        for name in ["a.jpg", "b.jpg"] {
            write(path.join("images").join(name), "");
        }
        let (films, dropped) = summary(Source::Cohen(path.into()));
        let film = |name: &str, protocol: &str| {
            [format!("cohen_{}", short_hash(name)), "cohen_2".into(), "covid19".into(), protocol.into()]
        };
        assert_eq!(films, [film("a.jpg", "seed"), film("b.jpg", "extra")]);
        let reasons: Vec<Reason> = dropped.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(
            reasons,
            [
                Reason::NotFrontal,
                Reason::NotRadiograph,
                Reason::OtherFinding,
                Reason::NoLabel,
                Reason::PictureMissing,
                Reason::ViewNotStated,
            ]
        );
        let row = &Source::Cohen(path.into()).list(&[]).unwrap().candidates[0].row;
        assert_eq!((row.license.as_str(), row.url_or_doi.as_str()), ("CC BY", "https://x"));
    }
}

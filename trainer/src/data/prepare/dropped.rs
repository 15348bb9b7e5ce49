//! Films that are left out of a data set, and why. They are the rows of `dropped.csv`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::data::dataset::Row;

/// Why a film is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The picture is a CT or comes from another modality.
    NotRadiograph,
    /// The view is lateral, oblique or decubitus.
    NotFrontal,
    /// The collection has views of all kinds and does not say which this is.
    ViewNotStated,
    /// The source says nothing about the finding.
    NoLabel,
    /// The source names a finding that is none of the three classes.
    OtherFinding,
    /// The source's table names a picture that is not there.
    PictureMissing,
    /// The picture file cannot be decoded.
    PictureUnreadable,
    /// Another film has the same pixels.
    SamePixels,
    /// The picture is a scaled, recompressed or re-toned copy of another film.
    NearDuplicate,
    /// The same film has different labels. Nothing tells which is right.
    LabelsContradict,
    /// The same film was read differently.
    ReadingsDisagree,
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
            Reason::ReadingsDisagree => "readers disagree",
            Reason::PatientInOtherSplit => "patient is in another split",
        })
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A film that is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// The collection the film comes from.
    pub source: String,
    /// The film's file in its source.
    pub origin_name: String,
    /// The source's own words for what the film shows.
    pub finding: String,
    /// Why the film is left out.
    pub reason: Reason,
    /// What belongs to the reason: the view, the error or the other film.
    pub detail: String,
}

impl Dropped {
    /// Leaves out the film of a row.
    pub fn new(row: &Row, reason: Reason, detail: impl Into<String>) -> Self {
        Dropped {
            source: row.source.clone(),
            origin_name: row.origin_name.clone(),
            finding: row.finding.clone(),
            reason,
            detail: detail.into(),
        }
    }
}

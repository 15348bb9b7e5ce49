//! Why a film got no verdict, and what the operator can do about it.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a film was refused or referred. Serialises as its [code](Reason::code); [`Display`](fmt::Display) says what
/// happened and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no film in the picture, or none that can be told from what is around it.
    NoFilm,
    /// More than one film is in the picture.
    TwoFilms,
    /// Too few pixels on the film.
    TooSmall,
    /// The film is too dark to show the lungs.
    TooDark,
    /// Large parts of the film are burnt out to white.
    Overexposed,
    /// The film shows too few grays.
    NoContrast,
    /// The film is out of focus, or the camera moved.
    Blurred,
    /// The picture does not look like an upright frontal chest film.
    OutOfDistribution,
    /// No class is probable enough (the verdict is *refer*).
    LowConfidence,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 9] = [
        Reason::NoFilm,
        Reason::TwoFilms,
        Reason::TooSmall,
        Reason::TooDark,
        Reason::Overexposed,
        Reason::NoContrast,
        Reason::Blurred,
        Reason::OutOfDistribution,
        Reason::LowConfidence,
    ];

    /// The stable name used in `--json`, the case log and scripts.
    pub fn code(self) -> &'static str {
        match self {
            Reason::NoFilm => "no_film",
            Reason::TwoFilms => "two_films",
            Reason::TooSmall => "too_small",
            Reason::TooDark => "too_dark",
            Reason::Overexposed => "overexposed",
            Reason::NoContrast => "no_contrast",
            Reason::Blurred => "blurred",
            Reason::OutOfDistribution => "unfamiliar",
            Reason::LowConfidence => "low_confidence",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NoFilm => {
                "No film was found. Check that the light box or screen is on and that the whole film is in view with some \
                 of the lit panel around it, then photograph again."
            }
            Reason::TwoFilms => {
                "More than one film is in the picture. Take all others off the light box, and photograph one film at a time."
            }
            Reason::TooSmall => {
                "The film is too small in the picture. Move the camera closer until the film fills the frame."
            }
            Reason::TooDark => {
                "The film is too dark. Switch the light box on or make it brighter, and photograph again."
            }
            Reason::Overexposed => {
                "The picture is overexposed. Lower the exposure or the light box, remove glare, and photograph again."
            }
            Reason::NoContrast => {
                "The picture shows hardly any contrast. Check that a film lies on the light box and that room light \
                 does not wash it out, then photograph again."
            }
            Reason::Blurred => "The picture is blurred. Focus on the film, steady the camera, and photograph again.",
            Reason::OutOfDistribution => {
                "This does not look like a frontal chest film. Check that it is one, that it is upright and whole, and \
                 that nothing else fills the picture, then photograph again. If it is a chest film, a trained reader \
                 must look at it."
            }
            Reason::LowConfidence => {
                "No class is probable enough for a verdict. A trained reader must look at this film."
            }
        })
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialises_as_its_code() {
        assert_eq!(serde_json::to_string(&Reason::NoContrast).unwrap(), "\"no_contrast\"");
    }
}

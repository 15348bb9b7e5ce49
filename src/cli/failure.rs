//! What ends a command without a result.

use std::io;
use std::path::PathBuf;

use xray_triage_core::bundle::BundleError;
use xray_triage_core::pipeline::SetupError;

use crate::appliance::ApplianceError;
use crate::camera::CameraError;
use crate::caselog::CaseLogError;
use crate::config::ConfigError;

/// What ends the program with exit code 2. The message has the words of its cause, so it is printed alone and not with a
/// chain of causes.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The result cannot be printed.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The model cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The case log cannot be used.
    #[error(transparent)]
    CaseLog(#[from] CaseLogError),
    /// The camera or a recording cannot be used.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The box has a fault that only a restart mends.
    #[error("the box cannot go on: {0}")]
    Appliance(ApplianceError),
    /// A picture that `--cam` asks for cannot be written.
    #[error("cannot write {}: {cause}. Choose another place with --cam", path.display())]
    Cam {
        /// The picture, or the folder for it.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A picture that `--cam` asks for would take the place of a film that is to be judged.
    #[error("--cam {} would overwrite a film. Choose another name", .0.display())]
    CamOverFilm(PathBuf),
    /// The file that stands in for the button cannot be read.
    #[error(
        "cannot simulate the button with {}: {cause}. Name a file with a press of the button a line, or a named pipe",
        path.display()
    )]
    SimulatedButton {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The pictures that stand in for the camera cannot be listed.
    #[error(
        "cannot simulate the camera with {}: {cause}. Name a folder of pictures, a picture, or a recording",
        path.display()
    )]
    SimulatedCamera {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The folder that stands in for the camera has no pictures.
    #[error(
        "cannot simulate the camera with {}: it has no .jpg, .jpeg or .png file. Name a folder of pictures, a picture, or \
         a recording",
        .0.display()
    )]
    NoPictures(PathBuf),
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        Failure::Setup(error.into())
    }
}

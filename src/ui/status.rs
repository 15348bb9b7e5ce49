//! What the box tells its operator beside a film's outcome: hints before a picture is taken, and faults.

/// What the operator can better before a picture is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The model is not loaded yet; a capture will wait for it.
    Loading,
    NoFilm,
    TooDark,
    TooBright,
    Blurred,
}

/// A part of the box that does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Camera,
    Storage,
    Model,
    Panel,
    /// The settings file cannot be used.
    Settings,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] = [Fault::Camera, Fault::Storage, Fault::Model, Fault::Panel, Fault::Settings];

    /// The stable name, which stands before the error's own words on the screen.
    pub fn code(self) -> &'static str {
        match self {
            Fault::Camera => "camera_fault",
            Fault::Storage => "storage_fault",
            Fault::Model => "model_fault",
            Fault::Panel => "panel_fault",
            Fault::Settings => "settings_fault",
        }
    }

    /// Whether nothing but a restart of the program brings the part back: a press of the button does not.
    pub fn needs_restart(self) -> bool {
        matches!(self, Fault::Model | Fault::Panel | Fault::Settings)
    }
}

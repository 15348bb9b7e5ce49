//! What the box tells its operator beside a film's outcome: hints before a picture is taken, and faults of the box.

/// What the operator can improve before a picture is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The model is not loaded yet; a film taken now waits for it.
    Loading,
    /// No film was found on the light box.
    NoFilm,
    /// The film is too dark.
    TooDark,
    /// The film is too bright.
    TooBright,
    /// The film is out of focus.
    Blurred,
}

/// A part of the box that does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The camera gives no picture.
    Camera,
    /// Cases cannot be stored.
    Storage,
    /// The model does not load, or its network failed on a film.
    Model,
    /// The button cannot be read, or the LEDs cannot be set.
    Gpio,
    /// The settings file cannot be used.
    Settings,
}

impl Fault {
    /// All faults.
    pub const ALL: [Fault; 5] = [Fault::Camera, Fault::Storage, Fault::Model, Fault::Gpio, Fault::Settings];

    /// The stable name, which stands before the error's own words on the screen. The one of [`Fault::Gpio`] is
    /// `panel_fault`, as the settings' section for button and LEDs is `[panel]`.
    pub fn code(self) -> &'static str {
        match self {
            Fault::Camera => "camera_fault",
            Fault::Storage => "storage_fault",
            Fault::Model => "model_fault",
            Fault::Gpio => "panel_fault",
            Fault::Settings => "settings_fault",
        }
    }

    /// Whether only a restart of the program mends the fault: a press of the button does not.
    pub fn needs_restart(self) -> bool {
        matches!(self, Fault::Model | Fault::Gpio | Fault::Settings)
    }
}

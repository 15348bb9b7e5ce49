//! What the tests of several modules of the box need.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use image::{GrayImage, Luma};

use crate::camera::{Camera, CameraError};
use crate::display::NoDisplay;
use crate::gpio::{Button, GpioError, Leds, Press};
use crate::ui::status::Fault;
use crate::ui::strings::Language;

use super::machine::Event;
use super::shared::{Shared, SharedData};
use super::{Behaviour, Hardware};

pub fn behaviour() -> Behaviour {
    Behaviour {
        language: Language::default(),
        preview_fps: 30.0,
        camera_timeout: Duration::from_secs(3),
        profile: None,
        reserve_mb: 0,
        model: String::new(),
        settings_fault: None,
    }
}

/// Waits until something holds of the shared data.
pub fn wait_until(shared: &Shared, holds: impl Fn(&mut SharedData) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds(&mut shared.lock()) {
        assert!(Instant::now() < end, "it did not come to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn next_event(shared: &Shared) -> Option<Event> {
    shared.events.pop(Instant::now() + Duration::from_secs(20))
}

pub fn fault_message(shared: &Shared, fault: Fault) -> String {
    shared.lock().messages.of(fault).clone()
}

/// A camera whose first grab panics. The gray level of each later frame is the number of grabs before it.
#[derive(Clone, Copy)]
pub struct PanickingCamera<'a> {
    pub grabs: &'a AtomicU32,
    pub idle: &'a AtomicU32,
}

impl Camera for PanickingCamera<'_> {
    fn grab(&mut self, frame: &mut GrayImage) -> Result<(), CameraError> {
        let grabs = self.grabs.fetch_add(1, Ordering::SeqCst);
        assert!(grabs > 0, "a new colour space");
        *frame = GrayImage::from_pixel(64, 48, Luma([grabs as u8]));
        Ok(())
    }

    fn origin(&self) -> String {
        "/dev/panicking".into()
    }

    fn idle(&mut self) {
        self.idle.fetch_add(1, Ordering::SeqCst);
    }
}

/// A button and LEDs that do not work.
pub struct Broken;

impl Button for Broken {
    fn wait(&mut self, _patience: Duration) -> Result<Option<Press>, GpioError> {
        panic!("no pins")
    }
}

impl Leds for Broken {
    fn set(&mut self, _ready: bool, _attention: bool) -> Result<(), GpioError> {
        Err(GpioError::SetLed { line: 27, error: "no pins".into() })
    }
}

/// Hardware of which nothing works.
pub fn broken_hardware() -> Hardware {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    Hardware {
        camera: Box::new(PanickingCamera { grabs: &COUNT, idle: &COUNT }),
        display: Box::new(NoDisplay),
        button: Box::new(Broken),
        leds: Box::new(Broken),
    }
}

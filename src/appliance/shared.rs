//! What the threads of the box share: the event queue, and the places where frames and assessments are handed over.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use image::GrayImage;
use jiff::Timestamp;
use xray_triage_core::panics::catch;
use xray_triage_core::pipeline::Assessment;

use crate::ui::status::{Fault, Hint};

use super::machine::Event;
use super::queue::EventQueue;

/// How long a thread waits at most before it looks whether the box is ending.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// What the threads share.
#[derive(Default)]
pub struct Shared {
    /// What happened, for the controller.
    pub events: EventQueue,
    data: Mutex<SharedData>,
    /// Signalled when a thread has something new to do.
    changed: Condvar,
}

/// What is handed from thread to thread. Each place holds one frame or assessment.
#[derive(Default)]
pub struct SharedData {
    /// Whether the box is ending.
    pub ending: bool,
    /// What the camera's thread is asked for.
    pub demand: Demand,
    /// The newest frame of the preview that was not drawn yet, and its hint.
    pub preview: Option<(GrayImage, Option<Hint>)>,
    /// The frame that is to be judged.
    pub captured: Option<Captured>,
    /// The frame given to the judge, and where it comes from.
    pub job: Option<(GrayImage, String)>,
    /// The newest film that was judged.
    pub judged: Option<Assessment>,
    /// Why each part of the box failed the last time.
    pub messages: FaultMessages,
    /// Whether a press of the button would be taken. A script waits for this.
    pub takes_presses: bool,
}

/// A frame that is to be judged.
pub struct Captured {
    /// The frame.
    pub frame: GrayImage,
    /// The camera or the file that it comes from.
    pub origin: String,
    /// When it was taken.
    pub taken: Timestamp,
}

/// Why each part of the box failed the last time, in words; empty where it never did.
#[derive(Default)]
pub struct FaultMessages {
    camera: String,
    storage: String,
    model: String,
    gpio: String,
    settings: String,
}

impl FaultMessages {
    /// The message of a fault.
    pub fn of(&mut self, fault: Fault) -> &mut String {
        match fault {
            Fault::Camera => &mut self.camera,
            Fault::Storage => &mut self.storage,
            Fault::Model => &mut self.model,
            Fault::Gpio => &mut self.gpio,
            Fault::Settings => &mut self.settings,
        }
    }
}

/// What the camera's thread is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// No frame.
    #[default]
    Nothing,
    /// Frames for the preview, at its rate.
    Preview,
    /// The frame that is to be judged, at once.
    Capture,
}

impl Shared {
    /// Locks the shared data.
    pub fn lock(&self) -> MutexGuard<'_, SharedData> {
        // A thread that panicked left whole values: they are only moved in and out.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another thread has changed something, for so long at most.
    pub fn wait<'a>(&self, data: MutexGuard<'a, SharedData>, patience: Duration) -> MutexGuard<'a, SharedData> {
        self.changed.wait_timeout(data, patience).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes the threads that [wait](Shared::wait).
    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Asks all threads to end.
    pub fn end(&self) {
        self.lock().ending = true;
        self.notify();
    }

    /// Tells the controller that a part of the box failed, and why.
    pub fn fail(&self, fault: Fault, message: String) {
        *self.lock().messages.of(fault) = message;
        self.events.push(Event::Failed(fault));
    }

    /// As [`Shared::fail`], for a part that works again only after a restart. The message is logged.
    pub fn fail_for_good(&self, fault: Fault, message: String) {
        log::error!("{message}");
        self.fail(fault, message);
    }

    /// Does the work of a thread. A panic becomes a fault of the thread's part of the box.
    pub fn guard(&self, fault: Fault, thread: &str, work: impl FnOnce()) {
        if let Err(words) = catch(work) {
            self.fail_for_good(fault, format!("the {thread}'s thread failed badly ({words}). Start the box again"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::appliance::testing::fault_message;

    use super::*;

    #[test]
    fn each_fault_has_its_own_message() {
        let shared = Shared::default();
        shared.fail(Fault::Camera, "unplugged".into());
        shared.fail(Fault::Model, "damaged".into());
        assert_eq!([Fault::Camera, Fault::Model].map(|fault| fault_message(&shared, fault)), ["unplugged", "damaged"]);
    }
}

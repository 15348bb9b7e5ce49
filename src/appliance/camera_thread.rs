//! The camera's thread: it takes frames for the preview at their rate, and the frame that is to be judged at once.

use std::mem;
use std::time::{Duration, Instant};

use image::GrayImage;
use jiff::Timestamp;

use xray_triage_core::panics::catch;

use crate::camera::Camera;
use crate::ui::status::{Fault, Hint};

use super::machine::Event;
use super::shared::{Captured, Demand, PATIENCE, Shared};
use super::stillness::Stillness;
use super::{Behaviour, hint};

/// How long a camera that failed is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Time between two frames of the preview that are searched for a [hint], which costs more than showing them.
const HINT_INTERVAL: Duration = Duration::from_secs(1);
/// The same time while nothing moves. It is longer but not endless, since a lens that is being focused moves nothing.
const STILL_HINT_INTERVAL: Duration = Duration::from_secs(3);
/// Time between two frames of the preview while nothing moves in front of the camera: a box waits most of the day.
const STILL_INTERVAL: Duration = Duration::from_secs(1);

/// Takes the frames that are asked for until the box is ending.
pub fn run(mut camera: Box<dyn Camera>, behaviour: &Behaviour, shared: &Shared) {
    let interval = Duration::from_secs_f64(1.0 / behaviour.preview_fps);
    let mut analysis = PreviewAnalysis::new(behaviour);
    let mut frame = GrayImage::new(1, 1);
    let mut failing = false;
    let mut next = Instant::now();
    while let Some(demand) = next_demand(&mut *camera, next, shared) {
        let asked = Instant::now();
        let grabbed = match catch(|| camera.grab(&mut frame)) {
            Ok(grabbed) => grabbed.map_err(|error| error.to_string()),
            Err(words) => {
                frame = GrayImage::new(1, 1);
                Err(format!("camera {}: reading a frame failed badly ({words}). Plug it in again", camera.origin()))
            }
        };
        // Reading and decoding a frame is part of the interval.
        next = asked + interval;
        // A simulated camera goes on to the next picture, whether this one could be read or not.
        let origin = camera.origin();
        if demand == Demand::Capture {
            camera.captured();
            shared.lock().demand = Demand::Nothing;
        }
        match grabbed {
            Ok(()) => {
                failing = false;
                let (still, hint) = analysis.look(&frame, demand);
                if still {
                    next = asked + interval.max(STILL_INTERVAL);
                }
                let mut data = shared.lock();
                let event = if demand == Demand::Capture {
                    let frame = mem::replace(&mut frame, GrayImage::new(1, 1));
                    data.captured = Some(Captured { frame, origin, taken: Timestamp::now() });
                    Event::Captured
                } else {
                    // A frame that was not drawn yet makes room for this one. Its buffer is used for the next one.
                    let newest = mem::replace(&mut frame, GrayImage::new(1, 1));
                    if let Some((older, _)) = data.preview.replace((newest, hint)) {
                        frame = older;
                    }
                    Event::Preview
                };
                drop(data);
                shared.events.push(event);
            }
            Err(message) => {
                if !failing || demand == Demand::Capture {
                    log::error!("{message}");
                }
                failing = true;
                next = Instant::now() + RETRY;
                // Every failure is told: the box may have been busy with something else at the first one.
                shared.fail(Fault::Camera, message);
            }
        }
    }
}

/// Waits until the camera is asked for a frame, and returns for which. A frame of the preview waits until `next`. `None`
/// when the box is ending.
fn next_demand(camera: &mut dyn Camera, next: Instant, shared: &Shared) -> Option<Demand> {
    loop {
        let data = shared.lock();
        if data.ending {
            return None;
        }
        let now = Instant::now();
        let patience = match data.demand {
            Demand::Capture => return Some(Demand::Capture),
            Demand::Preview if now >= next => return Some(Demand::Preview),
            Demand::Preview => PATIENCE.min(next - now),
            Demand::Nothing => PATIENCE,
        };
        drop(shared.wait(data, patience));
        camera.idle();
    }
}

/// What is found out about the frames of the preview: whether anything moves, and what the operator could improve. A panic
/// while a frame is looked at is logged; the frame then counts as one with movement and without a hint.
struct PreviewAnalysis<'a> {
    behaviour: &'a Behaviour,
    stillness: Stillness,
    hint: Option<Hint>,
    next_hint: Instant,
}

impl<'a> PreviewAnalysis<'a> {
    fn new(behaviour: &'a Behaviour) -> PreviewAnalysis<'a> {
        let now = Instant::now();
        PreviewAnalysis { behaviour, stillness: Stillness::new(now), hint: None, next_hint: now }
    }

    /// Looks at a frame. Returns whether nothing moves, and the hint for the operator.
    fn look(&mut self, frame: &GrayImage, demand: Demand) -> (bool, Option<Hint>) {
        let looked = catch(|| {
            let still = self.stillness.look(frame, Instant::now());
            if demand == Demand::Preview && Instant::now() >= self.next_hint {
                self.hint = hint::of(frame, self.behaviour.profile);
                self.next_hint = Instant::now() + if still { STILL_HINT_INTERVAL } else { HINT_INTERVAL };
            }
            (still, self.hint)
        });
        looked.unwrap_or_else(|words| {
            log::error!("a frame could not be looked at ({words}). Going on without a hint");
            self.next_hint = Instant::now() + HINT_INTERVAL;
            self.hint = None;
            (false, None)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::appliance::testing::{PanickingCamera, behaviour, fault_message, next_event, wait_until};

    use super::*;

    #[test]
    fn a_camera_that_panics_costs_a_frame_and_the_newest_frame_wins() {
        static GRABS: AtomicU32 = AtomicU32::new(0);
        static IDLE: AtomicU32 = AtomicU32::new(0);
        let (shared, behaviour) = (Shared::default(), behaviour());
        std::thread::scope(|scope| {
            scope.spawn(|| run(Box::new(PanickingCamera { grabs: &GRABS, idle: &IDLE }), &behaviour, &shared));
            let calls = || IDLE.load(Ordering::SeqCst);
            wait_until(&shared, |_| calls() > 1);
            assert_eq!(GRABS.load(Ordering::SeqCst), 0, "nothing was asked for");

            shared.lock().demand = Demand::Preview;
            assert_eq!(next_event(&shared), Some(Event::Failed(Fault::Camera)));
            let message = fault_message(&shared, Fault::Camera);
            assert!(message.contains("/dev/panicking") && message.contains("a new colour space"), "{message}");

            wait_until(&shared, |_| GRABS.load(Ordering::SeqCst) > 5);
            shared.lock().demand = Demand::Nothing;
            let before = calls();
            wait_until(&shared, |_| calls() > before + 1);
            let newest = GRABS.load(Ordering::SeqCst) as u8 - 1;
            let waiting = shared.lock().preview.take().map(|(frame, _)| frame.get_pixel(0, 0)[0]);
            assert_eq!(waiting, Some(newest));
            assert_eq!(next_event(&shared), Some(Event::Preview));
            assert_eq!(shared.events.pop(Instant::now()), None, "one event for them all");
            shared.lock().ending = true;
        });
    }
}

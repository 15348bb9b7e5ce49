//! The camera's thread: frames for the preview at its rate, a frame for a capture at once.

use std::mem;
use std::time::{Duration, Instant};

use image::GrayImage;
use jiff::Timestamp;

use crate::camera::Camera;
use crate::ui::status::{Fault, Hint};

use super::machine::Event;
use super::stillness::Stillness;
use super::{Behaviour, Demand, PATIENCE, Shared, caught, hint};

/// How long a camera that failed is left alone before it is asked again.
const RETRY: Duration = Duration::from_millis(500);
/// How often a frame of the preview is looked at for a [hint]: it costs more than showing it.
const HINT_INTERVAL: Duration = Duration::from_secs(1);
/// The same while nothing moves. Seldom and not never: a lens that is turned sharp moves nothing.
const STILL_HINT_INTERVAL: Duration = Duration::from_secs(3);
/// Between frames of the preview while nothing moves before the camera: a box waits most of the day.
const STILL_INTERVAL: Duration = Duration::from_secs(1);

/// Serves the demand until the box is ending.
pub fn watch(mut camera: Box<dyn Camera>, behaviour: &Behaviour, shared: &Shared) {
    let interval = Duration::from_secs_f64(1.0 / behaviour.preview_fps);
    let mut onlooker = Onlooker::new(behaviour);
    let mut frame = GrayImage::new(1, 1);
    let mut failing = false;
    let mut next = Instant::now();
    while let Some(demand) = awaited(&mut *camera, next, shared) {
        let asked = Instant::now();
        let grabbed = match caught(|| camera.grab(&mut frame)) {
            Ok(grabbed) => grabbed.map_err(|error| error.to_string()),
            Err(words) => {
                frame = GrayImage::new(1, 1);
                Err(format!("camera {}: reading a frame failed badly ({words}). Plug it in again", camera.origin()))
            }
        };
        // Reading and decoding a frame is part of the interval.
        next = asked + interval;
        // Simulated cameras move on to the next picture, read or not.
        let origin = camera.origin();
        if demand == Demand::Capture {
            camera.captured();
            shared.lock().demand = Demand::Nothing;
        }
        match grabbed {
            Ok(()) => {
                failing = false;
                let (still, hint) = onlooker.look(&frame, demand);
                if still {
                    next = asked + interval.max(STILL_INTERVAL);
                }
                let mut slots = shared.lock();
                let event = if demand == Demand::Capture {
                    let frame = mem::replace(&mut frame, GrayImage::new(1, 1));
                    slots.captured = Some((frame, origin, Timestamp::now()));
                    Event::Captured
                } else {
                    // A frame that was not drawn yet makes room, and lends its buffer to the next one.
                    let newest = mem::replace(&mut frame, GrayImage::new(1, 1));
                    if let Some((older, _)) = slots.preview.replace((newest, hint)) {
                        frame = older;
                    }
                    Event::Preview
                };
                drop(slots);
                shared.events.push(event);
            }
            Err(reason) => {
                if !failing || demand == Demand::Capture {
                    log::error!("{reason}");
                }
                failing = true;
                next = Instant::now() + RETRY;
                // Each time: the box may have been at something else when the camera began to fail.
                shared.fail(Fault::Camera, reason);
            }
        }
    }
}

/// What the camera is asked for, once it is; `None` when the box is ending. Frames of the preview are not before `next`.
fn awaited(camera: &mut dyn Camera, next: Instant, shared: &Shared) -> Option<Demand> {
    loop {
        let slots = shared.lock();
        if slots.ending {
            return None;
        }
        let now = Instant::now();
        let patience = match slots.demand {
            Demand::Capture => return Some(Demand::Capture),
            Demand::Preview if now >= next => return Some(Demand::Preview),
            Demand::Preview => PATIENCE.min(next - now),
            Demand::Nothing => PATIENCE,
        };
        drop(shared.wait(slots, patience));
        camera.idle();
    }
}

/// What is seen on frames beside being shown: movement, and what the operator could do better. Where looking fails badly,
/// which is logged, a frame is as one without either.
struct Onlooker<'a> {
    behaviour: &'a Behaviour,
    stillness: Stillness,
    hint: Option<Hint>,
    next_hint: Instant,
}

impl<'a> Onlooker<'a> {
    fn new(behaviour: &'a Behaviour) -> Onlooker<'a> {
        let now = Instant::now();
        Onlooker { behaviour, stillness: Stillness::new(now), hint: None, next_hint: now }
    }

    /// Whether nothing moves, and the hint for a preview.
    fn look(&mut self, frame: &GrayImage, demand: Demand) -> (bool, Option<Hint>) {
        let looked = caught(|| {
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

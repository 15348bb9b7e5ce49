//! The judge's thread: it loads the model, and then judges the frames that it is given.

use image::GrayImage;
use xray_triage_core::panics::catch;
use xray_triage_core::pipeline::{Assessment, Pipeline, SetupError};

use crate::ui::status::Fault;

use super::machine::Event;
use super::shared::{PATIENCE, Shared};

/// Loads the model and judges frames until the box is ending. A model that does not load is a fault.
pub fn run(load: impl FnOnce() -> Result<Pipeline, SetupError>, shared: &Shared) {
    match load() {
        Ok(pipeline) => {
            log::info!("model {} is loaded", pipeline.model().id);
            shared.events.push(Event::ModelReady);
            judge_films(|frame, origin| pipeline.assess(frame, origin), shared);
        }
        Err(error) => shared.fail_for_good(Fault::Model, error.to_string()),
    }
}

/// Judges frames until the box is ending. A panic over a film ends the thread and is a fault: that film has no case, and
/// the operator is told to take it again.
fn judge_films(assess: impl Fn(GrayImage, String) -> Assessment, shared: &Shared) {
    while let Some((frame, origin)) = next_job(shared) {
        match catch(|| assess(frame, origin)) {
            Ok(assessment) => {
                shared.lock().judged = Some(assessment);
                shared.events.push(Event::Judged);
            }
            Err(words) => {
                // What to do comes first, since a screen cuts a long message.
                let message =
                    format!("take the film again once the box has restarted: judging it failed badly ({words})");
                return shared.fail_for_good(Fault::Model, message);
            }
        }
    }
}

/// Waits for the next frame to judge. `None` when the box is ending.
fn next_job(shared: &Shared) -> Option<(GrayImage, String)> {
    let mut data = shared.lock();
    loop {
        if data.ending {
            return None;
        }
        match data.job.take() {
            Some(job) => return Some(job),
            None => data = shared.wait(data, PATIENCE),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::appliance::testing::{fault_message, next_event};

    use super::*;

    #[test]
    fn a_panic_over_a_film_is_a_fault_that_asks_to_take_the_film_again() {
        let shared = Shared::default();
        shared.lock().job = Some((GrayImage::new(1, 1), String::new()));
        judge_films(|_, _| panic!("no such {}", "layer"), &shared);
        assert_eq!(next_event(&shared), Some(Event::Failed(Fault::Model)));
        let message = fault_message(&shared, Fault::Model);
        assert!(message.contains("no such layer") && message.contains("take the film again"), "{message}");
    }
}

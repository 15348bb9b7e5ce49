//! The steps of one epoch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::loss::forward;
use super::pace::{self, Pace};
use super::state::{Progress, RunState};
use super::views::{batch, order};
use super::{RunInputs, TrainError};

/// How many batches are made ready while the network trains on another one.
const BATCHES_AHEAD: usize = 2;

/// How the steps of an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// All are taken.
    Done,
    /// `stop` was set.
    Stopped,
    /// The time for a checkpoint has come; steps are left.
    CheckpointDue,
}

/// Takes the steps of an epoch that are not done yet. After every step it looks at `stop`, and at whether the last
/// checkpoint is `checkpoint_every` old.
///
/// # Errors
/// [`TrainError::Teacher`] and [`TrainError::NotFinite`].
pub fn train_epoch(
    state: &mut RunState,
    inputs: &RunInputs,
    clock: &mut Clock,
    device: &Device,
    stop: &AtomicBool,
    checkpoint_every: Option<Duration>,
) -> Result<Steps, TrainError> {
    let config = state.progress.config.clone();
    let RunInputs { train, teacher, fake_quantization, .. } = *inputs;
    let epoch = state.progress.epoch;
    let size = config.size(epoch);
    let order = order(train, &config, epoch);
    let steps_per_epoch = config.steps_per_epoch(train.len());
    std::thread::scope(|scope| -> Result<Steps, TrainError> {
        let (sender, batches) = mpsc::sync_channel(BATCHES_AHEAD);
        let steps = order.chunks(config.batch_size).skip(state.progress.step);
        let config = &config;
        scope.spawn(move || {
            for films in steps {
                if sender.send(batch(train, films, teacher, config, epoch)).is_err() {
                    return;
                }
            }
        });
        let mut step_started = Instant::now();
        let begun = step_started;
        for batch in batches {
            let batch = batch?;
            let step = epoch * steps_per_epoch + state.progress.step;
            let films = batch.labels.len();
            let (loss, right) = forward(&state.student, batch, config, size as usize, fake_quantization, device);
            let loss_value = f64::from(loss.clone().into_scalar::<f32>());
            if !loss_value.is_finite() {
                let step = state.progress.step + 1;
                return Err(TrainError::NotFinite { what: "the loss", epoch: epoch + 1, step });
            }
            state.descend(loss, config.learning_rate(step, steps_per_epoch), step);
            state.progress.loss_sum += loss_value;
            state.progress.right += right;
            state.progress.step += 1;
            clock.pace.add(films, size, step_started.elapsed());
            step_started = Instant::now();
            clock.report(&state.progress, config.views_per_epoch(train.len()));
            if stop.load(Ordering::Relaxed) {
                return Ok(Steps::Stopped);
            }
            let is_last = state.progress.step == steps_per_epoch;
            if !is_last && checkpoint_every.is_some_and(|every| begun.elapsed() >= every) {
                return Ok(Steps::CheckpointDue);
            }
        }
        Ok(Steps::Done)
    })
}

/// Tells how long a run still takes.
pub struct Clock {
    started: Instant,
    pace: Pace,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Clock { started: Instant::now(), pace: Pace::default() }
    }

    /// Logs every tenth step, and the last of the epoch.
    fn report(&self, progress: &Progress, views: usize) {
        let config = &progress.config;
        let steps_per_epoch = views.div_ceil(config.batch_size);
        if !progress.step.is_multiple_of(10) && progress.step != steps_per_epoch {
            return;
        }
        let views_done = (progress.step * config.batch_size).min(views);
        let here = pace::pixels(views - views_done, config.size(progress.epoch));
        let later = (progress.epoch + 1..config.epochs()).map(|epoch| pace::pixels(views, config.size(epoch)));
        let left: Duration = self.pace.left(here + later.sum::<f64>(), self.started.elapsed());
        log::info!(
            "epoch {}/{} step {}/{steps_per_epoch}: loss {:.4}, accuracy {:.1} %, {:.1} images/s, about {} min left",
            progress.epoch + 1,
            config.epochs(),
            progress.step,
            progress.loss_sum / progress.step as f64,
            100.0 * progress.right as f64 / views_done as f64,
            self.pace.films_per_second(),
            left.as_secs().div_ceil(60)
        );
    }
}

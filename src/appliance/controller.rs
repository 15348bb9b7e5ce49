//! The controller's thread: it runs the state machine, and with it the display, the LEDs and the case log.

use std::io;
use std::time::Instant;

use jiff::Timestamp;
use xray_triage_core::pipeline::Assessment;
use xray_triage_core::record::Record;

use crate::caselog::{CaseLog, CaseLogError};
use crate::display::Display;
use crate::gpio::Leds;
use crate::ui::screens::Screen;
use crate::ui::status::Fault;

use super::leds::{self, StatusLeds};
use super::machine::{Action, Event, Expired, Machine, ResultScreen, State};
use super::shared::{Demand, Shared};
use super::storage::Storage;
use super::view::{Case, Preview, View};
use super::{ApplianceError, Behaviour, Ending};

/// For how much longer a service manager is told, in each round, to wait for the film in hand, microseconds.
const ANOTHER_ROUND: u32 = 30_000_000;

/// Runs the state machine until the box is switched off or cannot go on.
pub fn run(
    shared: &Shared,
    mut display: Box<dyn Display>,
    leds: Box<dyn Leds>,
    storage: Storage<impl FnMut() -> Result<CaseLog, CaseLogError>>,
    behaviour: &Behaviour,
    report: impl FnMut(&Record) -> io::Result<()>,
) -> Result<Ending, ApplianceError> {
    let machine = Machine::new(Instant::now(), behaviour.camera_timeout);
    let mut controller = Controller::new(shared, machine, storage, report);
    let mut view = View::new(&mut *display, behaviour);
    let mut leds = StatusLeds::new(leds);
    let mut result_shown = false;
    // Settings that cannot be used are a fault from the start, which comes first: in any other state the camera would be
    // asked for a preview.
    if let Some(event) = shared.events.pop(Instant::now()) {
        controller.handle(event);
    }
    if behaviour.settings_fault.is_none() {
        controller.check_storage();
    }
    notify(sd_notify::NotifyState::Ready);
    loop {
        let now = Instant::now();
        let shows_result = controller.machine.shows_result();
        let new_result = shows_result && !result_shown;
        result_shown = shows_result;
        if !new_result {
            controller.set_leds(&mut leds);
        }
        view.check_display();
        let state = controller.machine.state();
        let message = match state {
            State::Fault(fault) => shared.lock().messages.of(fault).clone(),
            _ => String::new(),
        };
        view.show(&controller.machine, now, controller.preview.as_ref(), controller.case.as_ref(), &message);
        if new_result {
            // The LEDs tell of the result only once the display shows it. Earlier presses would wipe the result unseen.
            shared.events.forget_presses();
            controller.machine.result_drawn(Instant::now());
            controller.set_leds(&mut leds);
        }
        if state == State::ShuttingDown {
            // A service manager still has to stop the system before the box may be unplugged.
            if std::env::var_os("NOTIFY_SOCKET").is_none() {
                view.draw(&Screen::Off);
            }
            notify(sd_notify::NotifyState::Stopping);
            return Ok(controller.machine.signal().map_or(Ending::SwitchedOff, Ending::Signal));
        }
        notify(sd_notify::NotifyState::Watchdog);
        if controller.machine.signal().is_some() {
            notify(sd_notify::NotifyState::ExtendTimeoutUsec(ANOTHER_ROUND));
        }

        {
            let mut data = shared.lock();
            data.demand = match state {
                // The camera's thread ends this demand itself.
                State::Capturing => data.demand,
                _ if controller.machine.wants_preview() => Demand::Preview,
                _ => Demand::Nothing,
            };
            data.takes_presses = controller.machine.takes_presses(now) && !shared.events.has_press();
            shared.notify();
        }
        if let Some(event) = shared.events.pop(next_look(&controller.machine, now)) {
            controller.handle(event);
        }
        match controller.machine.expire(Instant::now()) {
            None => {}
            Some(Expired::Fault(fault, message)) => {
                log::error!("{message}");
                *shared.lock().messages.of(fault) = message.into();
            }
            Some(Expired::CheckStorage) => controller.check_storage(),
            Some(Expired::End(fault)) => {
                notify(sd_notify::NotifyState::Stopping);
                return Err(ApplianceError::Fault { fault, message });
            }
        }
    }
}

/// When the controller has to look again even if nothing happens: at the next change of the LEDs or at the limit of the
/// state, after a second at the latest.
fn next_look(machine: &Machine, now: Instant) -> Instant {
    let elapsed = machine.elapsed(now);
    let change = now + leds::next_change(machine.state(), elapsed).saturating_sub(elapsed);
    machine.deadline(now).map_or(change, |deadline| change.min(deadline))
}

/// The state machine with what it works on.
struct Controller<'a, Open, Report> {
    shared: &'a Shared,
    machine: Machine,
    storage: Storage<Open>,
    report: Report,
    report_fails: bool,
    /// The newest message of a storage fault. The screen may still have an older one, that of a lost film.
    storage_message: String,
    /// When the film in hand was taken.
    taken: Timestamp,
    preview: Option<Preview>,
    case: Option<Case>,
}

impl<'a, Open, Report> Controller<'a, Open, Report>
where
    Open: FnMut() -> Result<CaseLog, CaseLogError>,
    Report: FnMut(&Record) -> io::Result<()>,
{
    fn new(shared: &'a Shared, machine: Machine, storage: Storage<Open>, report: Report) -> Self {
        Controller {
            shared,
            machine,
            storage,
            report,
            report_fails: false,
            storage_message: String::new(),
            taken: Timestamp::UNIX_EPOCH,
            preview: None,
            case: None,
        }
    }

    /// Sets the LEDs to the pattern of the state. LEDs that cannot be set for a while are a fault.
    fn set_leds(&self, leds: &mut StatusLeds) {
        let now = Instant::now();
        let pattern = leds::pattern(self.machine.state(), self.machine.elapsed(now));
        if let Err(error) = leds.show(pattern, now) {
            self.shared.fail_for_good(Fault::Gpio, error.to_string());
        }
    }

    /// Gives an event to the state machine, and does what follows from it.
    fn handle(&mut self, event: Event) {
        match event {
            Event::Preview => {
                let number = self.preview.as_ref().map_or(0, |preview| preview.number) + 1;
                if let Some((frame, hint)) = self.shared.lock().preview.take() {
                    self.preview = Some(Preview { frame, hint, number });
                }
            }
            // The late answer to a demand that was given up.
            Event::Captured if self.shared.lock().captured.is_none() => return,
            _ => {}
        }
        let mut next = Some(event);
        while let Some(event) = next.take() {
            next = self.machine.handle(event, Instant::now()).and_then(|action| self.act(action));
        }
    }

    /// Does an action. Returns what came of it, if that is known at once.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Capture => {
                if let Err(error) = self.storage.check() {
                    return Some(self.storage_failed(error.to_string()));
                }
                let mut data = self.shared.lock();
                data.demand = Demand::Capture;
                data.captured = None;
                self.shared.notify();
                None
            }
            Action::Judge => {
                let mut data = self.shared.lock();
                let captured = data.captured.take()?;
                self.taken = captured.taken;
                data.judged = None;
                data.job = Some((captured.frame, captured.origin));
                self.shared.notify();
                None
            }
            Action::Record => {
                let assessment = self.shared.lock().judged.take()?;
                Some(self.record(assessment))
            }
        }
    }

    /// Stores the case of a film that was judged, and hands its record on. The case of a film over which the network failed
    /// is stored as well, but it is a fault of the model and no refusal of the film.
    fn record(&mut self, assessment: Assessment) -> Event {
        let id = match self.storage.record(&assessment, self.taken) {
            Ok(id) => id,
            Err(error) => return self.storage_failed(format!("the film has no case, take it again: {error}")),
        };
        self.report(&assessment.record);
        if let Some(error) = assessment.record.network_error() {
            let message = format!("case {id} has no verdict: {error}");
            log::error!("{message}");
            *self.shared.lock().messages.of(Fault::Model) = message;
            return Event::Failed(Fault::Model);
        }
        let screen = ResultScreen::from(assessment.record.outcome);
        self.case = Some(Case { assessment, number: id.to_string() });
        Event::Recorded(screen)
    }

    /// Looks whether cases can be stored. That ends a storage fault, or begins one.
    fn check_storage(&mut self) {
        let event = match self.storage.check() {
            Ok(()) => Event::StorageWorks,
            Err(error) => self.storage_failed(error.to_string()),
        };
        self.handle(event);
    }

    /// Logs the message of a storage fault if it is new, and keeps it for the screen, unless that still has to tell of a
    /// lost film.
    fn storage_failed(&mut self, message: String) -> Event {
        let known = self.machine.state() == State::Fault(Fault::Storage) && self.storage_message == message;
        if !known {
            log::error!("{message}");
        }
        if !self.machine.tells_of_lost_film(Instant::now()) {
            self.shared.lock().messages.of(Fault::Storage).clone_from(&message);
        }
        self.storage_message = message;
        Event::Failed(Fault::Storage)
    }

    /// Hands a record on. If nobody takes it, that is logged once; the case is stored and shown all the same.
    fn report(&mut self, record: &Record) {
        match (self.report)(record) {
            Ok(()) => self.report_fails = false,
            Err(error) if !self.report_fails => {
                log::error!("a record cannot be handed on: {error}. Its case is in the case log");
                self.report_fails = true;
            }
            Err(_) => {}
        }
    }
}

/// Tells the service manager, if there is one. The state machine's own loop feeds the watchdog, so that a box that hangs
/// anywhere in the loop is restarted.
fn notify(state: sd_notify::NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::debug!("the service manager does not listen: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use image::GrayImage;
    use tempfile::TempDir;
    use xray_triage_core::decision::Outcome;

    use crate::appliance::shared::Captured;
    use crate::appliance::testing::{behaviour, fault_message, wait_until};
    use crate::caselog::CaseReader;
    use crate::caselog::tests::assessment;
    use crate::display::NoDisplay;
    use crate::gpio::Press;

    use super::*;

    fn controller<Open, Report>(shared: &Shared, open: Open, report: Report) -> Controller<'_, Open, Report>
    where
        Open: FnMut() -> Result<CaseLog, CaseLogError>,
        Report: FnMut(&Record) -> io::Result<()>,
    {
        let mut machine = Machine::new(Instant::now(), Duration::from_secs(3));
        machine.handle(Event::ModelReady, Instant::now());
        Controller::new(shared, machine, Storage::new(open, 0), report)
    }

    fn film(shared: &Shared) -> Event {
        let (frame, origin, taken) = (GrayImage::new(1, 1), String::new(), Timestamp::UNIX_EPOCH);
        shared.lock().captured = Some(Captured { frame, origin, taken });
        Event::Captured
    }

    fn verdict(shared: &Shared) -> Event {
        shared.lock().judged = Some(assessment(1));
        Event::Judged
    }

    /// What the pipeline returns where the network fails on a good film.
    fn network_failure(shared: &Shared) -> Event {
        let mut failed = assessment(1);
        failed.record.outcome = Outcome::Refused;
        (failed.record.top, failed.record.probabilities, failed.cam) = (None, None, None);
        failed.record.reasons = vec!["network_fault"];
        failed.record.advice = vec!["values that are not finite".into()];
        failed.record.error = Some("values that are not finite".into());
        shared.lock().judged = Some(failed);
        Event::Judged
    }

    #[test]
    fn a_network_that_fails_on_a_film_is_a_model_fault_and_the_case_is_stored() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let mut reasons = Vec::new();
        let report = |record: &Record| {
            reasons.push(record.reasons.clone());
            Ok(())
        };
        let mut controller = controller(&shared, || CaseLog::open(folder.path()), report);
        controller.handle(Event::Press(Press::Short));
        controller.handle(film(&shared));
        controller.handle(network_failure(&shared));
        assert_eq!(controller.machine.state(), State::Fault(Fault::Model));
        let message = fault_message(&shared, Fault::Model);
        assert_eq!(message, "case 000001 has no verdict: values that are not finite");
        drop(controller);
        assert_eq!(reasons, [["network_fault"]]);
        let cases = CaseReader::open(folder.path()).unwrap().cases().unwrap();
        assert_eq!(cases.iter().map(|case| case.outcome.as_str()).collect::<Vec<_>>(), ["refused"]);
    }

    #[test]
    fn a_network_failure_that_cannot_be_stored_is_a_storage_fault() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let cases = folder.path().join("cases");
        let mut controller = controller(&shared, || CaseLog::open(&cases), |_| Ok(()));
        controller.handle(Event::Press(Press::Short));
        controller.handle(film(&shared));
        std::fs::remove_dir_all(&cases).unwrap();
        std::fs::write(&cases, "no folder").unwrap();
        controller.handle(network_failure(&shared));
        assert_eq!(controller.machine.state(), State::Fault(Fault::Storage));
    }

    #[test]
    fn the_late_frame_of_a_capture_that_was_given_up_is_not_judged() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let mut controller = controller(&shared, || CaseLog::open(folder.path()), |_| Ok(()));
        let late = film(&shared);
        controller.handle(Event::Press(Press::Short));
        controller.handle(late);
        assert_eq!(controller.machine.state(), State::Capturing, "it was taken before the button was pressed");
        controller.handle(film(&shared));
        assert_eq!(controller.machine.state(), State::Analysing);
        assert!(shared.lock().job.is_some());
    }

    #[test]
    fn a_record_that_nobody_takes_is_a_case_on_the_screen_all_the_same() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let report = |_: &Record| Err(io::ErrorKind::BrokenPipe.into());
        let mut controller = controller(&shared, || CaseLog::open(folder.path()), report);
        for number in ["000001", "000002"] {
            controller.handle(Event::Press(Press::Short));
            controller.handle(film(&shared));
            controller.handle(verdict(&shared));
            assert_eq!(controller.machine.state(), State::Verdict { refer: false });
            assert_eq!(controller.case.as_ref().map(|case| case.number.as_str()), Some(number));
            // The result's time is over.
            controller.machine.expire(Instant::now() + Duration::from_secs(300));
        }
    }

    #[test]
    fn a_case_log_that_cannot_be_opened_is_a_fault_until_it_can() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let cases = folder.path().join("cases");
        std::fs::write(&cases, "no folder").unwrap();
        let mut controller = controller(&shared, || CaseLog::open(&cases), |_| Ok(()));
        controller.machine = Machine::new(Instant::now(), Duration::from_secs(3));
        controller.check_storage();
        assert_eq!(controller.machine.state(), State::Fault(Fault::Storage));
        assert!(fault_message(&shared, Fault::Storage).contains("cases"));
        controller.handle(Event::Failed(Fault::Camera));
        assert_eq!(controller.machine.state(), State::Fault(Fault::Storage));
        std::fs::remove_file(&cases).unwrap();
        controller.check_storage();
        assert_eq!(controller.machine.state(), State::Ready);
    }

    #[test]
    fn a_lost_film_is_told_whatever_else_is_wrong_with_the_storage_meanwhile() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let cases = folder.path().join("cases");
        let mut controller = controller(&shared, || CaseLog::open(&cases), |_| Ok(()));
        controller.handle(Event::Press(Press::Short));
        controller.handle(film(&shared));
        std::fs::remove_dir_all(&cases).unwrap();
        std::fs::write(&cases, "no folder").unwrap();
        controller.handle(verdict(&shared));
        assert_eq!(controller.machine.state(), State::Fault(Fault::Storage));
        controller.check_storage();
        let told = fault_message(&shared, Fault::Storage);
        assert!(told.starts_with("the film has no case, take it again: "), "{told}");
        assert!(!controller.storage_message.contains("take it again"), "{}", controller.storage_message);
        // The operator has tried again.
        controller.handle(Event::Press(Press::Short));
        assert_eq!(fault_message(&shared, Fault::Storage), controller.storage_message);
    }

    #[test]
    fn presses_while_a_case_is_written_do_not_wipe_its_verdict() {
        let (shared, folder) = (Shared::default(), TempDir::new().unwrap());
        let ended = std::thread::scope(|scope| {
            let controller = scope.spawn(|| {
                let (_, leds) = crate::gpio::simulated(io::empty(), None);
                let report = |_: &Record| {
                    shared.events.push(Event::Press(Press::Short));
                    Ok(())
                };
                let storage = Storage::new(|| CaseLog::open(folder.path()), 0);
                run(&shared, Box::new(NoDisplay), leds, storage, &behaviour(), report)
            });
            shared.events.push(Event::ModelReady);
            wait_until(&shared, |data| data.takes_presses);
            shared.events.push(Event::Press(Press::Short));
            wait_until(&shared, |data| data.demand == Demand::Capture);
            shared.lock().demand = Demand::Nothing;
            shared.events.push(film(&shared));
            wait_until(&shared, |data| data.job.take().is_some());
            shared.events.push(verdict(&shared));
            wait_until(&shared, |data| data.takes_presses);
            assert_eq!(shared.lock().demand, Demand::Nothing, "the verdict is shown");
            shared.events.push(Event::Press(Press::VeryLong));
            controller.join().unwrap()
        });
        assert_eq!(ended.unwrap(), Ending::SwitchedOff);
        assert_eq!(CaseReader::open(folder.path()).unwrap().cases().unwrap().len(), 1);
    }

    #[test]
    fn the_box_looks_again_when_an_led_changes_or_a_limit_is_reached() {
        let now = Instant::now();
        let mut machine = Machine::new(now, Duration::from_secs(3));
        assert_eq!(next_look(&machine, now), now + Duration::from_millis(250));
        machine.handle(Event::ModelReady, now);
        machine.handle(Event::Press(Press::Short), now);
        let limit = machine.deadline(now).unwrap().duration_since(now);
        let late = now + limit.saturating_sub(Duration::from_millis(400));
        assert_eq!(next_look(&machine, late), now + limit);
        // A fault of the settings has no limit, but the watchdog waits for the controller.
        let mut machine = Machine::new(now, Duration::from_secs(3));
        machine.handle(Event::Failed(Fault::Settings), now);
        let later = now + Duration::from_secs(1_000_000);
        assert!(next_look(&machine, later) <= later + Duration::from_secs(1));
    }
}

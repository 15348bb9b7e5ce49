//! The button's thread: it waits for presses and tells the controller.

use crate::gpio::Button;
use crate::ui::status::Fault;

use super::machine::Event;
use super::shared::{PATIENCE, Shared};

/// Waits for presses until the box is ending. A button that cannot be read is a fault. A scripted button is asked only
/// while a press would be taken.
pub fn run(mut button: Box<dyn Button>, shared: &Shared) {
    loop {
        {
            let data = shared.lock();
            if data.ending {
                return;
            }
            if button.scripted() && !data.takes_presses {
                drop(shared.wait(data, PATIENCE));
                continue;
            }
        }
        match button.wait(PATIENCE) {
            Ok(Some(press)) => {
                // Under one lock, so that no other press is asked for before the controller has taken this one.
                let mut data = shared.lock();
                data.takes_presses = false;
                shared.events.push(Event::Press(press));
            }
            Ok(None) => {}
            Err(error) => return shared.fail_for_good(Fault::Gpio, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::appliance::testing::{Broken, fault_message, next_event};

    use super::*;

    #[test]
    fn a_thread_that_panics_is_a_fault_of_its_part() {
        let shared = Shared::default();
        shared.guard(Fault::Gpio, "button", || run(Box::new(Broken), &shared));
        assert_eq!(next_event(&shared), Some(Event::Failed(Fault::Gpio)));
        let message = fault_message(&shared, Fault::Gpio);
        assert!(message.contains("button's thread") && message.contains("no pins"), "{message}");
    }
}

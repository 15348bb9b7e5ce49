//! What happens to the box, in the order it happened: a queue of fixed capacity that several threads fill and one
//! empties.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use heapless::Deque;

use super::machine::Event;

/// More than every thread together sends while the box is busy: the button is pressed by a person, the camera and the
/// judge send one event a demand.
const CAPACITY: usize = 16;

/// The queue. It never grows: an event for which there is no room is dropped and logged.
#[derive(Default)]
pub struct EventQueue {
    events: Mutex<Deque<Event, CAPACITY>>,
    filled: Condvar,
}

impl EventQueue {
    /// Adds an event.
    pub fn push(&self, event: Event) {
        let dropped = self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        match dropped {
            Ok(()) => self.filled.notify_one(),
            Err(event) => log::warn!("the box is too busy: {event:?} is dropped"),
        }
    }

    /// The oldest event; waits for one until `deadline`.
    pub fn pop(&self, deadline: Instant) -> Option<Event> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(event) = events.pop_front() {
                return Some(event);
            }
            let patience = deadline.checked_duration_since(Instant::now())?;
            events = self.filled.wait_timeout(events, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_come_in_order_and_the_queue_does_not_grow() {
        let queue = EventQueue::default();
        for _ in 0..CAPACITY {
            queue.push(Event::Preview);
        }
        queue.push(Event::ModelReady);
        let now = Instant::now();
        let events: Vec<Event> = std::iter::from_fn(|| queue.pop(now)).collect();
        assert_eq!(events, [Event::Preview; CAPACITY]);
    }

    #[test]
    fn waiting_ends_with_an_event_or_at_the_deadline() {
        let queue = EventQueue::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                queue.push(Event::Captured);
            });
            assert_eq!(queue.pop(Instant::now() + Duration::from_secs(20)), Some(Event::Captured));
        });
        assert_eq!(queue.pop(Instant::now() + Duration::from_millis(5)), None);
    }
}

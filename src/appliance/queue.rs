//! The event queue: what happened to the box, in its order. Several threads fill the queue and the controller empties it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use heapless::Deque;

use crate::gpio::Press;
use crate::ui::status::Fault;

use super::machine::Event;

/// Capacity of the queue. It has room for all events that are never dropped, of which only so many can be on their way: the
/// camera and the judge send one answer to each demand, each part of the box fails once, and two signals count.
const CAPACITY: usize = 16;
/// How many signals count: the first asks the program to end, the second not to wait for the film in hand.
const SIGNALS: usize = 2;

/// A queue that never grows. While it is full, it drops frames of the preview and short and long presses, and nothing else.
#[derive(Default)]
pub struct EventQueue {
    events: Mutex<Deque<Event, CAPACITY>>,
    filled: Condvar,
}

impl EventQueue {
    /// Adds an event, unless it says nothing new.
    pub fn push(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let repeated = match event {
            Event::Preview | Event::Failed(Fault::Camera) | Event::Press(Press::VeryLong) => {
                events.iter().any(|waiting| *waiting == event)
            }
            Event::Signal(_) => events.iter().filter(|waiting| matches!(waiting, Event::Signal(_))).count() >= SIGNALS,
            _ => false,
        };
        if repeated {
            return;
        }
        if events.is_full() && !droppable(event) {
            let mut room = false;
            events.retain(|waiting| {
                let oldest = !room && droppable(*waiting);
                room |= oldest;
                !oldest
            });
        }
        match events.push_back(event) {
            Ok(()) => self.filled.notify_one(),
            Err(event) => log::warn!("the box is too busy: {event:?} is dropped"),
        }
    }

    /// Removes the presses from the queue, except one that switches the box off.
    pub fn forget_presses(&self) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.retain(|event| !matches!(event, Event::Press(Press::Short | Press::Long)));
    }

    /// Whether there is a press in the queue.
    pub fn has_press(&self) -> bool {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().any(|event| matches!(event, Event::Press(_)))
    }

    /// Removes and returns the oldest event. Waits for one until `deadline`.
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

/// Whether an event may be lost because the operator or the camera will repeat it.
fn droppable(event: Event) -> bool {
    matches!(event, Event::Preview | Event::Press(Press::Short | Press::Long))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SHORT: Event = Event::Press(Press::Short);

    fn filled(events: &[Event]) -> EventQueue {
        let queue = EventQueue::default();
        events.iter().for_each(|event| queue.push(*event));
        queue
    }

    fn drained(queue: &EventQueue) -> Vec<Event> {
        let now = Instant::now();
        std::iter::from_fn(|| queue.pop(now)).collect()
    }

    #[test]
    fn events_come_in_order_and_the_queue_does_not_grow() {
        let queue = filled(&[Event::Captured, Event::Preview]);
        (0..CAPACITY).for_each(|_| queue.push(SHORT));
        let events = drained(&queue);
        assert_eq!((&events[..3], events.len()), (&[Event::Captured, Event::Preview, SHORT][..], CAPACITY));
    }

    #[test]
    fn a_full_queue_drops_frames_and_presses_and_nothing_else() {
        let queue = filled(&[SHORT; CAPACITY]);
        let others = [
            Event::Press(Press::VeryLong),
            Event::Captured,
            Event::ModelReady,
            Event::Judged,
            Event::Signal(15),
            Event::Failed(Fault::Gpio),
            Event::Failed(Fault::Model),
        ];
        for event in others {
            queue.push(event);
            queue.push(Event::Preview);
        }
        let events = drained(&queue);
        assert_eq!(events.len(), CAPACITY);
        assert_eq!(events[CAPACITY - others.len()..], others);
    }

    #[test]
    fn an_event_that_says_nothing_new_is_not_queued() {
        let lost = Event::Failed(Fault::Camera);
        let queue = filled(&[Event::Preview, Event::Preview, lost, lost, Event::Signal(15), Event::Signal(2)]);
        queue.push(Event::Signal(15));
        assert_eq!(drained(&queue), [Event::Preview, lost, Event::Signal(15), Event::Signal(2)]);
    }

    #[test]
    fn presses_are_forgotten_but_not_the_one_that_switches_off() {
        let off = Event::Press(Press::VeryLong);
        let queue = filled(&[SHORT, Event::Judged, Event::Press(Press::Long), off]);
        assert!(queue.has_press());
        queue.forget_presses();
        assert_eq!(drained(&queue), [Event::Judged, off]);
        assert!(!queue.has_press());
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

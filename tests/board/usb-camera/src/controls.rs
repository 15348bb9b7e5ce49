//! The camera's controls (UVC 1.0, 4.2.2): exposure, focus and white balance. Each has a switch that says whether the
//! camera chooses the value itself. Each change is printed.

use std::ops::RangeInclusive;

use crate::usbip::Setup;

/// The number of the camera terminal, which has the controls of exposure and focus.
pub const TERMINAL: u8 = 1;
/// The number of the processing unit, which has the controls of white balance.
pub const UNIT: u8 = 3;
/// The camera terminal's controls, a bit for each, as its descriptor has them (UVC 1.0, 3.7.2.3): exposure mode, exposure
/// time, focus and automatic focus.
pub const TERMINAL_CONTROLS: [u8; 3] = [1 << 1 | 1 << 3 | 1 << 5, 0, 1 << 1];
/// The processing unit's controls, a bit for each, as its descriptor has them (UVC 1.0, 3.7.2.5): white balance and
/// automatic white balance.
pub const UNIT_CONTROLS: [u8; 2] = [1 << 6, 1 << 4];

// Requests (UVC 1.0, A.8).
const SET_CUR: u8 = 0x01;
const GET_CUR: u8 = 0x81;
const GET_MIN: u8 = 0x82;
const GET_MAX: u8 = 0x83;
const GET_RES: u8 = 0x84;
const GET_LEN: u8 = 0x85;
const GET_INFO: u8 = 0x86;
const GET_DEF: u8 = 0x87;

struct Control {
    name: &'static str,
    owner: u8,
    selector: u8,
    /// Length of the control's value.
    bytes: usize,
    range: RangeInclusive<u32>,
    /// The step between two values. For the exposure mode it has a bit for each mode that the camera knows.
    step: u32,
    default: u32,
    value: u32,
    /// The switch, by its place among the controls, and the value it must have for this control to be set.
    switch: Option<(usize, u32)>,
}

pub struct Controls([Control; 6]);

impl Controls {
    /// The controls of a camera that chooses everything itself.
    pub fn new() -> Controls {
        Controls([
            // Mode 1 is manual, mode 8 "aperture priority".
            Control { step: 1 | 8, ..switch("exposure mode", TERMINAL, 0x02, 1..=8, 8) },
            manual("exposure time", TERMINAL, 0x04, 4, 1..=5000, (0, 1)),
            switch("automatic focus", TERMINAL, 0x08, 0..=1, 1),
            manual("focus", TERMINAL, 0x06, 2, 0..=250, (2, 0)),
            switch("automatic white balance", UNIT, 0x0b, 0..=1, 1),
            manual("white balance", UNIT, 0x0a, 2, 2800..=6500, (4, 0)),
        ])
    }

    /// The answer to a request for one of the controls; `None` if it is refused.
    pub fn answer(&mut self, setup: &Setup) -> Option<Vec<u8>> {
        let owner = setup.index.to_le_bytes()[1];
        let selector = setup.value.to_le_bytes()[1];
        let place = self.0.iter().position(|control| (control.owner, control.selector) == (owner, selector))?;
        let control = &self.0[place];
        let value = match setup.request {
            SET_CUR => return self.set(place, &setup.data).map(|()| Vec::new()),
            GET_LEN => return Some((control.bytes as u16).to_le_bytes().into()),
            // Bits 0 and 1: the control can be read and set.
            GET_INFO => return Some(vec![3]),
            GET_CUR => control.value,
            GET_MIN => *control.range.start(),
            GET_MAX => *control.range.end(),
            GET_RES => control.step,
            GET_DEF => control.default,
            _ => return None,
        };
        Some(value.to_le_bytes()[..control.bytes].into())
    }

    /// Sets a control. Like many cameras, it refuses a control whose value it chooses itself at the moment.
    fn set(&mut self, place: usize, data: &[u8]) -> Option<()> {
        let manual = self.0[place].switch.is_none_or(|(switch, manual)| self.0[switch].value == manual);
        let control = &mut self.0[place];
        let value = data.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        if !manual || data.len() != control.bytes || !control.range.contains(&value) {
            return None;
        }
        control.value = value;
        println!("{}: {value}", control.name);
        Some(())
    }
}

/// A control that says whether the camera chooses another one's value itself.
fn switch(name: &'static str, owner: u8, selector: u8, range: RangeInclusive<u32>, default: u32) -> Control {
    Control { name, owner, selector, bytes: 1, range, step: 1, default, value: default, switch: None }
}

/// A control that can be set while its switch has the right value.
fn manual(
    name: &'static str,
    owner: u8,
    selector: u8,
    bytes: usize,
    range: RangeInclusive<u32>,
    switch: (usize, u32),
) -> Control {
    let default = *range.start();
    Control { name, owner, selector, bytes, range, step: 1, default, value: default, switch: Some(switch) }
}

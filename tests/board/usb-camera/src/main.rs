//! A program that is a USB camera: `usb-camera PICTURE.jpg`.
//!
//! The kernel's virtual USB host controller (`vhci-hcd`) takes devices that speak USB/IP on a socket. This program holds
//! the other end and answers as a camera of the USB Video Class (UVC 1.0) that sends motion JPEG on a bulk endpoint, so
//! the kernel's own `uvcvideo` makes a `/dev/videoN` of it. Each frame is the picture's file, byte for byte, read anew.
//! To lay another film under the camera, rename another picture of the same size over the file. To unplug the camera, end
//! the program.

mod controls;
mod descriptors;
mod device;
mod usbip;

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

use device::FilmCamera;
use usbip::Request;

/// The file by which the kernel is told about a new device, as "port socket device speed".
const ATTACH: &str = "/sys/devices/platform/vhci_hcd.0/attach";
/// The first port of the virtual controller, which is a high-speed one.
const PORT: u32 = 0;
/// Bus 1, device 1. Any number will do, since the kernel only repeats it.
const DEVICE_ID: u32 = 1 << 16 | 1;
/// `USB_SPEED_HIGH` of the kernel's `enum usb_device_speed`.
const HIGH_SPEED: u32 = 3;

fn main() -> ExitCode {
    let Some(picture) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: usb-camera PICTURE.jpg");
        return ExitCode::from(2);
    };
    match FilmCamera::new(&picture).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("usb-camera {}: {error}", picture.display());
            ExitCode::FAILURE
        }
    }
}

/// Plugs the camera in and answers the kernel's requests until the kernel closes the connection.
///
/// Requests are answered one at a time, in the order in which they come. So a request that the kernel takes back was always
/// answered before.
fn serve(mut camera: FilmCamera) -> io::Result<()> {
    let (mut socket, kernels) = UnixStream::pair()?;
    fs::write(ATTACH, format!("{PORT} {} {DEVICE_ID} {HIGH_SPEED}", kernels.as_raw_fd()))
        .map_err(|error| io::Error::new(error.kind(), format!("{ATTACH}: {error}. Load the module vhci-hcd")))?;
    drop(kernels);
    while let Some(request) = usbip::read(&mut socket)? {
        match request {
            Request::Control { id, setup } => usbip::answer_control(&mut socket, id, &setup, camera.control(&setup))?,
            Request::Bulk { id, room } => {
                let payload = camera.next_payload(room)?;
                usbip::answer_bulk(&mut socket, id, &payload)?;
            }
            Request::TakeBack { id } => usbip::answer_take_back(&mut socket, id)?,
        }
    }
    Ok(())
}

//! The structures and constants of the kernel's `linux/videodev2.h` that the `v4l` crate uses.
//!
//! crates.io's `v4l2-sys-mit` generates them while it is built, which needs libclang and the target's headers. Here they
//! are generated once, by `generate`, from a header that is licensed BSD-3-Clause among others. They hold for x86-64,
//! aarch64 and 32-bit ARM with glibc: every type that differs between them is one of `std::os::raw`.

#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    reason = "the kernel's names"
)]

include!("bindings.rs");

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes are part of the kernel's interface: they stand in the numbers of its system calls (Linux 6.1,
    /// `VIDIOC_QUERYCAP` 0x80685600 and `VIDIOC_G_FMT`, 64 bit: 0xc0d05604, 32 bit: 0xc0cc5604).
    #[test]
    fn structures_have_the_kernels_sizes() {
        let pointers_are_64_bit = size_of::<usize>() == 8;
        assert_eq!(size_of::<v4l2_capability>(), 0x68);
        assert_eq!(size_of::<v4l2_format>(), if pointers_are_64_bit { 0xd0 } else { 0xcc });
        assert_eq!(size_of::<v4l2_buffer>(), if pointers_are_64_bit { 88 } else { 68 });
        assert_eq!(size_of::<v4l2_frmsizeenum>(), 44);
    }
}

//! The structures and constants of the kernel's `linux/videodev2.h` that the `v4l` crate uses.
//!
//! This crate takes the place of `v4l2-sys-mit` from crates.io, which generates its bindings while it is built and needs
//! libclang and the target's headers for that. Here the script `generate` made them once, from a header that may be used
//! under the BSD-3-Clause licence. They hold for x86-64, aarch64 and 32-bit ARM with glibc: every type that differs
//! between these targets is one of `std::os::raw`.

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

    /// The sizes are part of the kernel's interface, since the numbers of its system calls contain them. In Linux 6.1
    /// `VIDIOC_QUERYCAP` is 0x80685600, and `VIDIOC_G_FMT` is 0xc0d05604 on 64-bit and 0xc0cc5604 on 32-bit targets.
    #[test]
    fn structures_have_the_sizes_that_the_kernel_expects() {
        let pointers_are_64_bit = size_of::<usize>() == 8;
        assert_eq!(size_of::<v4l2_capability>(), 0x68);
        assert_eq!(size_of::<v4l2_format>(), if pointers_are_64_bit { 0xd0 } else { 0xcc });
        assert_eq!(size_of::<v4l2_buffer>(), if pointers_are_64_bit { 88 } else { 68 });
        assert_eq!(size_of::<v4l2_frmsizeenum>(), 44);
    }
}

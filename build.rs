//! Decides which hardware the program is built with: what a feature asks for, and on ARM Linux, where the box runs,
//! all of it. Sets `v4l_camera`, `gpio_panel` and `framebuffer`.

use std::env;

fn main() {
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    let board = target("OS") == "linux" && ["aarch64", "arm"].contains(&target("ARCH").as_str());
    for (feature, hardware) in [("V4L", "v4l_camera"), ("RPPAL", "gpio_panel"), ("DISPLAY", "framebuffer")] {
        println!("cargo::rustc-check-cfg=cfg({hardware})");
        if board || env::var_os(format!("CARGO_FEATURE_{feature}")).is_some() {
            println!("cargo::rustc-cfg={hardware}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

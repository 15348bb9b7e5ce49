//! The program `xray-triage`; see [`xray_triage::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    xray_triage::cli::main()
}

use std::process::ExitCode;

fn main() -> ExitCode {
    xray_triage::cli::main()
}

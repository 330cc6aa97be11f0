//! Puts `src/wire/lsl/wakeup.rs` in the place of two functions of the bundled liblsl, and tells the
//! program which compiler made it.

use std::process::Command;

/// `push_sample` and `pop_sample` of liblsl's `consumer_queue`.
const WRAPPED: [&str; 2] = [
    "_ZN3lsl14consumer_queue11push_sampleERKN8lslboost13intrusive_ptrINS_6sampleEEE",
    "_ZN3lsl14consumer_queue10pop_sampleEd",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Elsewhere the linker has no --wrap, and liblsl keeps its own functions.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        for symbol in WRAPPED {
            println!("cargo::rustc-link-arg=-Wl,--wrap={symbol}");
        }
    }
    println!("cargo::rustc-env=SALTATORY_RUSTC={}", rustc());
}

/// The compiler's name and version.
fn rustc() -> String {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(compiler).arg("--version").output();
    let said = said.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    said.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "rustc, version unknown".into())
}

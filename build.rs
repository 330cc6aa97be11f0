//! Puts `src/wire/lsl/wakeup.rs` in the place of two functions of the bundled liblsl.

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
}

//! Any text as JSON, from either side: see `protocol/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    protocol::fuzz::json(input);
});

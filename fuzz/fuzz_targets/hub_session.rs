//! Whole sessions of the hub: see `server/src/hub/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    server::hub::fuzz::hub_session(input);
});

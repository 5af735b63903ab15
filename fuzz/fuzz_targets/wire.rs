//! Any bytes of any peer, cut anywhere, above all heads of HTTP: see `server/src/wire/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    server::fuzz_wire(input);
});

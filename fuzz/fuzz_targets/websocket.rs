//! Any stream of WebSocket frames, cut anywhere: see `protocol/src/fuzz.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    protocol::fuzz::websocket(input);
});

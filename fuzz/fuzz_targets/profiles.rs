//! Any filters and kills, while filters come and go: the index matches what the interpreter matches.
#![no_main]

#[path = "../../tests/profiles/draw.rs"]
mod draw;
#[path = "../../tests/profiles/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Numbers are read from the bytes; when they are at their end, each is the least.
    let mut rest = bytes.iter();
    let mut draw = |below: u32| {
        let [high, low] = [rest.next(), rest.next()].map(|byte| u32::from(byte.copied().unwrap_or_default()));
        (high << 8 | low) % below
    };
    let profiles = 1 + draw(40);
    world::churn(&mut draw, profiles, 6);
});

//! Any bytes as a kill: no panic, a bounded answer, and what was read is read again from what we write.
#![no_main]

use broadside::killmail::{Killmail, wire};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match wire::decode(bytes) {
    Ok(kill) => {
        assert!(kill.attackers.len() <= wire::ATTACKERS_MAX);
        let again = wire::decode(kill.to_public_json().as_bytes()).expect("what we write is read");
        let form = again.form;
        assert_eq!(Killmail { form, ..kill }, again);
    }
    Err(error) => assert!(error.to_string().len() < 1000, "an error repeats what was sent: {error}"),
});

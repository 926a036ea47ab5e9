//! Any text as a filter: no panic, a short error that names a place, and what was read can be asked.
#![no_main]

use broadside::profile::{Filter, Subject, interpret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match Filter::parse(text) {
    Ok(filter) => {
        assert_eq!(Filter::parse(text).as_ref(), Ok(&filter));
        let _ = interpret::holds(&filter.root, &Subject::default());
    }
    Err(problem) => {
        let text = problem.to_string();
        assert!(text.starts_with("at ") && text.len() < 8_000, "an error repeats what was sent: {text}");
    }
});

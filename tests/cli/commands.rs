//! Help, arguments, check and schema.

use super::program::{World, text};

const COMMANDS: &[&str] = &[
    "run",
    "demo",
    "check",
    "schema",
    "backfill",
    "bench",
    "simulate",
    "dlq",
    "market",
    "prices",
    "migrate",
    "partitions",
    "sde",
    "health",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_with_an_example() {
    let world = World::new();
    for command in COMMANDS {
        let done = world.run(&[command, "--help"]);
        assert_eq!(done.code, 0, "{command}: {}", done.err);
        assert!(done.out.contains("Example") && done.out.contains(&format!("broadside {command}")), "{}", done.out);
    }
}

#[test]
fn the_help_of_the_program_names_every_command() {
    let help = World::new().run(&["--help"]).out;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
}

#[test]
fn bad_arguments_end_with_2() {
    let world = World::new();
    for arguments in [
        &[][..],
        &["walk"],
        &["run", "--speed"],
        &["backfill"],
        &["demo", "--duration", "soon"],
        &["bench", "--rate", "0"],
    ] {
        assert_eq!(world.run(arguments).code, 2, "{arguments:?}");
    }
    let done = world.run_with(&["check"], &[("BROADSIDE_LOG_FORMAT", "xml")]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("`xml`"), "{}", done.err);
}

#[test]
fn the_database_may_be_named_before_or_after_the_last_word_and_counts_more_than_the_environment() {
    for arguments in [
        &["dlq", "list", "--database", "sqlite://named.db"][..],
        &["dlq", "--database", "sqlite://named.db", "list"],
        &["migrate", "--database", "sqlite://named.db"],
    ] {
        let world = World::new();
        let done = world.run_with(arguments, &[("DATABASE_URL", "sqlite://other.db")]);
        assert_eq!(done.code, 0, "{arguments:?}: {}", done.err);
        assert_eq!(world.files(), ["named.db"], "{arguments:?}");
    }
}

#[test]
fn check_says_what_is_wrong_and_ends_with_2() {
    let world = World::new();
    let path = world
        .write("pipelines/kills.toml", "[source.generator]\n[[processor]]\nname = \"parse\"\nstages = [\"decoed\"]\n");
    for arguments in [&["check"][..], &["check", "kills"], &["check", text(&path)], &["run"]] {
        let done = world.run(arguments);
        assert_eq!(done.code, 2, "{arguments:?}");
        assert!(done.err.contains("kills.toml:4:11: unknown stage `decoed`"), "{}", done.err);
        assert!(done.err.contains("did you mean `decode`?"), "{}", done.err);
        assert_eq!(done.out, "");
    }
}

#[test]
fn check_draws_within_80_columns_and_says_what_the_limits_mean() {
    let world = World::new();
    let done = world.run(&["check"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("these come with the program"), "{}", done.out);
    assert!(done.out.lines().all(|line| line.chars().count() <= 80), "{}", done.out);
    for word in [
        "source failover",
        "zkillboard serves alone",
        "decode → deduplicate",
        "detail",
        "sink database",
        "committed",
        "messages in flight",
    ] {
        assert!(done.out.contains(word), "{word}: {}", done.out);
    }
    assert_eq!(world.files(), Vec::<String>::new(), "check leaves nothing behind");
}

#[test]
fn check_connect_tries_the_source_and_the_database() {
    let world = World::new();
    let mut feed = world.start(&["simulate", "--listen", "127.0.0.1:0"], &[]);
    let url = feed.out("feed at").replace("feed at ", "");
    assert_eq!(world.run(&["migrate"]).code, 0);
    let (files, esi) = (format!("{}/r2z2", url.trim()), format!("{}/esi", url.trim()));
    let feeds = [("WANDERER_URL", url.trim()), ("ZKILLBOARD_URL", &files), ("ESI_URL", &esi)];
    let done = world.run_with(&["check", "--connect"], &feeds);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("source failover: "), "{}", done.out);
}

#[test]
fn the_schema_is_json_that_refuses_unknown_fields() {
    let done = World::new().run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["processor"].is_object());
}

#[test]
fn no_colour_is_written_where_nobody_sees_it() {
    let world = World::new();
    for arguments in [&["--help"][..], &["check"], &["demo", "--nonsense"]] {
        let done = world.run_with(arguments, &[("NO_COLOR", "1"), ("TERM", "xterm-256color")]);
        assert!(!done.out.contains('\x1b') && !done.err.contains('\x1b'), "{arguments:?}");
    }
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = world.run(&["completions", shell]);
        assert_eq!(done.code, 0, "{shell}: {}", done.err);
        assert!(COMMANDS.iter().all(|command| done.out.contains(command)), "{shell}");
    }
    assert_eq!(world.run(&["completions", "tcl"]).code, 2);
}

#[test]
fn the_manual_has_a_page_of_the_program_and_of_each_command() {
    let world = World::new();
    let page = world.run(&["man"]);
    assert!(page.code == 0 && page.out.contains(".TH broadside 1"), "{}", page.out);
    assert_eq!(world.run(&["man", "pages"]).code, 0);
    for command in COMMANDS {
        let text = std::fs::read_to_string(world.path(&format!("pages/broadside-{command}.1"))).expect("a page");
        assert!(text.contains(".SH NAME") && text.contains(&format!("broadside\\-{command}")), "{command}: {text}");
    }
    let inner =
        std::fs::read_to_string(world.path("pages/broadside-dlq-list.1")).expect("a page of a command within one");
    assert!(inner.contains("\\-\\-json") && inner.contains("broadside dlq list"), "{inner}");
}

#[test]
fn health_says_whether_a_worker_is_ready_by_its_exit_code_too() {
    let world = World::new();
    let away = world.run(&["health", "--worker", "127.0.0.1:9"]);
    assert_eq!(away.code, 1, "{}", away.out);
    assert!(away.err.contains("no worker at http://127.0.0.1:9"), "{}", away.err);
    let mut demo = world.start(&["demo", "--listen", "127.0.0.1:0"], &[]);
    let line = demo.out("page: ");
    let address = line.split_whitespace().nth(1).expect("an address").trim_end_matches('/').to_owned();
    for arguments in [&["health"][..], &["health", "--live"], &["health", "--json"]] {
        let done = world.run_with(arguments, &[("BROADSIDE_LISTEN", &address)]);
        assert_eq!(done.code, 0, "{arguments:?}: {} {}", done.out, done.err);
    }
    demo.signal("INT");
    assert_eq!(demo.wait().code, 0);
}

//! What may be written in a pipeline file.

use broadside::stages::Config;

fn read(text: &str) -> Result<Config, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn unknown_settings_are_refused_and_the_key_is_never_shown() {
    for text in [
        r#"{"price": {"wait": "2s"}}"#,
        r#"{"price": {"janice": {"secret": "x"}}}"#,
        r#"{"price": {"market": {"price": "median"}}}"#,
        r#"{"price": {"mutamarket": {"least": -1}}}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    let config = read(
        r#"{"price": {"max_wait": "1s", "gather": "3ms", "esi": "", "market": {"region": 10000043, "price": "best_bid"},
            "janice": {"key": "top-secret", "market": 115, "pricing": "split", "variant": "top5percent", "ttl": "30m"},
            "mutamarket": {"url": "", "ttl": "1h", "least": 5}, "keep": "30d"}}"#,
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    assert_eq!((config.name(), config.lacks()), ("price", None));
    assert!(
        config.check(None).is_err_and(|error| !error.contains("secret")),
        "a contact is needed for the real Janice"
    );
    assert!(config.check(Some("me@example.com")).is_ok());
    let keep = |config: &Config| if let Config::Price(price) = config { Some(price.keep) } else { None };
    assert_eq!(keep(&config), "30d".parse().ok());
    let bare = read(r#""price""#).unwrap();
    assert_eq!(keep(&bare), "90d".parse().ok());
    assert!(bare.lacks().unwrap().contains("JANICE_API_KEY"));
}

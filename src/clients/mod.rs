//! All outgoing HTTP: one client per outside service, each with its own manners.

pub mod address;
pub mod answer;
pub mod backoff;
pub mod breaker;
pub mod cache;
pub mod download;
pub mod esi;
pub mod frames;
pub mod history;
pub mod janice;
pub mod mutamarket;
pub mod published;
pub mod pulse;
pub mod redisq;
pub mod retry;
pub mod service;
pub mod wanderer;
pub mod webhook;
pub mod worker;
pub mod zkillboard;

use std::time::Duration;

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects followed before giving up.
const REDIRECTS_MAX: usize = 3;

/// `broadside/1.2.3 (contact)`: operators of public services ask whom to write to.
#[must_use]
pub fn user_agent(contact: Option<&str>) -> String {
    match contact.map(printable).filter(|contact| !contact.is_empty()) {
        Some(contact) => format!("broadside/{} ({contact})", env!("CARGO_PKG_VERSION")),
        None => concat!("broadside/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Whether the URL's host is this machine.
#[must_use]
pub fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What every client starts from: bounded connecting and redirects, no proxy for this machine's own services.
fn http(url: &reqwest::Url, user_agent: &str) -> reqwest::ClientBuilder {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster: either way there is one now.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = reqwest::Client::builder()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX));
    if is_loopback(url) { builder.no_proxy() } else { builder }
}

/// Outside text made fit for a log line or a header: printable ASCII only, at most 200 characters.
fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    let mut words = clean.take(200).collect::<String>();
    words.truncate(words.trim_end().len());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:4004", true),
            ("http://[::1]/x", true),
            ("http://LOCALHOST/", true),
            ("http://localhost.example.com/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&url.parse().expect("url")), expected, "{url}");
        }
    }

    #[test]
    fn a_contact_cannot_smuggle_in_another_header() {
        assert!(user_agent(Some("me@example.com\r\nX: y")).ends_with("(me@example.com  X: y)"));
        assert!(!user_agent(Some(" ")).contains('('));
    }
}

//! Who may ask: this machine's own browser, and for a run only a page that the press served.

use axum::http::{HeaderMap, header};
use std::time::Duration;

/// How long the head of a request may take to arrive, and then its body.
pub const READ_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Whether a request names this machine. A page of another site whose name leads here sends that name.
pub fn is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether a page of this very address asks: a browser adds the origin to each POST of a page.
pub fn is_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(host), Some(origin)) = (text(header::HOST), text(header::ORIGIN)) else {
        return false;
    };
    origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_the_names_of_this_machine_are_answered() {
        let with = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            is_loopback(&headers)
        };
        for host in ["127.0.0.1:3000", "localhost", "LOCALHOST:1", "[::1]:3000", "[::1]"] {
            assert!(with(host), "{host}");
        }
        for host in [
            "example.org",
            "127.0.0.1.example.org",
            "localhost.example.org:3000",
            "",
            "10.0.0.1:3000",
        ] {
            assert!(!with(host), "{host}");
        }
        assert!(!is_loopback(&HeaderMap::new()));
    }
}

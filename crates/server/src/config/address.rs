//! Checks addresses of other servers, and origins of their pages.

use std::net::IpAddr;

use reqwest::Url;

/// Checks the origin of pages, which is compared with what browsers write (RFC 6454, 6.2). The error says what is wrong
/// and how to write it.
pub fn check_origin(text: &str) -> Result<(), String> {
    if text == "*" {
        return Err("\"*\" is no origin: name each site whose pages may talk to this server, as \"https://app.example.com\"".to_owned());
    }
    let origin = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https")).map(|url| url.origin().ascii_serialization());
    match origin {
        Some(origin) if origin == text => Ok(()),
        Some(origin) => Err(format!("\"{text}\" is not written as browsers write an origin: \"{origin}\"")),
        None => Err(format!(
            "\"{text}\" is no origin: scheme and host are, and a port that is not the usual one, as \"https://app.example.com\""
        )),
    }
}

/// Whether an address is on this machine, so that nobody is between it and the server.
pub fn is_loopback(url: &Url) -> bool {
    // IPv6 addresses stand in brackets in an address.
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for fine in ["https://app.example.com", "http://localhost:5173", "https://xn--bcher-kva.example", "http://[::1]:8080"] {
            assert_eq!(check_origin(fine), Ok(()), "{fine}");
        }
        for (wrong, hint) in [
            ("https://app.example.com/", "\"https://app.example.com\""),
            ("https://app.example.com/call?x=1", "\"https://app.example.com\""),
            ("https://app.example.com:443", "\"https://app.example.com\""),
            ("HTTPS://App.Example.com", "\"https://app.example.com\""),
            ("https://bücher.example", "\"https://xn--bcher-kva.example\""),
            ("https://me:secret@app.example.com", "\"https://app.example.com\""),
            ("app.example.com", "scheme and host"),
            ("https://", "scheme and host"),
            ("null", "scheme and host"),
            ("ftp://app.example.com", "scheme and host"),
            ("", "scheme and host"),
            ("*", "name each site"),
        ] {
            let said = check_origin(wrong).expect_err(wrong);
            assert!(said.contains(hint), "{wrong}: {said}");
        }
    }
}

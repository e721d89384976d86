//! Access to a server in development mode: only its own pages and pages of this machine may ask it. Otherwise a page
//! from elsewhere, whose name was made to point here (DNS rebinding), could get a token of any name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const OTHER_HOST: &str = "A server in development mode answers to localhost and to addresses, not to this name. \
     Open it by its address, or add the name to http.cors_origins.\n";
const OTHER_ORIGIN: &str = "A server in development mode does not talk to pages of this origin. Add it to http.cors_origins.\n";

/// Refuses requests of pages from elsewhere; `listed` are the origins that may ask.
pub async fn only(State(listed): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    match check(request.headers(), &listed) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, why).into_response(),
    }
}

fn check(headers: &HeaderMap, listed: &[String]) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let authority = |origin: &str| origin.split_once("://").map(|(_, authority)| authority.to_ascii_lowercase());
    let asked = text(header::HOST).map(str::to_ascii_lowercase);
    if let Some(asked) = &asked {
        let is_listed = |origin: &String| authority(origin).is_some_and(|listed| host(&listed) == host(asked));
        if !is_here(host(asked)) && !listed.iter().any(is_listed) {
            return Err(OTHER_HOST);
        }
    }
    match text(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if listed.iter().any(|listed| listed == origin) || is_localhost(origin) => Ok(()),
        Some(origin) if asked.is_some() && authority(origin) == asked => Ok(()),
        Some(_) => Err(OTHER_ORIGIN),
    }
}

/// Whether no name server was asked for this host: it is an address, or this machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok()
}

/// The host of `host:port`, without the brackets of IPv6.
fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether an origin is this machine.
pub fn is_localhost(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else { return false };
    matches!(host(rest), "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_localhost() {
        for origin in ["http://localhost:5173", "https://localhost", "http://127.0.0.1:1", "http://[::1]:80"] {
            assert!(is_localhost(origin), "{origin}");
        }
        for origin in
            ["http://localhost.evil.example", "http://evil.example", "null", "http://127.0.0.1.evil.example:80", "file://localhost"]
        {
            assert!(!is_localhost(origin), "{origin}");
        }
    }

    #[test]
    fn a_name_made_to_point_here_is_refused() {
        let listed = ["https://app.example.com".to_owned()];
        let ask = |host: &str, origin: &str| {
            let mut headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            if !origin.is_empty() {
                headers.insert(header::ORIGIN, origin.parse().expect("a value"));
            }
            check(&headers, &listed).is_ok()
        };
        for (host, origin) in [
            ("localhost:7400", ""),
            ("LOCALHOST:7400", "http://localhost:7400"),
            ("localhost:7400", "http://localhost:5173"),
            ("parlor.localhost", "http://parlor.localhost"),
            ("192.0.2.7:7400", "http://192.0.2.7:7400"),
            ("[2001:db8::1]:7400", "http://[2001:db8::1]:7400"),
            ("app.example.com", "https://app.example.com"),
            ("localhost:7400", "https://app.example.com"),
        ] {
            assert!(ask(host, origin), "{host} {origin}");
        }
        for (host, origin) in [
            ("evil.example:7400", ""),
            ("evil.example:7400", "http://evil.example:7400"),
            ("localhost.evil.example", ""),
            ("127.0.0.1.evil.example", ""),
            ("", ""),
            ("localhost:7400", "http://evil.example"),
            ("localhost:7400", "null"),
            ("192.0.2.7:7400", "http://192.0.2.8:7400"),
        ] {
            assert!(!ask(host, origin), "{host} {origin}");
        }
        assert!(check(&HeaderMap::new(), &listed).is_ok(), "no browser asks without a host");
    }
}

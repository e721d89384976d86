//! Security headers of every answer: what pages of this server may do.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Nothing from elsewhere, no plug-ins, no frames of others; only what a call needs: blob media, and wasm in audio
/// worklets. Inline styles are how components move things.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
     img-src 'self' data: blob:; media-src 'self' blob: mediastream:; style-src 'self' 'unsafe-inline'; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; connect-src 'self'";
const OTHERS: [(HeaderName, &str); 4] = [
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), geolocation=()",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds the headers an answer does not have yet.
pub async fn apply(request: Request, next: Next) -> Response {
    let content = content_security(request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(content);
    for (name, value) in OTHERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The content security policy of an answer: a page may talk to the host it came from, and to no other. That host is
/// named for browsers in which `'self'` does not include the WebSocket of the same host (Safari before 15.4).
fn content_security(headers: &HeaderMap) -> HeaderValue {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_host(host));
    let named = host.and_then(|host| HeaderValue::from_str(&format!("{CONTENT_SECURITY_POLICY} ws://{host} wss://{host}")).ok());
    named.unwrap_or(HeaderValue::from_static(CONTENT_SECURITY_POLICY))
}

/// Whether a text is a host and a port and nothing else: what is put into a policy must not be able to widen it.
fn is_host(host: &str) -> bool {
    host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_talks_to_its_own_host_only() {
        let connect = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            let policy = content_security(&headers).to_str().expect("text").to_owned();
            policy.rsplit_once("connect-src ").expect("a directive").1.to_owned()
        };
        assert_eq!(connect("voice.example.com"), "'self' ws://voice.example.com wss://voice.example.com");
        assert_eq!(connect("[::1]:7400"), "'self' ws://[::1]:7400 wss://[::1]:7400");
        for odd in ["", "*", "*.example.com", "a b", "a;script-src *", "a/b", "a,b", "'unsafe'"] {
            assert_eq!(connect(odd), "'self'", "{odd}");
        }
    }
}

//! The embedded web app: hashed assets for ever, the page itself never cached, every other path the page.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `npm run build` made of `web/app`. In debug builds it is read from disk.
#[derive(RustEmbed)]
#[folder = "../../web/app/dist"]
struct Dist;

const PAGE: &str = "index.html";
/// The build puts a hash into the name of everything in this folder: a change is another name.
const HASHED: &str = "assets/";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Parlor</title>\
    <h1>Parlor runs, but without its web app</h1>\
    <p>This server was built without the page that belongs here. <code>make run</code> builds both.</p></html>";

/// Serves a file of the app, or the page for paths the app handles itself.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path) {
        return respond(path, file, &headers);
    }
    // A missing file must not be answered with a page: a browser would try to run it as a script.
    let is_page = !path.starts_with("api/") && !path.starts_with(HASHED) && !path.rsplit('/').next().unwrap_or_default().contains('.');
    match Dist::get(PAGE) {
        _ if !is_page => StatusCode::NOT_FOUND.into_response(),
        Some(page) => respond(PAGE, page, &headers),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(NOT_BUILT)).into_response(),
    }
}

fn respond(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    use std::fmt::Write;
    let hash = file.metadata.sha256_hash();
    let tag = hash.iter().take(16).fold(String::from("\""), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    }) + "\"";
    let cache = if path.starts_with(HASHED) { FOR_EVER } else { REVALIDATE };
    let etag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, [(header::CACHE_CONTROL, cache), (header::ETAG, etag)]).into_response();
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = match (kind.type_().as_str(), kind.subtype().as_str()) {
        ("text", _) | (_, "javascript") => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    };
    let kind = HeaderValue::from_str(&kind).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache), (header::ETAG, etag)];
    (headers, Body::from(file.data.into_owned())).into_response()
}

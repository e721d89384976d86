//! The embedded web app: hashed assets are cached for ever, the page itself never. It is one page, at `/`; what it shows is in the
//! fragment of the address. Every other path is answered 404: a program that asks for `/metrics` must not take a page for an answer.

mod coding;

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::conditions::{Conditions, Read};
use coding::Coding;

/// The files that `npm run build` made of `web/app`: in the binary, in debug builds too, so that tests see what a release does.
#[derive(RustEmbed)]
#[folder = "../../web/app/dist"]
struct Dist;

const PAGE: &str = "index.html";
/// The folder in which the build puts a hash into the name of every file: a changed file has another name.
const HASHED: &str = "assets/";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

const NOTHING: &str = "There is nothing at this address. The app is at /.\n";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Parlor</title>\
    <h1>Parlor runs, but without its web app</h1>\
    <p>This server was built without the page that belongs here. <code>make run</code> builds both.</p></html>";

/// Whether the server was built with the app.
#[must_use]
pub fn is_there() -> bool {
    Dist::get(PAGE).is_some()
}

/// Serves a file of the app, or its page.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    answer(Dist::get, &method, uri.path(), &headers)
}

fn answer(files: impl Fn(&str) -> Option<EmbeddedFile>, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = path.trim_start_matches('/');
    // The compressed forms of a file are no files of their own.
    if Coding::of_file(path).is_none()
        && let Some(file) = files(path)
    {
        return respond(files, path, file, headers);
    }
    match files(PAGE) {
        _ if !path.is_empty() => (StatusCode::NOT_FOUND, NOTHING).into_response(),
        Some(page) => respond(files, PAGE, page, headers),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(NOT_BUILT)).into_response(),
    }
}

fn respond(files: impl Fn(&str) -> Option<EmbeddedFile>, path: &str, plain: EmbeddedFile, headers: &HeaderMap) -> Response {
    // The build leaves a compressed form beside each file that gets smaller by it.
    let made = |coding: Coding| files(&format!("{path}.{}", coding.extension())).map(|file| (coding, file));
    let forms: Vec<_> = Coding::ALL.into_iter().filter_map(made).collect();
    let tag = tag(&plain, None);
    let (coding, file) = match coding::preferred(headers, forms.iter().map(|(coding, _)| *coding)) {
        Some(wanted) => forms.iter().find(|(coding, _)| *coding == wanted).map_or((None, &plain), |(_, file)| (Some(wanted), file)),
        None => (None, &plain),
    };
    // A compressed form is the same page in other bytes, so it has a tag of its own (RFC 9110, 8.8.3.3).
    let tag = if coding.is_some() { self::tag(&plain, coding) } else { tag };
    let cache = if path.starts_with(HASHED) { FOR_EVER } else { REVALIDATE };
    let etag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    let conditions = Conditions::of(headers).of_read(&tag);
    let mut response = match conditions {
        Read::Wanted => Body::from(bytes(file)).into_response(),
        Read::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Read::Failed => StatusCode::PRECONDITION_FAILED.into_response(),
    };
    let answered = response.headers_mut();
    answered.insert(header::CACHE_CONTROL, cache);
    answered.insert(header::ETAG, etag);
    if !forms.is_empty() {
        answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if conditions == Read::Wanted {
        answered.insert(header::CONTENT_TYPE, kind(path));
        if let Some(coding) = coding {
            answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
    }
    response
}

/// The bytes of a file without a copy: a client that asks a thousand times and does not read costs no memory.
fn bytes(file: &EmbeddedFile) -> Bytes {
    match &file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::copy_from_slice(bytes),
    }
}

fn tag(file: &EmbeddedFile, coding: Option<Coding>) -> String {
    use std::fmt::Write;
    let mut tag = String::from("\"");
    for byte in file.metadata.sha256_hash().iter().take(16) {
        let _ = write!(tag, "{byte:02x}");
    }
    if let Some(coding) = coding {
        let _ = write!(tag, "-{}", coding.name());
    }
    tag + "\""
}

fn kind(path: &str) -> HeaderValue {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = match (kind.type_().as_str(), kind.subtype().as_str()) {
        ("text", _) | (_, "javascript") => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    };
    HeaderValue::from_str(&kind).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// A folder as the build leaves it.
    #[derive(RustEmbed)]
    #[folder = "tests/app"]
    struct Sample;

    fn get(path: &str, headers: &[(&'static str, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        answer(Sample::get, &Method::GET, path, &headers.collect())
    }

    fn header(response: &Response, name: &str) -> String {
        response.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
    }

    #[tokio::test]
    async fn who_can_read_it_gets_the_smaller_form() {
        for (accepted, coding, body) in [
            ("gzip, deflate, br, zstd", "br", "brotli\n"),
            ("gzip", "gzip", "gzip\n"),
            ("br;q=0, gzip;q=0.5", "gzip", "gzip\n"),
            ("", "", "plain\n"),
        ] {
            let response = get("/assets/a.js", &[("accept-encoding", accepted)]);
            assert_eq!((header(&response, "content-encoding").as_str(), header(&response, "vary").as_str()), (coding, "accept-encoding"));
            assert_eq!(header(&response, "content-type"), "text/javascript; charset=utf-8");
            assert_eq!(to_bytes(response.into_body(), 100).await.expect("a body"), body);
        }
        let alone = get("/icon.svg", &[("accept-encoding", "br")]);
        assert_eq!((header(&alone, "content-encoding").as_str(), header(&alone, "vary").as_str()), ("", ""));
    }

    #[test]
    fn each_form_has_its_tag_and_is_not_sent_twice() {
        let tag = |accepted: &str| header(&get("/assets/a.js", &[("accept-encoding", accepted)]), "etag");
        let tags = [tag("br"), tag("gzip"), tag("")];
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
        let again = |given: &str| get("/assets/a.js", &[("accept-encoding", "br"), ("if-none-match", given)]);
        for known in [tags[0].clone(), format!("W/{}", tags[0]), format!("\"x\", {}", tags[0]), "*".to_owned()] {
            let response = again(&known);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!((header(&response, "etag"), header(&response, "vary").as_str()), (tags[0].clone(), "accept-encoding"));
        }
        for other in [&tags[1], "\"x\"", ""] {
            assert_eq!(again(other).status(), StatusCode::OK, "{other}");
        }
        let only = |given: &str| get("/assets/a.js", &[("accept-encoding", "br"), ("if-match", given)]).status();
        assert_eq!((only(&tags[0]), only(&tags[1])), (StatusCode::OK, StatusCode::PRECONDITION_FAILED));
    }

    #[test]
    fn a_form_is_no_file_of_its_own() {
        assert_eq!(get("/assets/a.js.br", &[]).status(), StatusCode::NOT_FOUND);
        assert_eq!(get("/index.html.gz", &[]).status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&get("/", &[]), "content-type"), "text/html; charset=utf-8");
    }

    #[test]
    fn a_path_that_is_nothing_of_the_app_is_not_found() {
        for path in ["/metrics", "/channel/den", "/assets/b.js", "/api/nothing"] {
            let response = get(path, &[]);
            assert_eq!(
                (response.status(), header(&response, "content-type").as_str()),
                (StatusCode::NOT_FOUND, "text/plain; charset=utf-8"),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_served_is_not_copied() {
        let file = Sample::get("assets/a.js").expect("is there");
        let addresses = [bytes(&file).as_ptr(), bytes(&file).as_ptr(), file.data.as_ptr()];
        assert!(addresses.iter().all(|address| *address == addresses[0]), "{addresses:?}");
        assert!(matches!(file.data, Cow::Borrowed(_)), "also in this build");
    }
}

//! HTTP: whether it is Parlor that answers, whether it is ready, and what time it has.

use std::net::SocketAddr;
use std::time::Duration;

use parlor_proto::Timestamp;
use reqwest::header::{DATE, HeaderMap, LOCATION, SERVER};
use reqwest::{Client, RequestBuilder, redirect};

use super::STEP;
use super::address::Site;
use super::finding::{Fault, Finding, Step};
use super::tls::Trust;

/// The most bytes of an answer that are read: the longest has the addresses of media, below 2 KiB. It may be anybody's server.
const MAX_BODY: usize = 64 * 1024;
/// The most of a text of the other side that is shown.
const MAX_SHOWN: usize = 100;
/// How far clocks may be apart: so much is allowed at the end of a token.
const CLOCKS: Duration = Duration::from_secs(30);

/// A client of one server.
#[derive(Clone, Debug)]
pub struct Web {
    client: Client,
    site: Site,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// The body, as far as it was read.
    pub body: String,
    server: String,
    location: String,
    date: String,
}

impl Web {
    /// A client that asks at these addresses, and nowhere else.
    pub fn new(site: &Site, at: &[SocketAddr], trust: &Trust) -> Result<Self, reqwest::Error> {
        let builder = Client::builder()
            .tls_backend_preconfigured(trust.config.clone())
            .resolve_to_addrs(&site.host, at)
            .timeout(STEP)
            // What answers is to be seen, and not where it sends others.
            .redirect(redirect::Policy::none())
            // The way is looked at that people have, who do not sit behind a proxy of this machine.
            .no_proxy()
            .user_agent(concat!("parlor-doctor/", env!("CARGO_PKG_VERSION")));
        Ok(Self { client: builder.build()?, site: site.clone() })
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Result<Page, String> {
        read(self.client.get(self.url(path))).await
    }

    /// Asks for a path with a token.
    pub async fn get_as(&self, token: &str, path: &str) -> Result<Page, String> {
        read(self.client.get(self.url(path)).bearer_auth(token)).await
    }

    /// Posts a text.
    pub async fn post(&self, path: &str, kind: &str, body: String) -> Result<Page, String> {
        read(self.client.post(self.url(path)).header("content-type", kind).body(body)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.site.url.as_str().trim_end_matches('/'))
    }
}

impl Page {
    /// The page of an answer with nothing in its headers.
    #[cfg(test)]
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), ..Self::default() }
    }

    /// The time that the answer says it is.
    pub fn time(&self) -> Option<Timestamp> {
        let parsed = time::OffsetDateTime::parse(&self.date, &time::format_description::well_known::Rfc2822);
        Some(Timestamp(parsed.ok()?.unix_timestamp().checked_mul(1_000)?))
    }

    /// The status and whose it is, in words.
    pub fn words(&self) -> String {
        let server = if self.server.is_empty() { String::new() } else { format!(" from \"{}\"", self.server) };
        format!("{}{server}", self.status)
    }
}

async fn read(request: RequestBuilder) -> Result<Page, String> {
    let mut response = request.send().await.map_err(|error| innermost(&error))?;
    let text = |headers: &HeaderMap, name| headers.get(name).and_then(|value| value.to_str().ok()).map(shown).unwrap_or_default();
    let headers = response.headers();
    let mut page = Page {
        status: response.status().as_u16(),
        server: text(headers, SERVER),
        location: text(headers, LOCATION),
        date: text(headers, DATE),
        body: String::new(),
    };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| innermost(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            body.truncate(MAX_BODY);
            break;
        }
    }
    page.body = String::from_utf8_lossy(&body).into_owned();
    Ok(page)
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "no answer in time".to_owned() } else { shown(&cause.to_string()) }
}

/// A text of the other side as it may stand on a terminal: short, in one line, and without marks that do something.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect::<String>().trim().to_owned()
}

/// What the answers to `/healthz` and `/readyz` say.
pub fn judge(health: &Result<Page, String>, ready: &Result<Page, String>) -> Finding {
    let broken = |fault, seen: String, fix: &str| Finding::broken(Step::Http, fault, seen, fix);
    let page = match health {
        Err(why) => {
            let fix = "Proxy or Parlor: something takes connections on this port and does not speak HTTP. Look at what listens there, and at its log.";
            return broken(Fault::HttpSilent, format!("no answer over HTTP: {why}"), fix);
        }
        Ok(page) => page,
    };
    match page.status {
        200 if page.body.trim() == "ok" => match ready {
            Ok(ready) if ready.status == 200 => Finding::ok(Step::Http, "Parlor answers, and is ready"),
            Ok(ready) => {
                let why = shown(&ready.body);
                let fix = "Parlor: it lives and takes nobody in. Its log says more; the store is store.url.";
                broken(Fault::NotReady, format!("Parlor is not ready: {why}"), fix)
            }
            Err(why) => broken(
                Fault::NotReady,
                format!("/readyz has no answer: {why}"),
                "Parlor: it does not tell whether it is ready; look at its log.",
            ),
        },
        502..=504 => {
            let fix = "Proxy: it is there, and does not reach Parlor behind it. See that Parlor runs (parlor serve), and that the proxy leads to \
                       its http.listen (127.0.0.1:7400, or the name of the container and the port).";
            broken(Fault::ProxyWithoutServer, format!("{} is the proxy's own answer", page.words()), fix)
        }
        300..=399 => {
            let fix = "Give the address that people have in the end, or take the redirection of /healthz away: clients of socket.io do not follow it.";
            broken(Fault::Redirected, format!("{} leads to {}", page.words(), page.location), fix)
        }
        _ => {
            let fix = "Proxy: this name (or path) leads to another program than Parlor. All paths of the name have to go to Parlor's http.listen.";
            broken(Fault::NotParlor, format!("/healthz is answered by something else: {}", page.words()), fix)
        }
    }
}

/// What the times of both sides say. `theirs` is from `whom`.
pub fn judge_clock(theirs: Option<Timestamp>, ours: Timestamp, whom: &str) -> Finding {
    let Some(theirs) = theirs else {
        return Finding::skipped(Step::Clock, format!("{whom} does not say what time it is"));
    };
    let apart = theirs.0.saturating_sub(ours.0);
    let seconds = apart.unsigned_abs() / 1_000;
    if u128::from(seconds) <= u128::from(CLOCKS.as_secs()) {
        return Finding::ok(Step::Clock, format!("{whom} and this machine are {seconds} s apart"));
    }
    let direction = if apart < 0 { "behind" } else { "ahead" };
    let fix = "Clock: tokens and TURN credentials end at a time of day, so both are refused too early or never begin. Compare both machines \
               with a third (timedatectl), and run a time service (systemd-timesyncd, chrony) on the one that is wrong.";
    Finding::broken(Step::Clock, Fault::ClocksDiffer, format!("{whom} is {seconds} s {direction} of this machine"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Option<Fault> {
        judge(&Ok(Page::new(status, body)), &Ok(Page::new(200, "ready"))).fault
    }

    #[test]
    fn parlor_is_told_from_its_proxy_and_from_others() {
        assert_eq!(judged(200, "ok\n"), None);
        assert_eq!(judged(502, "<html>"), Some(Fault::ProxyWithoutServer));
        assert_eq!(judged(504, ""), Some(Fault::ProxyWithoutServer));
        assert_eq!(judged(301, ""), Some(Fault::Redirected));
        for (status, body) in [(200, "<html>Welcome to nginx</html>"), (404, ""), (401, "")] {
            assert_eq!(judged(status, body), Some(Fault::NotParlor), "{status}");
        }
        assert_eq!(judge(&Err("closed".into()), &Err("closed".into())).fault, Some(Fault::HttpSilent));
        let stopping = judge(&Ok(Page::new(200, "ok\n")), &Ok(Page::new(503, "stopping\n")));
        assert_eq!((stopping.fault, stopping.seen.as_str()), (Some(Fault::NotReady), "Parlor is not ready: stopping"));
    }

    #[test]
    fn clocks_may_be_half_a_minute_apart_in_either_direction() {
        let fault = |theirs: i64| judge_clock(Some(Timestamp(theirs)), Timestamp(1_000_000), "it").fault;
        assert_eq!((fault(1_030_000), fault(970_000)), (None, None));
        assert_eq!((fault(1_031_000), fault(0)), (Some(Fault::ClocksDiffer), Some(Fault::ClocksDiffer)));
        assert_eq!(fault(i64::MIN), Some(Fault::ClocksDiffer));
        let page = Page { date: "Mon, 30 Nov 2026 19:00:00 GMT".into(), ..Page::default() };
        assert_eq!(page.time().map(|time| time.to_rfc3339()).as_deref(), Some("2026-11-30T19:00:00Z"));
    }

    #[test]
    fn what_the_other_side_writes_does_nothing_on_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\r\nc"), "a[2Jbc");
        assert_eq!(shown(&"x".repeat(1_000)).len(), MAX_SHOWN);
    }
}

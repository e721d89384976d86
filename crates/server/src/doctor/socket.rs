//! socket.io as a client speaks it: by long polling as far as the greeting, and by WebSocket for a session.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::STEP;
use super::address::Site;
use super::connect::connect;
use super::finding::{Fault, Finding, Step};
use super::line::Stream;
use super::tls::Trust;
use super::web::{Page, Web, shown};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// The most bytes of a message that are read: the reply to a join of the largest channel has about 100 KiB. It may be anybody's server.
const MAX_MESSAGE: usize = 1024 * 1024;

/// A connection of socket.io.
pub struct Socket {
    stream: WebSocketStream<Box<dyn Stream>>,
    next: u64,
}

/// Why there is no connection by WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoSocket {
    /// The upgrade was answered with this status instead.
    Status(u16),
    /// Something else.
    Failed(String),
}

/// A refusal by the server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refusal {
    /// The code.
    pub code: String,
    /// The sentence.
    pub sentence: String,
    /// The reason in the details; empty if there is none.
    pub reason: String,
}

impl Refusal {
    /// Reads the error object of an answer; nothing if it is none.
    pub fn read(answer: &Value) -> Option<Self> {
        let text = |value: &Value| shown(value.as_str().unwrap_or_default());
        let code = answer.get("code")?.as_str()?;
        let of = |name: &str| answer.get(name).map(text).unwrap_or_default();
        let reason = answer.pointer("/details/reason").map(text).unwrap_or_default();
        Some(Self { code: shown(code), sentence: of("error"), reason })
    }

    /// The refusal of a connection that ended without a word.
    fn silent(why: &str) -> Self {
        Self { code: String::new(), sentence: why.to_owned(), reason: String::new() }
    }

    /// The refusal in words.
    pub fn words(&self) -> String {
        let parts = [self.code.as_str(), self.sentence.as_str(), self.reason.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// Opens a connection by long polling, and closes it.
pub async fn poll(web: &Web) -> Finding {
    let opened = web.get(POLLING).await;
    if let Some(sid) = opened.as_ref().ok().and_then(greeting) {
        let sid: String = sid.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let _ = web.post(&format!("{POLLING}&sid={sid}"), "text/plain", "1".to_owned()).await;
    }
    judge_polling(&opened)
}

fn greeting(page: &Page) -> Option<String> {
    let packet = page.body.strip_prefix('0').filter(|_| page.status == 200)?;
    Some(serde_json::from_str::<Value>(packet).ok()?.get("sid")?.as_str()?.to_owned())
}

/// What the answer to a first poll says.
fn judge_polling(opened: &Result<Page, String>) -> Finding {
    let seen = match opened {
        Ok(page) if greeting(page).is_some() => return Finding::ok(Step::Polling, "socket.io answers"),
        Ok(page) => format!("/socket.io/ is answered with {}", page.words()),
        Err(why) => format!("/socket.io/ is not answered: {why}"),
    };
    let fix = "Proxy: pass everything below /socket.io/ on to Parlor as it is, with its query, and without buffering or caching.";
    Finding::broken(Step::Polling, Fault::PollingBroken, seen, fix)
}

/// What the attempt to upgrade says.
pub fn judge_upgrade(upgraded: Result<(), &NoSocket>) -> Finding {
    let seen = match upgraded {
        Ok(()) => return Finding::ok(Step::Websocket, "the upgrade comes through"),
        Err(NoSocket::Status(status)) => format!("the upgrade of /socket.io/ was answered {status} instead of 101"),
        Err(NoSocket::Failed(why)) => format!("no WebSocket at /socket.io/: {why}"),
    };
    let fix = "Proxy: it does not pass WebSockets on. nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header \
               Connection \"upgrade\". Apache: mod_proxy_wstunnel. A CDN or load balancer: switch WebSockets on.";
    Finding::broken(Step::Websocket, Fault::NoUpgrade, seen, fix)
}

impl Socket {
    /// Opens a connection by WebSocket and waits for the greeting.
    pub async fn open(site: &Site, at: SocketAddr, trust: &Trust) -> Result<Self, NoSocket> {
        let failed = |why: String| NoSocket::Failed(why);
        let tcp = connect(at).await.map_err(|outcome| failed(format!("{at} {}", outcome.words())))?;
        let stream: Box<dyn Stream> = if site.tls {
            Box::new(trust.shake(&site.host, tcp).await.map_err(|problem| failed(problem.explain(&site.host).1))?)
        } else {
            Box::new(tcp)
        };
        let scheme = if site.tls { "wss" } else { "ws" };
        let authority = site.url.authority();
        let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let upgrade = client_async_with_config(format!("{scheme}://{authority}{WEBSOCKET}"), stream, Some(limits));
        let stream = match timeout(STEP, upgrade).await {
            Ok(Ok((stream, _))) => stream,
            Ok(Err(Error::Http(response))) => return Err(NoSocket::Status(response.status().as_u16())),
            Ok(Err(error)) => return Err(failed(shown(&error.to_string()))),
            Err(_) => return Err(failed("no answer in time".to_owned())),
        };
        let mut socket = Self { stream, next: 0 };
        match socket.text_in_time().await {
            Some(text) if text.starts_with("0{") => Ok(socket),
            Some(text) => Err(failed(format!("something else than socket.io speaks: {}", shown(&text)))),
            None => Err(failed("the upgrade is answered, and nothing comes through".to_owned())),
        }
    }

    /// Shows a token.
    pub async fn sign_in(&mut self, token: &str) -> Result<(), Refusal> {
        self.send(format!("40{}", json!({ "token": token }))).await;
        match self.text_in_time().await {
            Some(text) if text.starts_with("40") => Ok(()),
            Some(text) => {
                let answer: Value = text.strip_prefix("44").and_then(|rest| serde_json::from_str(rest).ok()).unwrap_or_default();
                Err(answer.get("data").and_then(Refusal::read).unwrap_or_else(|| Refusal::silent(&shown(&text))))
            }
            None => Err(Refusal::silent("no answer to the token")),
        }
    }

    /// Sends a request and waits for its answer.
    pub async fn ask(&mut self, event: &str, payload: &Value) -> Result<Value, Refusal> {
        let number = self.next;
        self.next += 1;
        self.send(format!("42{number}{}", json!([event, payload]))).await;
        let head = format!("43{number}[");
        let answered = timeout(STEP, async {
            loop {
                let text = self.text().await?;
                if let Some(rest) = text.strip_prefix(&head) {
                    return serde_json::from_str::<Value>(rest.strip_suffix(']')?).ok();
                }
            }
        });
        let answer = answered.await.ok().flatten().ok_or_else(|| Refusal::silent(&format!("no answer to {event}")))?;
        Refusal::read(&answer).map_or(Ok(answer), Err)
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        self.send("41".to_owned()).await;
        let _ = timeout(STEP, self.stream.close(None)).await;
    }

    async fn send(&mut self, text: String) {
        // What fails here is noticed where the answer does not come.
        let _ = timeout(STEP, self.stream.send(Message::text(text))).await;
    }

    async fn text_in_time(&mut self) -> Option<String> {
        timeout(STEP, self.text()).await.ok().flatten()
    }

    /// The next packet, pings answered; nothing when the connection is over.
    async fn text(&mut self) -> Option<String> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) if text.as_str() == "2" => self.send("3".to_owned()).await,
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_greeting_of_socket_io_is_one() {
        let fault = |status, body| judge_polling(&Ok(Page::new(status, body))).fault;
        assert_eq!(fault(200, r#"0{"sid":"a","upgrades":["websocket"]}"#), None);
        for (status, body) in [(404, "nothing"), (200, "<html>"), (200, "0nonsense"), (500, r#"0{"sid":"a"}"#)] {
            assert_eq!(fault(status, body), Some(Fault::PollingBroken), "{status} {body}");
        }
        assert_eq!(judge_upgrade(Err(&NoSocket::Status(400))).fault, Some(Fault::NoUpgrade));
    }

    #[test]
    fn an_answer_with_a_code_is_a_refusal() {
        let refusal = json!({ "error": "No.", "code": "UNAUTHENTICATED", "details": { "reason": "the token has expired" } });
        assert_eq!(Refusal::read(&refusal).expect("one").words(), "UNAUTHENTICATED, No., the token has expired");
        assert_eq!(Refusal::read(&json!({ "channelId": "a" })), None);
    }
}

//! The WebSocket API of a Janus server: one connection, one session, requests one after the other.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::error::BotError;

/// The longest an answer may take: a loaded server answers slowly.
const PATIENCE: Duration = Duration::from_secs(20);
const PLUGIN: &str = "janus.plugin.videoroom";

/// A session with its connection.
pub(super) struct Api {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: u64,
    next_transaction: u64,
}

/// What a plugin answered: its data, and a description if there is one.
pub(super) struct Answer {
    pub(super) data: Value,
    pub(super) sdp: Option<String>,
}

impl Api {
    /// Connects to `ws://host:port` and opens a session.
    pub(super) async fn connect(url: &str) -> Result<Self, BotError> {
        let failed = |reason: String| BotError::Connect { url: url.to_owned(), reason };
        let mut request = url.into_client_request().map_err(|e| failed(e.to_string()))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("janus-protocol"));
        let connecting = timeout(PATIENCE, connect_async(request)).await.map_err(|_| failed("no answer".into()))?;
        let (stream, _) = connecting.map_err(|e| failed(e.to_string()))?;
        let mut api = Self { stream, session: 0, next_transaction: 0 };
        api.session = id(&api.request(json!({ "janus": "create" })).await?)?;
        Ok(api)
    }

    /// Makes a handle of the video room plugin.
    pub(super) async fn attach(&mut self) -> Result<u64, BotError> {
        id(&self.request(json!({ "janus": "attach", "plugin": PLUGIN })).await?)
    }

    /// Sends a message to the plugin and waits for what it answers.
    pub(super) async fn message(&mut self, handle: u64, body: Value, jsep: Option<Value>) -> Result<Answer, BotError> {
        let mut request = json!({ "janus": "message", "handle_id": handle, "body": body });
        if let (Some(jsep), Some(object)) = (jsep, request.as_object_mut()) {
            object.insert("jsep".to_owned(), jsep);
        }
        let answer = self.request(request).await?;
        let data = answer.pointer("/plugindata/data").cloned().unwrap_or_default();
        refused("message", &data)?;
        Ok(Answer { data, sdp: answer.pointer("/jsep/sdp").and_then(Value::as_str).map(str::to_owned) })
    }

    /// Sends a request, and reads until its answer comes. An `ack` only says that the answer comes later.
    async fn request(&mut self, mut request: Value) -> Result<Value, BotError> {
        self.next_transaction += 1;
        let transaction = self.next_transaction.to_string();
        if let Some(object) = request.as_object_mut() {
            object.insert("transaction".to_owned(), transaction.clone().into());
            if self.session != 0 {
                object.insert("session_id".to_owned(), self.session.into());
            }
        }
        self.stream.send(Message::text(request.to_string())).await.map_err(|_| BotError::Closed)?;
        let waiting = async {
            while let Some(message) = self.stream.next().await {
                let Ok(Message::Text(text)) = message else { continue };
                let Ok(answer) = serde_json::from_str::<Value>(&text) else { continue };
                let ours = answer.get("transaction").and_then(Value::as_str) == Some(&transaction);
                if ours && answer.get("janus").and_then(Value::as_str) != Some("ack") {
                    return Ok(answer);
                }
            }
            Err(BotError::Closed)
        };
        let answer = timeout(PATIENCE, waiting).await.map_err(|_| BotError::Timeout(format!("Janus: {request:.200}")))??;
        match answer.get("error") {
            Some(error) => Err(refusal("janus", error.get("code"), error.get("reason"))),
            None => Ok(answer),
        }
    }
}

fn id(answer: &Value) -> Result<u64, BotError> {
    let unfit = || BotError::Protocol { event: "janus".to_owned(), reason: format!("no id in {answer}") };
    answer.pointer("/data/id").and_then(Value::as_u64).ok_or_else(unfit)
}

fn refused(event: &str, data: &Value) -> Result<(), BotError> {
    data.get("error_code").map_or(Ok(()), |code| Err(refusal(event, Some(code), data.get("error"))))
}

fn refusal(event: &str, code: Option<&Value>, reason: Option<&Value>) -> BotError {
    BotError::Refused {
        event: event.to_owned(),
        code: code.map(Value::to_string).unwrap_or_default(),
        message: reason.and_then(Value::as_str).unwrap_or_default().to_owned(),
        details: serde_json::Map::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_plugin_is_an_error() {
        assert!(refused("x", &json!({ "videoroom": "event" })).is_ok());
        let error = refused("x", &json!({ "error_code": 426, "error": "No such room" })).expect_err("refused");
        assert_eq!(error.code(), Some("426"));
    }
}

//! Tests of the rules of engine.io, as its protocol states them, with a server that sends every message back.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::Request;
use futures_util::{SinkExt, StreamExt};
use parlor_testkit::wait::{PATIENCE, seen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::signal::engine::*;

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);
const MAX_PAYLOAD: usize = 1000;

/// A handler that sends every message back, and remembers how connections ended.
#[derive(Default)]
struct Echo {
    ends: Mutex<Vec<End>>,
    begun: AtomicU32,
}

impl Handler for Arc<Echo> {
    type Data = ();

    fn on_connect(&self, _socket: &Arc<Socket<()>>) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }
    fn on_message(&self, message: &str, socket: &Arc<Socket<()>>) {
        match message {
            "close" => socket.close(CloseCode::Restart),
            message => assert!(socket.emit(format!("4{message}").into())),
        }
    }
    fn on_binary(&self, socket: &Arc<Socket<()>>) {
        assert!(socket.emit(Frame::from_static("4bytes")));
    }
    fn on_end(&self, _socket: &Arc<Socket<()>>, end: End) {
        self.ends.lock().expect("no panic").push(end);
    }
}

/// A running server.
struct Place {
    url: String,
    echo: Arc<Echo>,
    http: reqwest::Client,
}

impl Place {
    async fn start() -> Self {
        Self::with(INTERVAL, TIMEOUT).await
    }

    /// A running server whose heartbeat does not interfere with the test.
    async fn quiet() -> Self {
        Self::with(PATIENCE, PATIENCE).await
    }

    async fn with(ping_interval: Duration, ping_timeout: Duration) -> Self {
        let echo = Arc::new(Echo::default());
        let config = Config { ping_interval, ping_timeout, max_payload: MAX_PAYLOAD, outgoing: 64 };
        let engine = Arc::new(Engine::new(Arc::clone(&echo), config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("{}/socket.io/?", listener.local_addr().expect("address"));
        let router = Router::new().fallback(move |request: Request| async move { engine.serve(request).await });
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, echo, http: reqwest::Client::new() }
    }

    async fn send(&self, method: reqwest::Method, query: &str, body: &str) -> (u16, String) {
        let request = self.http.request(method, format!("http://{}{query}", self.url)).body(body.to_owned());
        let response = request.send().await.expect("answers");
        (response.status().as_u16(), response.text().await.expect("a text"))
    }

    async fn get(&self, query: &str) -> (u16, String) {
        self.send(reqwest::Method::GET, query, "").await
    }

    async fn poll(&self, sid: &str) -> (u16, String) {
        self.get(&format!("EIO=4&transport=polling&sid={sid}")).await
    }

    async fn post(&self, sid: &str, body: &str) -> (u16, String) {
        self.send(reqwest::Method::POST, &format!("EIO=4&transport=polling&sid={sid}"), body).await
    }

    /// Opens a connection that polls, and returns its id.
    async fn polling(&self) -> String {
        let (status, hello) = self.get("EIO=4&transport=polling").await;
        assert_eq!(status, 200);
        open(&hello)["sid"].as_str().expect("a text").to_owned()
    }

    async fn try_websocket(&self, query: &str) -> Option<Client> {
        connect_async(format!("ws://{}{query}", self.url)).await.ok().map(|(stream, _)| Client(stream))
    }

    async fn websocket(&self) -> Client {
        let mut client = self.try_websocket("EIO=4&transport=websocket").await.expect("connects");
        open(&client.text().await.expect("a hello"));
        client
    }

    async fn ended(&self) -> End {
        let last = async || self.echo.ends.lock().expect("no panic").pop();
        seen("the connection ends", last, Option::is_some).await.expect("is some")
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("sends");
    }

    /// The next text message; `None` when the connection is closed.
    async fn text(&mut self) -> Option<String> {
        match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something comes") {
            Some(Ok(Message::Text(text))) => Some(text.to_string()),
            _ => None,
        }
    }

    async fn close(mut self, code: Option<u16>) {
        let _ = self.0.close(code.map(|code| CloseFrame { code: code.into(), reason: Utf8Bytes::default() })).await;
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

fn open(hello: &str) -> serde_json::Value {
    serde_json::from_str(hello.strip_prefix('0').expect("the packet that opens")).expect("JSON")
}

#[tokio::test]
async fn a_connection_opens_with_what_the_client_must_know() {
    let place = Place::quiet().await;
    let (_, polled) = place.get("EIO=4&transport=polling").await;
    let mut websocket = place.try_websocket("EIO=4&transport=websocket").await.expect("connects");
    for (hello, upgrades) in [(polled, serde_json::json!(["websocket"])), (websocket.text().await.expect("a hello"), serde_json::json!([]))]
    {
        let hello = open(&hello);
        assert_eq!(hello.as_object().expect("an object").len(), 5, "{hello}");
        assert!(hello["sid"].as_str().is_some_and(|sid| sid.len() >= 20), "{hello}");
        let millis = u64::try_from(PATIENCE.as_millis()).expect("fits");
        assert_eq!(
            (&hello["pingInterval"], &hello["pingTimeout"], &hello["maxPayload"]),
            (&millis.into(), &millis.into(), &MAX_PAYLOAD.into())
        );
        assert_eq!(hello["upgrades"], upgrades);
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_refused_and_begins_nothing() {
    let place = Place::quiet().await;
    for query in ["transport=polling", "EIO=abc&transport=polling", "EIO=3&transport=polling", "EIO=4", "EIO=4&transport=abc"] {
        assert_eq!(place.get(query).await.0, 400, "{query}");
    }
    for method in [reqwest::Method::POST, reqwest::Method::PUT] {
        assert_eq!(place.send(method, "EIO=4&transport=polling", "").await.0, 400);
    }
    for query in ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=websocket&sid=unknown"] {
        assert!(place.try_websocket(query).await.is_none(), "{query}");
    }
    // The request asks for a WebSocket without its handshake.
    assert_eq!(place.get("EIO=4&transport=websocket").await.0, 400);
    assert_eq!(place.poll("unknown").await.0, 400);
    assert_eq!(place.echo.begun.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn packets_come_and_go_in_the_bodies_of_polls() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    assert_eq!(place.post(&sid, "4hello").await, (200, "ok".to_owned()));
    assert_eq!(place.poll(&sid).await, (200, "4hello".to_owned()));
    place.post(&sid, "4test1\x1e4test2\x1e4test3").await;
    assert_eq!(place.poll(&sid).await, (200, "4test1\x1e4test2\x1e4test3".to_owned()));
    place.post(&sid, "4hello\x1ebAQIDBA==").await;
    assert_eq!(place.poll(&sid).await, (200, "4hello\x1e4bytes".to_owned()));
}

#[tokio::test]
async fn packets_come_and_go_in_messages_of_a_websocket() {
    let place = Place::quiet().await;
    let mut client = place.websocket().await;
    client.send("4hello").await;
    assert_eq!(client.text().await.as_deref(), Some("4hello"));
    client.0.send(Message::binary(vec![1, 2, 3])).await.expect("sends");
    assert_eq!(client.text().await.as_deref(), Some("4bytes"));
}

#[tokio::test]
async fn a_malformed_packet_closes_the_connection() {
    let place = Place::quiet().await;
    for garbage in ["abc", "", "4a\x1e", "0", "2", "2probe", "bA"] {
        let sid = place.polling().await;
        assert_eq!(place.post(&sid, garbage).await.0, 400, "{garbage:?}");
        assert_eq!(place.ended().await, End::Malformed);
        assert_eq!(place.poll(&sid).await.0, 400, "it is over");
    }
    for garbage in ["abc", "", "0", "2", "2probe"] {
        let mut client = place.websocket().await;
        client.send(garbage).await;
        assert_eq!(client.text().await, None, "{garbage:?}");
        assert_eq!(place.ended().await, End::Malformed);
    }
}

#[tokio::test]
async fn a_payload_has_a_largest_size() {
    let place = Place::quiet().await;
    let large = format!("4{}", "x".repeat(MAX_PAYLOAD));
    let sid = place.polling().await;
    assert_eq!(place.post(&sid, &large).await.0, 413);
    assert_eq!(place.ended().await, End::Malformed);
    let mut client = place.websocket().await;
    client.send(&large).await;
    assert_eq!(client.text().await, None);
    assert_eq!(place.ended().await, End::Malformed);
}

#[tokio::test]
async fn two_polls_at_once_close_the_connection() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    let (one, other) = tokio::join!(place.poll(&sid), place.poll(&sid));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert!([one.1, other.1].contains(&"1".to_owned()), "the one that waited is told that it is over");
    assert_eq!(place.ended().await, End::Broken);
    assert_eq!(place.poll(&sid).await.0, 400);
}

#[tokio::test]
async fn the_first_ping_comes_after_an_interval_and_pongs_keep_the_connection() {
    let place = Place::start().await;
    let (sid, began) = (place.polling().await, std::time::Instant::now());
    let mut client = place.websocket().await;
    for n in 1..=3 {
        assert_eq!(client.text().await.as_deref(), Some("2"));
        assert!(began.elapsed() >= INTERVAL * n, "{:?}", began.elapsed());
        client.send("3").await;
        assert_eq!(place.poll(&sid).await, (200, "2".to_owned()));
        assert_eq!(place.post(&sid, "3").await.0, 200);
    }
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_gone() {
    let place = Place::start().await;
    let mut client = place.websocket().await;
    let sid = place.polling().await;
    // A pong that comes before the ping answers nothing.
    client.send("3").await;
    assert_eq!(client.text().await.as_deref(), Some("2"));
    assert_eq!(client.text().await, None);
    assert_eq!(place.ended().await, End::Silent);
    assert_eq!(place.ended().await, End::Silent);
    assert_eq!(place.post(&sid, "4hello").await.0, 400);
}

#[tokio::test]
async fn a_close_packet_closes_the_connection_and_lets_a_poll_go() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    let (polled, posted) = tokio::join!(place.poll(&sid), place.post(&sid, "1"));
    assert_eq!(posted.0, 200);
    assert!(polled == (200, "6".to_owned()) || polled.0 == 400, "{polled:?}");
    assert_eq!(place.ended().await, End::Closed);
    assert_eq!(place.poll(&sid).await.0, 400);
    let mut client = place.websocket().await;
    client.send("1").await;
    assert_eq!(client.text().await, None);
    assert_eq!(place.ended().await, End::Closed);
}

#[tokio::test]
async fn only_a_close_packet_with_a_page_that_goes_away_is_a_goodbye() {
    let place = Place::quiet().await;
    for (code, end) in
        [(None, End::Broken), (Some(1000), End::Broken), (Some(1011), End::Broken), (Some(1012), End::Broken), (Some(1001), End::Away)]
    {
        place.websocket().await.close(code).await;
        assert_eq!(place.ended().await, end, "{code:?}");
    }
    let mut client = place.websocket().await;
    client.send("1").await;
    client.close(Some(1001)).await;
    assert_eq!(place.ended().await, End::Goodbye);
    drop(place.websocket().await);
    assert_eq!(place.ended().await, End::Broken);
}

#[tokio::test]
async fn what_the_server_sent_before_it_closes_arrives() {
    let place = Place::quiet().await;
    let mut client = place.websocket().await;
    client.send("4last").await;
    client.send("4close").await;
    assert_eq!(client.text().await.as_deref(), Some("4last"));
    match client.0.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1012),
        other => panic!("{other:?}"),
    }
    let sid = place.polling().await;
    let (polled, _) = tokio::join!(place.poll(&sid), async {
        place.post(&sid, "4close").await;
    });
    assert!(polled.1.ends_with('1') || polled.0 == 400, "{polled:?}");
}

#[tokio::test]
async fn a_websocket_takes_the_place_of_polls() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    let mut client = place.try_websocket(&format!("EIO=4&transport=websocket&sid={sid}")).await.expect("connects");
    let waiting = async {
        let polled = place.poll(&sid).await;
        assert_eq!(polled, (200, "6".to_owned()), "a poll that waits is let go");
    };
    let probing = async {
        client.send("2probe").await;
        assert_eq!(client.text().await.as_deref(), Some("3probe"));
    };
    tokio::join!(waiting, probing);
    assert_eq!(place.poll(&sid).await, (200, "6".to_owned()), "and so is the next one");
    assert_eq!(place.post(&sid, "4sent before the change").await.0, 200);
    client.send("5").await;
    assert_eq!(client.text().await.as_deref(), Some("4sent before the change"));
    client.send("4hello").await;
    assert_eq!(client.text().await.as_deref(), Some("4hello"));
    assert_eq!((place.poll(&sid).await.0, place.post(&sid, "4x").await.0), (400, 400));
    assert!(place.try_websocket(&format!("EIO=4&transport=websocket&sid={sid}")).await.is_none(), "there is one");
    client.send("4still").await;
    assert_eq!(client.text().await.as_deref(), Some("4still"));
}

#[tokio::test]
async fn a_websocket_that_fails_its_probe_leaves_the_polls_as_they_are() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    for words in [&["4hello"][..], &["2probe", "4hello"], &[]] {
        let mut client = place.try_websocket(&format!("EIO=4&transport=websocket&sid={sid}")).await.expect("connects");
        for word in words {
            client.send(word).await;
        }
        client.close(None).await;
    }
    assert_eq!(place.post(&sid, "4hello").await.0, 200);
    let polled = place.poll(&sid).await;
    assert!(polled.0 == 200 && polled.1.ends_with("4hello"), "{polled:?}");
}

#[tokio::test]
async fn a_websocket_that_carries_nothing_keeps_nothing_from_polls() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    // The test's WebSocket is silent, as through a proxy that opens WebSockets and carries nothing in them.
    let _silent = place.try_websocket(&format!("EIO=4&transport=websocket&sid={sid}")).await.expect("connects");
    assert_eq!(place.post(&sid, "4hello").await.0, 200);
    assert_eq!(place.poll(&sid).await, (200, "4hello".to_owned()));
}

#[tokio::test]
async fn one_body_at_a_time_is_read() {
    let place = Place::quiet().await;
    let sid = place.polling().await;
    let (address, path) = place.url.split_once('/').expect("an address and a path");
    let mut unfinished = TcpStream::connect(address).await.expect("connects");
    let head = format!("POST /{path}EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n4");
    unfinished.write_all(head.as_bytes()).await.expect("sends");
    // Once the server reads this body, it refuses another one.
    let refused = async { while place.post(&sid, "3").await.0 == 200 {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("refused");
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, unfinished.read_exact(&mut answer)).await.expect("an answer").expect("reads");
    assert_eq!(&answer, b"HTTP/1.1 400");
    assert_eq!(place.ended().await, End::Broken);
}

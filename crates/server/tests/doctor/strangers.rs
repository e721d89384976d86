//! Servers that are none of ours, and answer as they like: they are called that, within bounds.

use std::time::{Duration, Instant};

use parlor::doctor::{Fault, Order, Token, examine};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What somebody finds who asks a server that answers every connection with this head, and then with this without end.
async fn found(head: &'static [u8], endless: &'static [u8]) -> Option<Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1_024]).await;
                let mut sent = stream.write_all(head).await;
                while sent.is_ok() && !endless.is_empty() {
                    sent = stream.write_all(endless).await;
                }
                // It does not close either.
                std::future::pending::<()>().await;
            });
        }
    });
    let order = Order { url, token: Token::Asked, channel: None, roots: Vec::new() };
    let findings = examine(&order, &mut |_| ()).await.expect("a URL");
    serving.abort();
    findings.into_iter().find_map(|finding| finding.fault)
}

#[tokio::test]
async fn whatever_a_stranger_answers_it_is_no_parlor_and_is_not_listened_to_for_long() {
    let began = Instant::now();
    let (endless, silent, nonsense, huge) = tokio::join!(
        found(b"HTTP/1.1 200 OK\r\n\r\n", b"ok ok ok ok ok ok ok "),
        found(b"", b""),
        found(b"\0\xff", b"\x16\x03\x01\xff\xff"),
        found(b"HTTP/1.1 200 OK\r\n", b"x-header: x\r\n"),
    );
    assert_eq!(endless, Some(Fault::NotParlor));
    assert_eq!((silent, nonsense, huge), (Some(Fault::HttpSilent), Some(Fault::HttpSilent), Some(Fault::HttpSilent)));
    assert!(began.elapsed() < Duration::from_secs(15));
}

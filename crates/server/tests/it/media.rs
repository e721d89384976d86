//! The media ports: packets of strangers do no harm, and the death of a media thread is survived.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use parlor::Server;
use parlor_testkit::wait::until;
use serde_json::json;

use super::client::Client;
use super::{base, server_without_join_limit, stun};

async fn survives_a_panic(server: &Server) {
    let (mut alice, _) = Client::joined(server, "alice", "lobby").await;
    let (mut bob, _) = Client::joined(server, "bob", "lobby").await;
    let restarts = server.media_restarts();
    server.crash_media().await;
    for client in [&mut alice, &mut bob] {
        let left = client.event("voice:left").await;
        assert_eq!((left["reason"].as_str(), left["rejoin"].as_bool()), (Some("media-lost"), Some(true)), "{left}");
    }
    until("the panic is counted", async || server.media_restarts() == restarts + 1).await;
    assert_eq!(reqwest::get(base(server) + "/healthz").await.expect("answers").status(), 200);
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.request("voice:join", json!({"channelId": "lobby"})).await["channelId"], "lobby");
        let transport = client.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
        assert!(transport["iceCandidates"][0]["port"].is_u64(), "{transport}");
    }
    alice.cut().await;
    bob.cut().await;
}

#[tokio::test]
async fn a_media_worker_that_panics_is_survived_more_than_once() {
    let server = server_without_join_limit().await;
    survives_a_panic(&server).await;
    survives_a_panic(&server).await;
    server.shut_down().await;
}

#[tokio::test]
async fn the_restarted_worker_has_the_same_addresses() {
    let server = server_without_join_limit().await;
    let announced = server.media_addresses();
    server.crash_media().await;
    until("restarted", async || server.media_restarts() == 1).await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let transport = alice.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    let candidates = transport["iceCandidates"].as_array().expect("candidates");
    let ports: Vec<u64> = candidates.iter().filter_map(|c| c["port"].as_u64()).collect();
    assert!(ports.iter().all(|port| *port == u64::from(announced[0].port())), "{transport}");
    let protocols: Vec<&str> = candidates.iter().filter_map(|c| c["protocol"].as_str()).collect();
    assert_eq!(protocols, ["udp", "tcp"]);
    server.shut_down().await;
}

#[tokio::test]
async fn what_strangers_send_is_borne_in_silence() {
    let server = server_without_join_limit().await;
    let media = server.media_addresses()[0];
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    // Every first byte, so that each kind of packet is tried: STUN, DTLS, RTP and RTCP, whole and cut short.
    for first in 0..=255u8 {
        for length in [0, 1, 3, 20, 100, 1200, 3000] {
            let mut datagram: Vec<u8> = (0..length).map(|n| (n as u8).wrapping_mul(first)).collect();
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            socket.send_to(&datagram, media).expect("sent");
        }
    }
    // A frame that is longer than allowed ends its connection; the rest of a frame cut short is waited for.
    let mut long = TcpStream::connect(media).expect("connects");
    long.write_all(&[0xff, 0xff, 0, 1]).expect("sent");
    long.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    assert!(matches!(long.read(&mut [0; 10]), Ok(0) | Err(_)), "no answer, only the end");
    // Well-formed frames with foreign content are tolerated for a while only.
    let mut chatty = TcpStream::connect(media).expect("connects");
    // The connection ends sooner than one that never sends a STUN request.
    chatty.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let _ = chatty.write_all(&[[0, 98].as_slice(), &[0x80; 98]].concat().repeat(200));
    let end = chatty.read(&mut [0; 10]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "cut off: {end:?}");
    let mut short = TcpStream::connect(media).expect("connects");
    short.write_all(&[0, 20, 0, 1]).expect("sent");
    socket.set_nonblocking(true).expect("set");
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let transport = alice.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    assert!(transport["id"].is_string(), "{transport}");
    assert!(socket.recv(&mut [0; 10]).is_err(), "strangers get no answer");
    assert_eq!(server.media_restarts(), 0);
    server.shut_down().await;
}

/// The most TCP media connections of strangers from one address, and the most addresses of a transport.
const TCP_STRANGERS: usize = 64;
const ADDRESSES: usize = 12;

#[tokio::test]
async fn a_refusal_makes_no_client_of_a_tcp_connection() {
    let server = server_without_join_limit().await;
    let media = server.media_addresses()[0];
    let refused = |stream: &mut TcpStream| stun::ask(stream, &stun::check("nobody-of-ours", "wrong"));
    let mut strangers: Vec<_> = (0..TCP_STRANGERS).map(|_| stun::connect(7, media)).collect();
    for stranger in &mut strangers {
        assert_eq!(refused(stranger), Some(stun::REFUSAL), "it is told why");
    }
    assert_eq!(refused(&mut stun::connect(7, media)), None, "one more of the same");
    assert_eq!(refused(&mut stun::connect(8, media)), Some(stun::REFUSAL), "another address has places of its own");
    server.shut_down().await;
}

#[tokio::test]
async fn a_transport_keeps_as_many_tcp_connections_as_addresses() {
    let server = server_without_join_limit().await;
    let media = server.media_addresses()[0];
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let transport = alice.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    let text = |name: &str| transport["iceParameters"][name].as_str().expect("a text").to_owned();
    let (ufrag, password) = (text("usernameFragment"), text("password"));
    let check = |stream: &mut TcpStream| stun::ask(stream, &stun::check(&ufrag, &password));
    let mut first = stun::connect(7, media);
    assert_eq!(check(&mut first), Some(stun::SUCCESS));
    let mut second = stun::connect(7, media);
    assert_eq!(check(&mut second), Some(stun::SUCCESS));
    let _more: Vec<_> = (2..=ADDRESSES)
        .map(|_| {
            let mut stream = stun::connect(7, media);
            assert_eq!(check(&mut stream), Some(stun::SUCCESS));
            stream
        })
        .collect();
    assert!(matches!(second.read(&mut [0; 10]), Ok(0) | Err(_)), "the one unheard of for longest, and not in use, made room");
    assert_eq!(check(&mut first), Some(stun::SUCCESS), "the one in use stays");
    alice.request("voice:leave", json!({})).await;
    assert!(matches!(first.read(&mut [0; 10]), Ok(0) | Err(_)), "with its transport it ends");
    server.shut_down().await;
}

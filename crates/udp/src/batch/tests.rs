//! Real sockets on loopback: what goes in on one side comes out on the other.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::{Entry, Grouper, Piece, Sent, UdpSender, receive_grouped, stamp_arrivals};

fn socket(ip: &str) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).expect("binds");
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).expect("room for all of a test");
    socket
}

/// A socket that takes what the kernel put together, as those of a worker do.
fn grouping(ip: &str) -> UdpSocket {
    let socket = socket(ip);
    receive_grouped(&socket).expect("the kernel knows it");
    socket
}

/// Datagrams of these lengths to these receivers, each of its own content, in one batch.
fn batch_of(what: &[(usize, usize)], receivers: &[&UdpSocket]) -> (Vec<u8>, Vec<Entry>) {
    let (mut bytes, mut entries) = (Vec::new(), Vec::new());
    for (n, &(to, len)) in what.iter().enumerate() {
        let (destination, start) = (u32::try_from(to).expect("few"), bytes.len());
        let to = receivers[to].local_addr().expect("address");
        entries.push(Entry { destination, to, piece: Piece { start, len }, queue: 0 });
        bytes.extend((0..len).map(|at| (n * 7 + at) as u8));
    }
    (bytes, entries)
}

fn send(from: &UdpSocket, sender: &mut UdpSender, bytes: &[u8], entries: &[Entry]) -> Sent {
    let mut queues = [SendQueue::default()];
    Grouper::default().group(entries, &mut queues, |entry| Some(*entry));
    let mut batch = SendBatch::default();
    sender.send_all(&queues[0], |messages| batch.send(from.as_fd(), bytes, &queues[0], messages))
}

/// What a receiver of `to` is to get.
fn expected(bytes: &[u8], entries: &[Entry], to: usize) -> Vec<Vec<u8>> {
    let of = |entry: &&Entry| entry.destination as usize == to;
    entries.iter().filter(of).map(|Entry { piece, .. }| bytes[piece.start..piece.start + piece.len].to_vec()).collect()
}

/// Receives so many datagrams one by one, with an ordinary call.
fn singles(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    let mut buffer = [0; 4_096];
    let mut one = || socket.recv(&mut buffer).map(|len| buffer[..len].to_vec()).expect("arrives");
    (0..count).map(|_| one()).collect()
}

/// Receives with an [`Inbox`] until so many datagrams were there, and says how many calls that took.
fn inbox(socket: &UdpSocket, count: usize) -> (Vec<Option<Vec<u8>>>, usize) {
    let (mut inbox, mut received, mut calls) = (Inbox::default(), Vec::new(), 0);
    while received.len() < count {
        inbox.receive(socket.as_fd()).expect("arrives");
        calls += 1;
        while let Some(datagram) = inbox.next() {
            received.push(datagram.map(|datagram| datagram.bytes.to_vec()));
        }
        assert!(inbox.is_empty());
    }
    (received, calls)
}

const MIXED: [(usize, usize); 16] = [
    (0, 100),
    (1, 1_200),
    (0, 100),
    (0, 40),
    (0, 41),
    (1, 1_200),
    (1, 1_472),
    (1, 1_473),
    (0, 0),
    (0, 1),
    (1, 1_200),
    (1, 3),
    (0, 100),
    (0, 100),
    (1, 3),
    (0, 99),
];

fn arrives(ip: &str, sender: &mut UdpSender) {
    let (from, receivers) = (socket(ip), [socket(ip), socket(ip)]);
    let (bytes, entries) = batch_of(&MIXED.repeat(20), &[&receivers[0], &receivers[1]]);
    assert_eq!(send(&from, sender, &bytes, &entries).unsent, 0);
    for (n, receiver) in receivers.iter().enumerate() {
        let expected = expected(&bytes, &entries, n);
        assert_eq!(singles(receiver, expected.len()), expected);
    }
}

#[test]
fn grouped_datagrams_arrive_one_by_one_and_in_order_over_ipv4() {
    arrives("127.0.0.1", &mut UdpSender::default());
}

#[test]
fn grouped_datagrams_arrive_one_by_one_and_in_order_over_ipv6() {
    arrives("::1", &mut UdpSender::default());
}

#[test]
fn without_grouping_the_same_arrives() {
    arrives("127.0.0.1", &mut UdpSender::new(true));
    arrives("::1", &mut UdpSender::new(true));
}

#[test]
fn what_the_kernel_refuses_to_cut_up_is_sent_one_by_one() {
    let (from, to) = (socket("127.0.0.1"), socket("127.0.0.1"));
    let (bytes, entries) = batch_of(&[(0, 100); 300], &[&to]);
    // Segments that need checksums cannot be made by a socket that sends none.
    let on: libc::c_int = 1;
    // SAFETY: an option whose value is an `int`.
    let set = unsafe {
        libc::setsockopt(from.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), socklen::<libc::c_int>())
    };
    assert_eq!(set, 0);
    let sent = send(&from, &mut UdpSender::default(), &bytes, &entries);
    assert!(sent.unsent == 0 && sent.refused == 1, "{sent:?}");
    assert_eq!(singles(&to, 300), expected(&bytes, &entries, 0));
}

#[test]
fn what_the_kernel_put_together_is_taken_apart() {
    for ip in ["127.0.0.1", "::1"] {
        let (from, to) = (socket(ip), grouping(ip));
        let what: Vec<_> = [100, 100, 100, 40, 1_200, 1_200, 7, 0, 5].repeat(30).into_iter().map(|len| (0, len)).collect();
        let (bytes, entries) = batch_of(&what, &[&to]);
        send(&from, &mut UdpSender::default(), &bytes, &entries);
        let all: Vec<_> = expected(&bytes, &entries, 0).into_iter().map(Some).collect();
        assert_eq!(inbox(&to, all.len()).0, all);
    }
}

#[test]
fn a_hundred_datagrams_that_were_sent_as_one_arrive_with_one_call() {
    let (from, to) = (socket("127.0.0.1"), grouping("127.0.0.1"));
    let (bytes, entries) = batch_of(&[(0, 160); 100], &[&to]);
    send(&from, &mut UdpSender::default(), &bytes, &entries);
    assert_eq!(inbox(&to, 100).1, 1);
}

#[test]
fn an_inbox_names_the_sender_and_is_empty_when_nothing_is_there() {
    for ip in ["127.0.0.1", "::1"] {
        let (a, b, to) = (socket(ip), socket(ip), grouping(ip));
        let address = to.local_addr().expect("address");
        a.send_to(b"one", address).expect("sent");
        b.send_to(b"two", address).expect("sent");
        let mut inbox = Inbox::default();
        assert!(!inbox.receive(to.as_fd()).expect("received"));
        let received =
            |bytes, from: &UdpSocket| Some(Some(Received { bytes, from: from.local_addr().expect("address"), received_ns: None }));
        assert_eq!(inbox.next(), received(&b"one"[..], &a));
        assert!(!inbox.is_empty());
        assert_eq!(inbox.next(), received(&b"two"[..], &b));
        assert_eq!(inbox.receive(to.as_fd()).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        assert!(inbox.is_empty() && inbox.next().is_none());
    }
}

#[test]
fn a_datagram_that_is_too_long_is_dropped_alone() {
    let (from, to) = (socket("127.0.0.1"), grouping("127.0.0.1"));
    let address = to.local_addr().expect("address");
    for len in [MAX_RECEIVED + 1, 5, MAX_RECEIVED, 60_000, 6] {
        from.send_to(&vec![1; len], address).expect("sent");
    }
    assert_eq!(inbox(&to, 5).0, [None, Some(vec![1; 5]), Some(vec![1; MAX_RECEIVED]), None, Some(vec![1; 6])]);
}

#[test]
fn a_datagram_says_when_it_arrived_if_that_was_asked_for() {
    let (from, to) = (socket("127.0.0.1"), grouping("127.0.0.1"));
    stamp_arrivals(&to).expect("the kernel knows it");
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()).expect("before 2554");
    let before = now();
    for n in 0..3_u8 {
        from.send_to(&[n; 10], to.local_addr().expect("address")).expect("sent");
    }
    let mut inbox = Inbox::default();
    inbox.receive(to.as_fd()).expect("received");
    for n in 0..3_u8 {
        let Some(Some(Received { bytes, received_ns: Some(at), .. })) = inbox.next() else { panic!("a datagram with its time") };
        assert_eq!(bytes, [n; 10]);
        assert!((before..=now()).contains(&at), "{at}");
    }
}

//! ICE over TCP as a client speaks it, and as a stranger does: checks with a right password, and without one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use aws_lc_rs::hmac;
use socket2::{Domain, Socket, Type};

const REQUEST: u16 = 0x0001;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const SOFTWARE: u16 = 0x8022;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;
/// The type of a successful answer.
pub const SUCCESS: u16 = 0x0101;
/// The type of a refusal.
pub const REFUSAL: u16 = 0x0111;

/// A check by a client that knows these credentials.
pub fn check(ufrag: &str, password: &str) -> Vec<u8> {
    let mut bytes = [&REQUEST.to_be_bytes()[..], &[0, 0], &COOKIE, &rand::random::<[u8; 12]>()].concat();
    put(&mut bytes, USERNAME, format!("{ufrag}:them").as_bytes());
    put(&mut bytes, PRIORITY, &1_845_501_695_u32.to_be_bytes());
    put(&mut bytes, ICE_CONTROLLING, &[7; 8]);
    // The request is made long enough that a refusal is not longer.
    put(&mut bytes, SOFTWARE, &[b'x'; 64]);
    set_length(&mut bytes, 24);
    let integrity = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()), &bytes);
    put(&mut bytes, MESSAGE_INTEGRITY, integrity.as_ref());
    set_length(&mut bytes, 8);
    let fingerprint = crc32(&bytes) ^ 0x5354_554e;
    put(&mut bytes, FINGERPRINT, &fingerprint.to_be_bytes());
    bytes
}

/// Connects to a media port from an address of this machine.
pub fn connect(last: u8, media: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).expect("binds");
    socket.connect(&media.into()).expect("connects");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    stream
}

/// Sends a message and returns the type of the answer; `None` if the connection ends instead.
pub fn ask(stream: &mut TcpStream, message: &[u8]) -> Option<u16> {
    let length = u16::try_from(message.len()).expect("short");
    stream.write_all(&[&length.to_be_bytes()[..], message].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).ok()?;
    Some(u16::from_be_bytes([answer[0], answer[1]]))
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(kind.to_be_bytes());
    bytes.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Sets the length of a message as if so many bytes were to follow.
fn set_length(bytes: &mut [u8], follow: usize) {
    let length = u16::try_from(bytes.len() - 20 + follow).expect("short");
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

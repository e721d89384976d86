//! Which records of a datagram are still worth reading once a handshake is over.

/// Content type of handshake messages.
const HANDSHAKE: u8 = 22;
/// Content type of alerts, and the level of those that end a connection (RFC 5246 section 7.2).
const ALERT: u8 = 21;
const FATAL: u8 = 2;
/// Bytes of a record header that is not encrypted (RFC 6347 section 4.1).
const HEADER: usize = 13;

/// The leading records that are encrypted or, for as long as the other side may repeat its last flight,
/// plain handshake messages. Everything else could be anybody's, and would only be queued.
pub(super) fn after_handshake(datagram: &[u8], tls13: bool, lingers: bool) -> Option<&[u8]> {
    let mut end = 0;
    while let Some(rest) = datagram.get(end..).filter(|rest| !rest.is_empty()) {
        match length(rest, tls13, lingers) {
            Some(len) if len <= rest.len() => end += len,
            _ => break,
        }
    }
    datagram.get(..end).filter(|bytes| !bytes.is_empty())
}

/// The number of a plain fatal alert. It could be anybody's: good for a guess why nothing comes any more, and for nothing else.
pub(super) fn plain_alert(datagram: &[u8]) -> Option<u8> {
    let plain = datagram.first() == Some(&ALERT) && two_bytes(datagram, 3)? == 0 && two_bytes(datagram, 11)? == 2;
    match datagram.get(HEADER..) {
        Some([FATAL, number, ..]) if plain => Some(*number),
        _ => None,
    }
}

/// Length of the first record with its header, if it is worth reading.
fn length(bytes: &[u8], tls13: bool, lingers: bool) -> Option<usize> {
    let first = *bytes.first()?;
    // The unified header of DTLS 1.3: 001CSLEE (RFC 9147 section 4).
    if first & 0xe0 == 0x20 {
        let has_connection_id = first & 0x10 != 0;
        if !tls13 || has_connection_id {
            return None;
        }
        let number = if first & 0x08 == 0 { 1 } else { 2 };
        if first & 0x04 == 0 {
            return Some(bytes.len());
        }
        return Some(1 + number + 2 + two_bytes(bytes, 1 + number)?);
    }
    let encrypted = two_bytes(bytes, 3)? != 0;
    let wanted = if encrypted { !tls13 } else { lingers && first == HANDSHAKE };
    if wanted { Some(HEADER + two_bytes(bytes, 11)?) } else { None }
}

fn two_bytes(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 2)?;
    bytes.try_into().ok().map(u16::from_be_bytes).map(usize::from)
}

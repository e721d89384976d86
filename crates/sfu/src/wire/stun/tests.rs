//! Against another implementation of STUN, which str0m uses.

use is::stun::{StunMessage, TransId};
use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "a password of twenty-two";

fn their_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    hmac_sha1(std::str::from_utf8(key).expect("a text"), parts)
}

fn request(username: &str, password: &str, nominated: bool) -> Vec<u8> {
    by_them(&StunMessage::binding_request(username, TransId::new(), true, 7, 9, nominated), password)
}

fn by_them(message: &StunMessage<'_>, password: &str) -> Vec<u8> {
    let mut buffer = vec![0; 512];
    let len = (*message).to_bytes(Some(password.as_bytes()), &mut buffer, their_hmac).expect("fits");
    buffer.truncate(len);
    buffer
}

fn parse(bytes: &[u8]) -> Option<Request<'_>> {
    match Stun::parse(bytes) {
        Some(Stun::Request(request)) => Some(request),
        _ => None,
    }
}

/// A request with attributes of one's own.
fn with(attributes: &[(u16, &[u8])], password: Option<&str>) -> Vec<u8> {
    let mut writer = Writer::new(kind::REQUEST, [7; 12]);
    attributes.iter().for_each(|(kind, value)| writer.put(*kind, value));
    writer.finish(password)
}

#[test]
fn hmac_sha1_is_that_of_rfc_2202() {
    let digest = hmac_sha1("Jefe", &[b"what do ya want ", b"for nothing?"]);
    let expected = [0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a, 0x7c, 0x79];
    assert_eq!(digest, expected);
}

#[test]
fn a_request_is_read_and_verified() {
    let bytes = request("ours:theirs", PASSWORD, true);
    let request = parse(&bytes).expect("a request");
    assert_eq!(request.ufrags(), Some(("ours", "theirs")));
    assert_eq!((request.nomination(), request.priority(), request.objection()), (Some(0), 9, None));
    assert!(request.verify(PASSWORD) && request.has_fingerprint());
    assert!(is_stun(&bytes));
}

#[test]
fn another_password_does_not_verify() {
    let bytes = request("ours:theirs", "another", false);
    let request = parse(&bytes).expect("a request");
    assert_eq!(request.nomination(), None);
    assert!(!request.verify(PASSWORD));
}

#[test]
fn a_numbered_nomination_is_one_too() {
    let bytes = with(&[(attribute::USERNAME, b"ours:theirs"), (attribute::NOMINATION, &[0, 0, 0, 3])], Some(PASSWORD));
    let request = parse(&bytes).expect("a request");
    assert_eq!((request.nomination(), request.verify(PASSWORD)), (Some(3), true));
}

#[test]
fn a_reply_names_the_sender_and_can_be_verified() {
    for remote in ["192.0.2.9:4711", "[2001:db8::9]:4711"] {
        let remote = remote.parse().expect("an address");
        let bytes = request("ours:theirs", PASSWORD, false);
        let reply = parse(&bytes).expect("a request").reply(remote, PASSWORD);
        let reply = StunMessage::parse(&reply).expect("STUN");
        assert!(reply.is_successful_binding_response());
        assert_eq!(reply.trans_id(), StunMessage::parse(&bytes).expect("STUN").trans_id());
        assert_eq!(reply.mapped_address(), Some(remote));
        assert!(reply.verify(PASSWORD.as_bytes(), their_hmac));
    }
}

#[test]
fn a_refusal_has_its_code_and_integrity_only_if_the_request_was_authentic() {
    let bytes = request("ours:theirs", PASSWORD, false);
    let request = parse(&bytes).expect("a request");
    let cases = [
        (Refusal::BadRequest, None, 400, "Bad Request"),
        (Refusal::Unauthenticated, None, 401, "Unauthenticated"),
        (Refusal::RoleConflict, Some(PASSWORD), 487, "Role Conflict"),
    ];
    for (refusal, password, code, reason) in cases {
        let answer = request.refuse(refusal, password);
        let answer = StunMessage::parse(&answer).expect("STUN");
        assert!(answer.is_failed_binding_response());
        assert_eq!((answer.error_code(), answer.verify(PASSWORD.as_bytes(), their_hmac)), (Some((code, reason)), password.is_some()));
    }
}

#[test]
fn attributes_that_must_be_understood_and_are_not_are_named() {
    let attributes: [(u16, &[u8]); 4] = [(attribute::USERNAME, b"ours:theirs"), (0x0030, &[1, 2]), (0xc057, &[0; 4]), (0x7fff, &[])];
    let bytes = with(&attributes, Some(PASSWORD));
    let request = parse(&bytes).expect("a request");
    assert!(request.verify(PASSWORD));
    assert_eq!(request.objection(), Some(Refusal::UnknownAttribute));
    let answer = request.refuse(Refusal::UnknownAttribute, Some(PASSWORD));
    // RFC 8489, section 14.13: a list of types, padded.
    let named = [0, 0x0a, 0, 4, 0, 0x30, 0x7f, 0xff];
    assert!(answer.windows(named.len()).any(|window| window == named), "{answer:02x?}");
    assert_eq!(StunMessage::parse(&answer).expect("STUN").error_code(), Some((420, "Unknown Attribute")));
}

#[test]
fn who_says_it_is_controlled_has_to_change() {
    let message = StunMessage::binding_request("ours:theirs", TransId::new(), false, 7, 9, false);
    let bytes = by_them(&message, PASSWORD);
    assert_eq!(parse(&bytes).expect("a request").objection(), Some(Refusal::RoleConflict));
}

#[test]
fn what_has_no_credentials_or_a_wrong_checksum_is_told_apart() {
    let bytes = with(&[(attribute::PRIORITY, &[0; 4])], None);
    assert_eq!(parse(&bytes).expect("a request").ufrags(), None);
    let bytes = with(&[(attribute::USERNAME, b"ours:theirs")], None);
    assert_eq!(parse(&bytes).expect("a request").ufrags(), None, "a name without a proof");
    let mut bytes = request("ours:theirs", PASSWORD, false);
    *bytes.last_mut().expect("not empty") ^= 1;
    assert!(parse(&bytes).is_none());
}

#[test]
fn a_probe_is_answered_by_an_ice_agent_and_by_nobody_else() {
    let probe = probe([9; 12], "theirs", "ours");
    let read = StunMessage::parse(&probe).expect("a request as ICE agents send them");
    assert_eq!(read.split_username(), Some(("theirs", "ours")));
    let request = parse(&probe).expect("a request");
    let answer_of = |bytes: &[u8]| match Stun::parse(bytes) {
        Some(Stun::Answer(answer)) => (answer.id, answer.is_of_ice_agent),
        _ => panic!("no answer"),
    };
    assert_eq!(answer_of(&request.refuse(Refusal::Unauthenticated, None)), ([9; 12], true));
    assert_eq!(answer_of(&request.refuse(Refusal::BadRequest, None)), ([9; 12], true));
    assert_eq!(answer_of(&request.reply("192.0.2.9:1".parse().expect("an address"), "x")), ([9; 12], false), "a public STUN server");
    let mut relay = Writer::new(kind::ERROR, [9; 12]);
    relay.error(401, "Unauthenticated");
    relay.put(attribute::REALM, b"example.org");
    relay.put(attribute::NONCE, b"abc");
    assert_eq!(answer_of(&relay.finish(None)), ([9; 12], false), "a relay asks for a password of its own");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), like in any::<bool>()) {
        let mut bytes = bytes;
        // Few would be read at all.
        if like && bytes.len() >= HEADER {
            let len = u16::try_from((bytes.len() - HEADER) & !3).expect("short");
            bytes.truncate(HEADER + usize::from(len));
            bytes[..2].copy_from_slice(&[kind::REQUEST, kind::ERROR][usize::from(len) / 4 % 2].to_be_bytes());
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            bytes[4..8].copy_from_slice(&COOKIE);
        }
        if let Some(request) = parse(&bytes) {
            prop_assert!(!request.verify(PASSWORD));
        }
    }

    #[test]
    fn a_changed_or_cut_request_never_panics_and_never_verifies(at in any::<prop::sample::Index>(), mask in 1..=255_u8, cut in any::<bool>()) {
        let mut bytes = request("ours:theirs", PASSWORD, true);
        // What follows MESSAGE-INTEGRITY is FINGERPRINT: 8 bytes, which integrity does not cover.
        let at = at.index(bytes.len() - 8);
        if cut {
            bytes.truncate(at);
        } else if let Some(byte) = bytes.get_mut(at) {
            *byte ^= mask;
        }
        if let Some(request) = parse(&bytes) {
            prop_assert!(!request.verify(PASSWORD));
            let _ = request.ufrags();
            request.reply("192.0.2.9:4711".parse().expect("an address"), PASSWORD);
        }
    }
}

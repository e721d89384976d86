//! The vectors of RFC 5769, and how messages are read and answers kept short.

use proptest::prelude::*;
use stun_types::attribute::{Nonce, Software};
use stun_types::message::{BINDING, ShortTermCredentials};
use turn_types::message::ALLOCATE;

use super::*;

/// RFC 5769, section 2.1.
const REQUEST: &str = "\
    000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1\
    51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769, section 2.2.
const RESPONSE_V4: &str = "\
    0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599\
    fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769, section 2.3.
const RESPONSE_V6: &str = "\
    010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5\
    bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
/// RFC 5769, section 2.4.
const LONG_TERM: &str = "\
    000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39\
    353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a2\
    8ca89666";

/// What the first three vectors are signed with.
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| u8::try_from(digit).expect("a digit")).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn short_term() -> IntegrityKey {
    ShortTermCredentials::new(PASSWORD.to_owned()).make_key()
}

#[test]
fn the_request_of_rfc_5769_is_read_and_its_integrity_and_fingerprint_are_right() {
    let vector = bytes(REQUEST);
    let message = Incoming::read(&vector).expect("well-formed");
    assert!(message.has_fingerprint && message.is_signed());
    assert_eq!((message.class(), message.method()), (MessageClass::Request, BINDING));
    assert_eq!(message.transaction(), 0xb7e7_a701_bc34_d686_fa87_dfae.into());
    assert_eq!(message.get::<Username>().expect("fine").expect("there").username(), "evtj:h6vY");
    assert!(message.is_by(&short_term()));
    assert!(!message.is_by(&ShortTermCredentials::new("another".to_owned()).make_key()));
}

#[test]
fn the_responses_of_rfc_5769_tell_their_addresses() {
    for (vector, address) in [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
        let vector = bytes(vector);
        let message = Incoming::read(&vector).expect("well-formed");
        assert_eq!(message.class(), MessageClass::Success);
        let mapped = message.get::<XorMappedAddress>().expect("fine").expect("there").addr(message.transaction());
        assert_eq!(mapped, address.parse().expect("an address"));
        assert!(message.is_by(&short_term()));
    }
}

#[test]
fn the_long_term_credential_of_rfc_5769_is_right() {
    let vector = bytes(LONG_TERM);
    let message = Incoming::read(&vector).expect("well-formed");
    let (username, realm) = ("\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}", "example.org");
    assert_eq!(message.get::<Username>().expect("fine").expect("there").username(), username);
    assert_eq!(message.get::<Realm>().expect("fine").expect("there").realm(), realm);
    assert_eq!(message.get::<Nonce>().expect("fine").expect("there").nonce(), "f//499k954d6OL34oL9FSTvy64sA");
    let key = |password: &str| {
        LongTermKeyCredentials::new(username.to_owned(), password.to_owned(), realm.to_owned()).make_key(IntegrityAlgorithm::Sha1)
    };
    assert!(message.is_by(&key("TheMatrIX")));
    assert!(!message.is_by(&key("TheMatrix")));
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let vector = bytes(REQUEST);
    // Only what says that a fingerprint follows is under nothing but the fingerprint.
    for place in (0..vector.len()).filter(|place| !(100..102).contains(place)) {
        let mut changed = vector.clone();
        changed[place] ^= 1;
        assert!(Incoming::read(&changed).is_none(), "byte {place}");
    }
    // Without its fingerprint it is the integrity that says so.
    let mut vector = bytes(LONG_TERM);
    let key = LongTermKeyCredentials::new(
        "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".to_owned(),
        "TheMatrIX".to_owned(),
        "example.org".to_owned(),
    );
    let key = key.make_key(IntegrityAlgorithm::Sha1);
    for place in (8..vector.len()).filter(|place| !(92..96).contains(place)) {
        vector[place] ^= 1;
        assert!(Incoming::read(&vector).is_none_or(|message| !message.is_by(&key)), "byte {place}");
        vector[place] ^= 1;
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    let fine = bytes(REQUEST);
    let with = |place: usize, value: u8| {
        let mut message = fine.clone();
        message[place] = value;
        message
    };
    assert!(Incoming::read(&fine).is_some());
    for (wrong, why) in [
        (with(3, 0x54), "a header that leaves the fingerprint out"),
        (with(3, 0x5c), "a header that says more than there is"),
        (with(23, 0xff), "an attribute that goes beyond the end"),
        (with(4, 0x20), "another cookie"),
        (fine[..fine.len() - 4].to_vec(), "cut off"),
        ([&fine[..], &[0; 4]].concat(), "more behind"),
        (fine[..19].to_vec(), "less than a header"),
        (Vec::new(), "nothing"),
    ] {
        assert!(Incoming::read(&wrong).is_none(), "{why}");
    }
}

/// A request without attributes, or with one that makes it longer.
fn request(method: Method, filling: usize) -> Vec<u8> {
    let mut message = Message::builder_request(method, MessageWriteVec::new());
    if filling > 0 {
        message.add_attribute(&Software::new(&"x".repeat(filling)).expect("short")).expect("fits");
    }
    message.finish()
}

#[test]
fn a_stranger_gets_at_most_twice_the_bytes_and_the_words_go_first() {
    let nonce = "x".repeat(crate::nonce::LEN);
    let answer = |filling| {
        let request = request(ALLOCATE, filling);
        let challenge = Incoming::read(&request).expect("fine").challenge(Problem::Unauthorized, &nonce);
        (request.len(), challenge.map(|challenge| challenge.len()))
    };
    assert_eq!(answer(0), (20, None));
    assert_eq!(answer(4), (28, Some(56)), "as short as a browser's");
    assert_eq!(answer(8), (32, Some(56)));
    assert_eq!(answer(12), (36, Some(68)), "with the words");
}

#[test]
fn a_browser_learns_its_address_by_the_shortest_request() {
    let request = request(BINDING, 0);
    let mapped = |address: &str| Incoming::read(&request).expect("fine").mapped(address.parse().expect("an address")).expect("an answer");
    assert_eq!(mapped("198.51.100.7:4000").len(), 32);
    assert_eq!(mapped("[2001:db8::7]:4000").len(), 44);
}

proptest! {
    #[test]
    fn whatever_is_read_is_answered_within_the_bound(body in prop::collection::vec(any::<u8>(), 0..120), fingerprint: bool) {
        let mut message = Message::builder_request(BINDING, MessageWriteVec::new());
        for (n, piece) in body.chunks(7).enumerate() {
            let kind = AttributeType::new(0x4000 + u16::try_from(n).expect("few"));
            message.add_attribute(&stun_types::attribute::RawAttribute::new(kind, piece)).expect("fits");
        }
        if fingerprint {
            message.add_fingerprint().expect("fits");
        }
        let request = message.finish();
        let read = Incoming::read(&request).expect("well-formed");
        let unknown = read.unknown(&[]);
        prop_assert_eq!(unknown.len(), body.len().div_ceil(7));
        let nonce = "n".repeat(crate::nonce::LEN);
        for answer in [read.refusal(Problem::UnknownAttribute, &unknown), read.challenge(Problem::StaleNonce, &nonce)] {
            prop_assert!(answer.is_none_or(|answer| answer.len() <= MAX_AMPLIFICATION * request.len()));
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 20..200)) {
        bytes[0] &= 1;
        bytes[4..8].copy_from_slice(&COOKIE);
        let len = u16::try_from(bytes.len() - 20).expect("short");
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        if let Some(message) = Incoming::read(&bytes) {
            let _ = (message.get::<Username>(), message.unknown(&[]), message.is_by(&short_term()));
        }
    }
}

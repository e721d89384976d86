//! Tests of tokens as they come in: which are accepted, and why others are not.

mod examples;

use jsonwebtoken::{Algorithm, Header};
use parlor_proto::Tier;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::auth::testing::{OTHER_SECRET, SECRET, Signer, authenticator, bob, hour, with};
use crate::auth::*;
use crate::config::Secret;

fn verify(auth: &Authenticator, token: &str) -> Result<Pass, Error> {
    match auth.check(token) {
        Checked::Now(result) => result,
        Checked::UnknownKey => panic!("there is nowhere to look for keys"),
    }
}

fn signed(claims: &Value) -> String {
    Signer::secret(SECRET).sign(claims)
}

fn named(kid: &str, secret: &str) -> NamedSecret {
    NamedSecret { kid: kid.to_owned(), secret: Secret::new(secret.to_owned()) }
}

#[test]
fn an_issued_token_verifies() {
    let auth = authenticator(|a| (a.issuer, a.audience) = ("host".into(), "parlor".into()));
    let identity = verify(&auth, &auth.issue("alice", Some("Alice"), true).expect("issued")).expect("valid").identity;
    assert_eq!((identity.user.as_str(), identity.name.as_str(), identity.entitlement.tier()), ("alice", "Alice", Tier::Pro));
    assert!(identity.issued_at.0 > 0);
}

#[test]
fn what_a_guest_wishes_must_be_as_in_a_token() {
    let auth = authenticator(|_| ());
    let wish = |user: &str, channels| Wish { user: user.into(), channels, ..Wish::default() };
    let issued = auth.issue_for(&wish("alice", Some(json!([{ "id": "den", "role": "spectator" }])))).expect("issued");
    assert_eq!(verify(&auth, &issued.token).expect("valid").identity.grants.map(|grants| grants.len()), Some(1));
    let field = |wish: &Wish| auth.issue_for(wish).expect_err("refused").details.get("field").cloned();
    assert_eq!(field(&wish("", None)), Some(json!("user")));
    assert_eq!(field(&wish("a", Some(json!(["x", 5])))), Some(json!("channels[1]")));
}

#[test]
fn the_name_defaults_to_the_user_id() {
    assert_eq!(verify(&authenticator(|_| ()), &signed(&bob(json!({})))).expect("valid").identity.name, "bob");
}

#[test]
fn every_strength_of_hmac_is_taken() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let signer = Signer { algorithm, ..Signer::secret(SECRET) };
        assert!(verify(&authenticator(|_| ()), &signer.sign(&bob(json!({})))).is_ok());
    }
}

#[test]
fn a_token_that_is_not_ours_is_refused() {
    let auth = authenticator(|_| ());
    let token = signed(&bob(json!({})));
    assert!(verify(&auth, &token).is_ok());
    let parts: Vec<_> = token.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for (what, token) in [
        ("other key", Signer::secret(OTHER_SECRET).sign(&bob(json!({})))),
        ("public key", Signer::pair(Algorithm::EdDSA, "a").sign(&bob(json!({})))),
        // {"alg":"none"}, {"alg":"None"}, {"alg":"nOnE"}, {"alg":""}
        ("alg none", format!("eyJhbGciOiJub25lIn0.{payload}.")),
        ("alg None", format!("eyJhbGciOiJOb25lIn0.{payload}.")),
        ("alg nOnE", format!("eyJhbGciOiJuT25FIn0.{payload}.{signature}")),
        ("alg empty", format!("eyJhbGciOiIifQ.{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{token}.{signature}")),
        ("five parts", "a.b.c.d.e".to_owned()),
        ("white space", format!(" {token}")),
        ("a line end", format!("{token}\n")),
        ("padding", format!("{token}=")),
        (
            "payload of another",
            format!("{header}.{}.{signature}", signed(&bob(json!({ "pro": true }))).split('.').nth(1).expect("a payload")),
        ),
        ("dots", "..".to_owned()),
        ("empty", String::new()),
        ("long", "x".repeat(MAX_TOKEN_BYTES + 1)),
        ("very long", "x".repeat(1 << 20)),
    ] {
        let error = verify(&auth, &token).expect_err(what);
        assert_eq!((error.code, error.details.len()), (ErrorCode::Unauthenticated, 1), "{what}");
    }
}

#[test]
fn a_claim_that_is_wrong_is_named() {
    let auth = authenticator(|a| a.audience = "parlor".into());
    let name = "x".repeat(1 << 13);
    for (claim, more) in [
        ("aud", json!({})),
        ("aud", json!({ "aud": "another" })),
        ("exp", json!({ "aud": "parlor", "exp": hour(-1) })),
        ("nbf", json!({ "aud": "parlor", "nbf": hour(1) })),
        ("name", json!({ "aud": "parlor", "name": name })),
        ("sub", json!({ "aud": "parlor", "sub": "a\u{202e}b" })),
        ("channels[0].role", json!({ "aud": "parlor", "channels": [{ "id": "x", "role": "root" }] })),
    ] {
        let error = verify(&auth, &signed(&bob(more))).expect_err(claim);
        assert_eq!((error.code, error.details.get("claim")), (ErrorCode::Unauthenticated, Some(&json!(claim))));
        assert!(error.details.get("reason").is_some_and(Value::is_string));
    }
    // Payloads that are no object, and so no claims.
    for claims in [json!([]), json!("bob"), json!(null), json!(5)] {
        assert!(verify(&auth, &signed(&claims)).is_err());
    }
}

#[test]
fn old_secrets_count_until_they_are_removed() {
    let old = Signer::secret(OTHER_SECRET).sign(&bob(json!({})));
    let both = authenticator(|a| a.secrets = vec![NamedSecret::unnamed(OTHER_SECRET)]);
    assert!(verify(&both, &old).is_ok());
    let token = both.issue("bob", None, false).expect("issued");
    let after = authenticator(|_| ());
    assert!(verify(&after, &token).is_ok(), "auth.secret signs");
    assert!(verify(&after, &old).is_err());
}

#[test]
fn a_secret_with_a_name_takes_tokens_with_that_name_or_none() {
    let auth = authenticator(|a| {
        (a.secret, a.secrets) = (Secret::default(), vec![named("2025", SECRET), named("2024", OTHER_SECRET)]);
    });
    let token = auth.issue("bob", None, false).expect("issued");
    assert_eq!(jsonwebtoken::decode_header(&token).expect("a header").kid.as_deref(), Some("2025"));
    assert!(verify(&auth, &token).is_ok());
    let by = |secret, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::default() };
        verify(&auth, &Signer::secret(secret).sign_as(&header, &bob(json!({})))).is_ok()
    };
    assert!(by(OTHER_SECRET, Some("2024")) && by(OTHER_SECRET, None));
    assert!(!by(OTHER_SECRET, Some("2025")) && !by(OTHER_SECRET, Some("2023")) && !by(SECRET, Some("2024")));
}

#[test]
fn a_pass_is_checked_again_with_the_same_leeway() {
    let auth = authenticator(|_| ());
    let pass = verify(&auth, &signed(&bob(json!({})))).expect("valid");
    let end = pass.expires_at();
    assert!(pass.check_at(Timestamp(end.0 + 30_000)).is_ok());
    let error = pass.check_at(Timestamp(end.0 + 30_001)).expect_err("expired");
    assert_eq!((error.code, error.details.get("claim")), (ErrorCode::Unauthenticated, Some(&json!("exp"))));
}

#[test]
fn a_missing_or_weak_secret_is_refused_with_the_way_out() {
    for secret in ["", "short", &"x".repeat(64), &"ab".repeat(32)] {
        let error = Authenticator::new(&with(|a| a.secret = Secret::new(secret.to_owned())), false).expect_err("weak").to_string();
        assert!(error.contains("openssl rand -hex 32") && error.contains("auth.secret"), "{error}");
    }
    assert!(Authenticator::new(&with(|a| a.secret = Secret::default()), true).is_ok());
    assert!(Authenticator::new(&with(|a| a.secret = Secret::new("short".into())), true).is_err());
    let error = Authenticator::new(&with(|a| a.secrets = vec![named("a", "short")]), false).expect_err("weak").to_string();
    assert!(error.starts_with("auth.secrets[0] has 5 bytes"), "{error}");
}

#[test]
fn secrets_are_not_printed() {
    let auth = authenticator(|a| a.secrets = vec![named("a", OTHER_SECRET)]);
    let printed = format!("{auth:?}");
    assert!(!printed.contains(SECRET) && !printed.contains(OTHER_SECRET), "{printed}");
}

proptest! {
    #[test]
    fn any_text_is_refused_in_order(text in "\\PC*", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let auth = authenticator(|_| ());
        prop_assert!(verify(&auth, &text).is_err());
        prop_assert!(verify(&auth, &parts.join(".")).is_err());
    }

    #[test]
    fn any_header_is_refused_or_read(header in "\\{\"alg\":\"(HS256|none|RS256|)\"(,\"(kid|typ|crit|jwk|x5c|zip)\":(null|5|\"a\"|\\[\\]|\\{\\}))?\\}") {
        let token = signed(&bob(json!({})));
        let (_, rest) = token.split_once('.').expect("parts");
        let changed = format!("{}.{rest}", base64url(header.as_bytes()));
        prop_assert!(verify(&authenticator(|_| ()), &changed).is_err());
    }

    #[test]
    fn no_change_of_a_token_verifies(at in any::<prop::sample::Index>(), with in "[ -~é]", kind in 0..3) {
        let auth = authenticator(|_| ());
        let token = signed(&bob(json!({})));
        let mut changed: Vec<char> = token.chars().collect();
        let at = at.index(changed.len());
        let with = with.chars().next().expect("one");
        match kind {
            0 => changed[at] = with,
            1 => changed.insert(at, with),
            _ => drop(changed.remove(at)),
        }
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(verify(&auth, &changed).is_ok(), changed == token);
    }

    #[test]
    fn no_bit_of_a_public_key_signature_can_be_changed(bit in 0_usize..512) {
        use std::sync::OnceLock;
        static SIGNED: OnceLock<(Vec<Key>, String)> = OnceLock::new();
        let (keys, token) = SIGNED.get_or_init(|| {
            let signer = Signer::pair(Algorithm::EdDSA, "a");
            let set = json!({ "keys": [signer.jwk()] }).to_string();
            (keys::read_set(set.as_bytes()).expect("a set").keys, signer.sign(&bob(json!({}))))
        });
        let (message, signature) = token.rsplit_once('.').expect("parts");
        let mut bytes = unbase64url(signature);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = format!("{message}.{}", base64url(&bytes));
        prop_assert!(matches!(Unverified::read(&changed).expect("a token").verify(keys), SignatureCheck::Forged));
        prop_assert!(matches!(Unverified::read(token).expect("a token").verify(keys), SignatureCheck::Signed(_)));
    }
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        (0..=chunk.len()).for_each(|at| text.push(char::from(ALPHABET[bits >> (18 - 6 * at) & 63])));
    }
    text
}

fn unbase64url(text: &str) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte).expect("base64url");
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect()
}

//! Tests of which keys are accepted, and for which algorithm.

use aws_lc_rs::rsa::KeySize;
use jsonwebtoken::EncodingKey;
use serde_json::json;

use crate::auth::keys::*;
use crate::auth::testing::{SECRET, Signer, bob, rsa};

fn set(keys: &[Value]) -> KeySet {
    read_set(json!({ "keys": keys }).to_string().as_bytes()).expect("a set")
}

fn is_signed(token: &str, keys: &[Key]) -> bool {
    Unverified::read(token).is_some_and(|token| matches!(token.verify(keys), SignatureCheck::Signed(_)))
}

#[test]
fn each_type_of_key_verifies_its_algorithm() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let (signer, other) = (Signer::pair(algorithm, "a"), Signer::pair(algorithm, "a"));
        let KeySet { keys, skipped } = set(&[signer.jwk()]);
        assert!(skipped.is_empty(), "{algorithm:?}: {skipped:?}");
        assert!(is_signed(&signer.sign(&bob(json!({}))), &keys), "{algorithm:?}");
        assert!(!is_signed(&other.sign(&bob(json!({}))), &keys), "{algorithm:?}");
    }
}

#[test]
fn a_key_without_alg_has_the_usual_one_of_its_type() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let signer = Signer::pair(algorithm, "a");
        let mut jwk = signer.jwk();
        jwk.as_object_mut().expect("an object").remove("alg");
        assert!(is_signed(&signer.sign(&bob(json!({}))), &set(&[jwk]).keys), "{algorithm:?}");
    }
}

#[test]
fn one_key_has_one_algorithm() {
    let mut signer = Signer::pair(Algorithm::RS256, "a");
    let keys = set(&[signer.jwk()]).keys;
    assert!(is_signed(&signer.sign(&bob(json!({}))), &keys));
    for algorithm in [Algorithm::PS256, Algorithm::RS384, Algorithm::RS512] {
        signer.algorithm = algorithm;
        assert!(!is_signed(&signer.sign(&bob(json!({}))), &keys), "{algorithm:?}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let signer = Signer::pair(algorithm, "a");
        let keys = set(&[signer.jwk()]).keys;
        let jwk = signer.jwk();
        let document = jwk.to_string();
        // All that an attacker could take for the secret: the key set, its numbers, their text.
        let numbers = ["n", "x", "e"].iter().filter_map(|name| jwk[name].as_str());
        let raw = keys.iter().filter_map(|key| key.decoding.try_get_as_bytes().ok());
        for secret in numbers.map(str::as_bytes).chain(raw).chain([document.as_bytes()]) {
            for hmac in HMAC {
                let header = Header { kid: Some("a".to_owned()), ..Header::new(*hmac) };
                let token = jsonwebtoken::encode(&header, &bob(json!({})), &EncodingKey::from_secret(secret)).expect("signs");
                assert!(!is_signed(&token, &keys), "{algorithm:?} as {hmac:?}");
            }
        }
    }
}

#[test]
fn a_name_in_a_token_only_chooses_among_our_keys() {
    let (a, b) = (Signer::pair(Algorithm::EdDSA, "a"), Signer::pair(Algorithm::EdDSA, "b"));
    let keys = set(&[a.jwk(), b.jwk()]).keys;
    let named = |signer: &Signer, kid: Option<&str>| {
        let token = signer.sign_as(&Header { kid: kid.map(str::to_owned), ..signer.header() }, &bob(json!({})));
        Unverified::read(&token).map(|token| token.verify(&keys))
    };
    assert!(matches!(named(&b, Some("b")), Some(SignatureCheck::Signed(_))));
    assert!(matches!(named(&b, None), Some(SignatureCheck::Signed(_))), "without a name every key is tried");
    assert!(matches!(named(&b, Some("a")), Some(SignatureCheck::Forged)));
    for kid in ["c", "", "A", "../../dev/null", "b' OR 1=1", "https://evil.example/key", "b\u{0}"] {
        assert!(matches!(named(&b, Some(kid)), Some(SignatureCheck::UnknownKey)), "{kid}");
    }
    assert!(named(&b, Some(&"b".repeat(MAX_KID_CHARS + 1))).is_none());
}

#[test]
fn keys_inside_a_token_are_not_looked_at() {
    let (ours, theirs) = (Signer::pair(Algorithm::ES256, "a"), Signer::pair(Algorithm::ES256, "a"));
    let keys = set(&[ours.jwk()]).keys;
    let with = |signer: &Signer| {
        let jwk = Some(serde_json::from_value(theirs.jwk()).expect("a key"));
        let url = Some("https://evil.example/jwks.json".to_owned());
        let header = Header { jwk, jku: url.clone(), x5u: url, x5c: Some(vec!["AAAA".to_owned()]), ..signer.header() };
        signer.sign_as(&header, &bob(json!({})))
    };
    assert!(!is_signed(&with(&theirs), &keys));
    assert!(is_signed(&with(&ours), &keys));
}

#[test]
fn what_a_token_calls_critical_must_be_understood() {
    let signer = Signer::secret(SECRET);
    let keys = [Key::secret("", SECRET)];
    for crit in [vec![], vec!["exp".to_owned()], vec!["b64".to_owned()]] {
        let token = signer.sign_as(&Header { crit: Some(crit), ..signer.header() }, &bob(json!({})));
        assert!(Unverified::read(&token).is_none());
    }
    assert!(is_signed(&signer.sign(&bob(json!({}))), &keys));
}

#[test]
fn keys_that_cannot_be_used_are_skipped_and_the_others_are_used() {
    let good = Signer::pair(Algorithm::ES256, "good");
    let with = |key: &Signer, name: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        jwk
    };
    let rsa_key = Signer::pair(Algorithm::RS256, "rsa");
    let small = Jwk::from_encoding_key(&rsa(KeySize::Rsa2048), Algorithm::RS256).map(|jwk| serde_json::to_value(jwk).expect("json"));
    let mut small = small.expect("a key");
    small["n"] = json!(small["n"].as_str().map(|n| &n[..172]));
    let bad = [
        json!(5),
        json!({}),
        json!({ "kty": "RSA", "n": "AQAB" }),
        json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AQ", "y": "AQ" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AQ" }),
        json!({ "kty": "quantum" }),
        small,
        with(&good, "use", json!("enc")),
        with(&good, "key_ops", json!(["sign"])),
        with(&good, "alg", json!("RS256")),
        with(&good, "alg", json!("HS256")),
        with(&good, "alg", json!("ES384")),
        with(&good, "alg", json!("none")),
        with(&good, "x", json!("AQAB")),
        with(&good, "x", json!("not base64!")),
        with(&good, "kid", json!("k".repeat(MAX_KID_CHARS + 1))),
        with(&good, "kid", json!(5)),
        with(&rsa_key, "alg", json!("RS512")),
        with(&rsa_key, "alg", json!("RSA-OAEP")),
        with(&rsa_key, "e", json!("")),
    ];
    let mut all = bad.to_vec();
    all.push(good.jwk());
    let KeySet { keys, skipped } = set(&all);
    assert_eq!((keys.len(), skipped.len()), (1, bad.len()), "{skipped:#?}");
    assert!(is_signed(&good.sign(&bob(json!({}))), &keys));
}

#[test]
fn a_set_is_bounded() {
    let many: Vec<_> = std::iter::repeat_n(Signer::pair(Algorithm::EdDSA, "a").jwk(), MAX_KEYS + 5).collect();
    let KeySet { keys, skipped } = set(&many);
    assert_eq!((keys.len(), skipped.len()), (MAX_KEYS, 1));
}

#[test]
fn what_is_no_set_is_refused() {
    let deep = "[".repeat(100_000);
    for document in ["", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":5}", "<html>", "\u{0}", &format!("{{\"keys\":{deep}")] {
        assert!(read_set(document.as_bytes()).is_err(), "{document:.20}");
    }
    assert!(read_set(b"{\"keys\":[]}").expect("a set").keys.is_empty());
}

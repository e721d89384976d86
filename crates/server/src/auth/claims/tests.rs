//! Tests of claims of every kind, in virtual time.

use parlor_proto::limits::{MAX_ID_CHARS, MAX_NAME_CHARS};
use proptest::prelude::*;
use serde_json::json;

use crate::auth::claims::*;
use crate::config::{Auth, Period};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SECONDS: i64 = NOW.0 / 1000;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// The claims of bob with other claims over them; `null` removes a claim.
fn claims(more: Value) -> Map<String, Value> {
    let mut claims = object(json!({ "sub": "bob", "exp": SECONDS + 60, "iat": SECONDS }));
    for (claim, value) in object(more) {
        if value.is_null() { drop(claims.remove(&claim)) } else { drop(claims.insert(claim, value)) }
    }
    claims
}

fn rules(change: impl FnOnce(&mut Auth)) -> Rules {
    let mut auth = Auth::default();
    change(&mut auth);
    Rules::new(&auth)
}

fn read_now(more: Value) -> Read<Identity> {
    read(&claims(more), &rules(|_| ()), NOW).map(|claims| claims.identity)
}

/// The name of the claim that is refused.
fn refused(more: Value) -> String {
    let said = read_now(more.clone());
    said.map_err(|refusal| refusal.claim.into_owned()).expect_err(&more.to_string())
}

#[test]
fn claims_make_an_identity() {
    let identity = read_now(json!({
        "name": "Bob", "moderator": true, "entitlement": { "pro": true, "expires_at": "2030-01-31T13:00:00+01:00" },
        "channels": ["lobby", { "id": "stage", "role": "spectator" }, { "id": "den", "role": "moderator" }, { "id": "x" }],
    }));
    let identity = identity.expect("valid");
    assert_eq!((identity.user.as_str(), identity.name.as_str(), identity.moderator), ("bob", "Bob", true));
    assert_eq!(identity.entitlement, Entitlement { pro: true, expires_at: Timestamp::parse_rfc3339("2030-01-31T12:00:00Z") });
    assert_eq!(identity.issued_at, NOW);
    let roles: Vec<_> = identity.grants.expect("some").into_iter().map(|g| (g.channel.to_string(), g.role)).collect();
    let expected = [("lobby", GrantRole::Member), ("stage", GrantRole::Spectator), ("den", GrantRole::Moderator), ("x", GrantRole::Member)];
    assert_eq!(roles, expected.map(|(id, role)| (id.to_owned(), role)));
}

#[test]
fn what_is_not_claimed_is_not_given() {
    let identity = read_now(json!({ "iat": null })).expect("valid");
    assert_eq!(identity, Identity::new(UserId::new("bob").expect("valid"), "bob"));
    assert_eq!(read_now(json!({ "channels": [] })).expect("valid").grants, Some(Vec::new()), "none is not any");
}

#[test]
fn pro_is_short_for_an_entitlement_without_an_end_and_weaker() {
    let entitlement = |more| read_now(more).expect("valid").entitlement;
    assert_eq!(entitlement(json!({ "pro": true })), Entitlement::PRO);
    assert_eq!(entitlement(json!({ "pro": true, "entitlement": { "pro": false } })), Entitlement::FREE);
    let until = Entitlement { pro: true, expires_at: Some(Timestamp(1_900_000_000_500)) };
    assert_eq!(entitlement(json!({ "entitlement": { "pro": true, "expires_at": 1_900_000_000.5 } })), until);
    assert_eq!(entitlement(json!({ "entitlement": { "pro": true, "expires_at": null } })), Entitlement::PRO);
}

#[test]
fn a_wrong_claim_is_refused_by_its_name() {
    for (claim, values) in [
        ("sub", vec![json!(5), json!([]), json!({}), json!(true), json!("")]),
        ("sub", vec![json!(" bob"), json!("bob\n"), json!("a\u{202e}b"), json!("a\u{200b}b"), json!("a\u{0}b"), json!("\u{feff}bob")]),
        ("sub", vec![json!("x".repeat(MAX_ID_CHARS + 1)), json!("x".repeat(1 << 20))]),
        ("name", vec![json!(5), json!(["Bob"]), json!(""), json!(" "), json!("a\u{2066}b"), json!("a\tb")]),
        ("name", vec![json!("Ann\u{200d}"), json!("\u{200b}\u{200d}"), json!("Ann\u{3164}"), json!("An\u{200c} n")]),
        ("name", vec![json!("é".repeat(MAX_NAME_CHARS + 1)), json!("x".repeat(1 << 20))]),
        ("exp", vec![json!("9999999999"), json!(true), json!([]), json!(-1), json!(SECONDS - 31), json!(NOW.0), json!(u64::MAX)]),
        ("exp", vec![json!(1e300), json!(-1e300), json!(0), json!(i64::MIN)]),
        ("nbf", vec![json!("0"), json!(SECONDS + 31), json!(-5), json!({})]),
        ("iat", vec![json!("0"), json!(SECONDS + 31), json!(NOW.0), json!(false)]),
        ("pro", vec![json!(1), json!("true"), json!("yes"), json!([])]),
        ("moderator", vec![json!(1), json!("true"), json!({})]),
        ("entitlement", vec![json!(true), json!("pro"), json!([]), json!({ "pro": true, "expires": 5 })]),
        ("entitlement.pro", vec![json!({}), json!({ "pro": 1 }), json!({ "pro": "true" }), json!({ "expires_at": 5 })]),
        ("channels", vec![json!("lobby"), json!({ "lobby": "member" }), json!(5), json!(vec!["x"; MAX_GRANTS + 1])]),
    ] {
        for value in values {
            assert_eq!(refused(json!({ claim.split('.').next().expect("one"): value })), claim, "{value}");
        }
    }
    for claim in ["sub", "exp"] {
        assert_eq!(refused(json!({ claim: null })), claim);
    }
    for end in [
        json!("tomorrow"),
        json!("2030-01-31"),
        json!("2".repeat(1000)),
        json!("1969-12-31T00:00:00Z"),
        json!(-1),
        json!(true),
        json!(NOW.0),
    ] {
        assert_eq!(refused(json!({ "entitlement": { "pro": true, "expires_at": end } })), "entitlement.expires_at");
    }
}

#[test]
fn a_claim_that_is_null_is_absent() {
    for claim in ["name", "pro", "entitlement", "moderator", "channels", "nbf", "iss", "aud", "iat"] {
        let mut null = claims(json!({ claim: null }));
        let absent = read(&null, &rules(|_| ()), NOW).expect("valid");
        null.insert(claim.to_owned(), Value::Null);
        assert_eq!(read(&null, &rules(|_| ()), NOW), Ok(absent), "{claim}");
    }
    for claim in ["sub", "exp"] {
        let mut null = claims(json!({}));
        null.insert(claim.to_owned(), Value::Null);
        assert_eq!(read(&null, &rules(|_| ()), NOW).map_err(|refusal| refusal.claim), Err(claim.into()));
    }
    let granted = read_now(json!({ "channels": [{ "id": "b", "role": null }] })).expect("valid").grants;
    assert_eq!(granted, Some(vec![Grant { channel: ChannelId::new("b").expect("valid"), role: GrantRole::Member }]));
}

#[test]
fn a_wrong_channel_is_refused_by_its_place() {
    for (entry, claim) in [
        (json!(5), "channels[1]"),
        (json!(null), "channels[1]"),
        (json!(""), "channels[1]"),
        (json!("a\u{202e}b"), "channels[1]"),
        (json!("x".repeat(MAX_ID_CHARS + 1)), "channels[1]"),
        (json!(["b"]), "channels[1]"),
        (json!("a"), "channels[1]"),
        (json!({ "id": "a", "role": "moderator" }), "channels[1]"),
        (json!({ "id": "b", "rle": "member" }), "channels[1]"),
        (json!({ "role": "member" }), "channels[1].id"),
        (json!({ "id": 5 }), "channels[1].id"),
        (json!({ "id": " b" }), "channels[1].id"),
        (json!({ "id": "b", "role": "admin" }), "channels[1].role"),
        (json!({ "id": "b", "role": "Member" }), "channels[1].role"),
    ] {
        assert_eq!(refused(json!({ "channels": ["a", entry] })), claim, "{entry}");
    }
    let most: Vec<_> = (0..MAX_GRANTS).map(|n| n.to_string()).collect();
    assert!(read_now(json!({ "channels": most })).is_ok());
}

#[test]
fn an_id_is_only_an_id() {
    for id in
        ["'; DROP TABLE users; --", "\" OR 1=1", "../../etc/passwd", "<script>alert(1)</script>", "%00", "${jndi:x}", "Ωλ 🎲", "b:c/d"]
    {
        let identity = read_now(json!({ "sub": id, "name": id, "channels": [id] })).expect(id);
        assert_eq!((identity.user.as_str(), identity.name.as_str()), (id, id));
        assert_eq!(identity.grants.expect("some").first().map(|g| g.channel.to_string()).as_deref(), Some(id));
    }
}

#[test]
fn an_id_that_is_too_long_for_a_name_is_cut_where_a_name_may_end() {
    let id = format!("{} {}", "x".repeat(MAX_NAME_CHARS - 1), "y".repeat(9));
    assert_eq!(read_now(json!({ "sub": id })).expect("valid").name, "x".repeat(MAX_NAME_CHARS - 1));
}

#[test]
fn names_may_be_spelled_with_joiners() {
    for name in ["\u{639}\u{644}\u{6cc}\u{200c}\u{631}\u{636}\u{627}", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}"] {
        assert_eq!(read_now(json!({ "name": name })).expect(name).name, name);
        assert_eq!(refused(json!({ "sub": name })), "sub");
    }
}

#[test]
fn times_count_with_the_leeway() {
    let strict = rules(|auth| auth.leeway = Period::default());
    let at = |more, rules: &Rules| read(&claims(more), rules, NOW).map(|_| ()).map_err(|refusal| refusal.claim.into_owned());
    for (claim, ok, late) in [("exp", SECONDS - 30, SECONDS - 31), ("nbf", SECONDS + 30, SECONDS + 31), ("iat", SECONDS + 30, SECONDS + 31)]
    {
        assert_eq!(at(json!({ claim: ok }), &rules(|_| ())), Ok(()));
        assert_eq!(at(json!({ claim: late }), &rules(|_| ())), Err(claim.to_owned()));
        assert_eq!(at(json!({ claim: ok }), &strict), Err(claim.to_owned()));
        assert_eq!(at(json!({ claim: SECONDS }), &strict), Ok(()));
    }
    let end = Timestamp((SECONDS + 60) * 1000);
    assert!(!rules(|_| ()).is_over(end, Timestamp(end.0 + 30_000)));
    assert!(rules(|_| ()).is_over(end, Timestamp(end.0 + 30_001)));
}

#[test]
fn a_lifetime_can_be_bounded() {
    let bounded = rules(|auth| auth.max_lifetime = Period::hours(1));
    let at = |more| read(&claims(more), &bounded, NOW).map(|_| ()).map_err(|refusal| refusal.claim.into_owned());
    assert_eq!(at(json!({ "exp": SECONDS + 3600 })), Ok(()));
    assert_eq!(at(json!({ "exp": SECONDS + 3601 })), Err("exp".to_owned()));
    assert_eq!(at(json!({ "iat": null })), Err("iat".to_owned()));
}

#[test]
fn issuer_and_audience_must_match_when_they_are_configured() {
    let both = rules(|auth| (auth.issuer, auth.audience) = ("host".into(), "parlor".into()));
    let at = |more| read(&claims(more), &both, NOW).map(|_| ()).map_err(|refusal| refusal.claim.into_owned());
    assert_eq!(at(json!({ "iss": "host", "aud": "parlor" })), Ok(()));
    assert_eq!(at(json!({ "iss": "host", "aud": ["x", "parlor"] })), Ok(()));
    for iss in [json!("other"), json!(["host"]), json!(5), json!("HOST"), json!(null)] {
        assert_eq!(at(json!({ "iss": iss, "aud": "parlor" })), Err("iss".to_owned()));
    }
    for aud in [json!("other"), json!([]), json!(["x"]), json!(["parlor", 5]), json!(5), json!(""), json!({ "parlor": 1 }), json!(null)] {
        assert_eq!(at(json!({ "iss": "host", "aud": aud })), Err("aud".to_owned()));
    }
    assert!(read_now(json!({ "iss": 5, "aud": {} })).is_ok(), "not looked at");
}

#[test]
fn a_refusal_repeats_nothing_of_the_token() {
    let long = "hidden".repeat(1000);
    for more in [json!({ "sub": long }), json!({ "channels": [{ "id": "a", "hidden": 1 }] }), json!({ "entitlement": { "hidden": long } })]
    {
        let error = read_now(more).expect_err("refused").unauthenticated();
        let told = serde_json::to_string(&error).expect("json");
        assert!(!told.contains("hidden") && told.contains("\"claim\""), "{told}");
    }
}

/// Any JSON at all, not too deep.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (SECONDS - 100..SECONDS + 100).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof!["spectator", "member", "moderator", "bob", "2030-01-31T12:00:00Z"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof!["id", "role", "pro", "expires_at", ".{0,4}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_claims_are_read_or_refused(
        more in proptest::collection::hash_map(prop_oneof!["sub", "name", "exp", "nbf", "iat", "iss", "aud", "pro", "entitlement", "moderator", "channels"], json_value(), 0..6),
        now in any::<i64>(),
    ) {
        let mut claims = claims(json!({}));
        claims.extend(more);
        for now in [NOW, Timestamp(now)] {
            if let Ok(Claims { identity, expires }) = read(&claims, &rules(|auth| auth.max_lifetime = Period::hours(1)), now) {
                prop_assert!(expires.0 >= now.0.saturating_sub(30_000));
                prop_assert!(identity.issued_at.0 <= now.0.saturating_add(30_000));
                prop_assert!(check_name(&identity.name, MAX_NAME_CHARS).is_ok());
                prop_assert!(identity.grants.is_none_or(|grants| grants.len() <= MAX_GRANTS));
            }
        }
    }
}

//! Tests of keys that are published elsewhere: found, changed, lost, and kept from harm.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::extract::State as Shown;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::auth::jwks::*;
use crate::auth::testing::{Signer, authenticator, bob, with};
use crate::auth::{Authenticator, Checked};
use crate::config::{Period, Secret};

/// A server with a key set: its answer, and how often it was asked.
#[derive(Default)]
struct Site {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
}

#[derive(Clone, Default)]
enum Answer {
    Keys(String),
    Huge,
    Elsewhere(String),
    Slow,
    #[default]
    Broken,
}

struct Served {
    site: Arc<Site>,
    address: SocketAddr,
}

impl Served {
    async fn start(answer: Answer) -> Self {
        let site = Arc::new(Site { answer: Mutex::new(answer), asked: AtomicUsize::new(0) });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
        let address = listener.local_addr().expect("address");
        let app = Router::new().route("/jwks.json", get(answer_with)).with_state(Arc::clone(&site));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { site, address }
    }

    fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    fn answers(&self, answer: Answer) {
        *self.site.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn asked(&self) -> usize {
        self.site.asked.load(Ordering::SeqCst)
    }

    /// An authenticator that takes keys from this server alone, with its own intervals.
    fn authenticator(&self, change: impl FnOnce(&mut Times)) -> Authenticator {
        let mut times = Times { refresh: NEVER, keep: NEVER, gap: NEVER, retry: NEVER };
        change(&mut times);
        let config = with(|a| a.jwks = self.url());
        let source = config.key_source().expect("a source").expect("set");
        let published = Published::with_times(Fetcher::new(source).expect("a client"), times).expect("starts");
        Authenticator { secrets: Vec::new(), issuer: None, published: Some(published), ..authenticator(|_| ()) }
    }
}

async fn answer_with(Shown(site): Shown<Arc<Site>>) -> Response {
    site.asked.fetch_add(1, Ordering::SeqCst);
    let answer = site.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match answer {
        Answer::Keys(document) => document.into_response(),
        Answer::Huge => format!("{{\"keys\":[],\"filler\":\"{}\"}}", "x".repeat(1 << 20)).into_response(),
        Answer::Elsewhere(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        Answer::Slow => {
            tokio::time::sleep(NEVER).await;
            ().into_response()
        }
        Answer::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);

fn keys(signers: &[&Signer]) -> Answer {
    Answer::Keys(json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string())
}

fn signer(kid: &str) -> Signer {
    Signer::pair(Algorithm::ES256, kid)
}

async fn is_taken(auth: &Authenticator, signer: &Signer) -> bool {
    auth.verify(&signer.sign(&bob(json!({})))).await.is_ok()
}

/// Waits until a token is accepted, or until it no longer is.
async fn becomes(auth: &Authenticator, signer: &Signer, taken: bool) {
    let changed = async {
        while is_taken(auth, signer).await != taken {
            sleep(SOON).await;
        }
    };
    timeout(Duration::from_secs(10), changed).await.expect("in time");
}

#[tokio::test]
async fn the_first_token_waits_for_the_first_keys() {
    let alice = signer("a");
    let site = Served::start(keys(&[&alice])).await;
    let auth = site.authenticator(|_| ());
    assert!(is_taken(&auth, &alice).await);
    assert!(matches!(auth.check(&alice.sign(&bob(json!({})))), Checked::Now(Ok(_))), "and the next waits for nothing");
    assert!(!is_taken(&auth, &signer("a")).await, "a key of the same name is another");
    assert_eq!(site.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_taken_at_once_and_a_removed_one_no_more() {
    let (old, new) = (signer("old"), signer("new"));
    let site = Served::start(keys(&[&old])).await;
    let auth = site.authenticator(|_| ());
    assert!(is_taken(&auth, &old).await);
    site.answers(keys(&[&new]));
    assert!(is_taken(&auth, &new).await);
    assert!(!is_taken(&auth, &old).await);
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn keys_are_fetched_again_in_time() {
    let (old, new) = (signer("a"), signer("a"));
    let site = Served::start(keys(&[&old])).await;
    let auth = site.authenticator(|times| times.refresh = SOON);
    assert!(is_taken(&auth, &old).await);
    // The new key has the same name, so no token shows that there is a new key.
    site.answers(keys(&[&new]));
    becomes(&auth, &old, false).await;
    assert!(is_taken(&auth, &new).await);
}

#[tokio::test]
async fn invented_names_of_keys_cause_one_fetch_and_no_waiting() {
    let alice = signer("a");
    let site = Served::start(keys(&[&alice])).await;
    let auth = Arc::new(site.authenticator(|_| ()));
    assert!(is_taken(&auth, &alice).await);
    let tokens: Vec<_> = (0..50).map(|n| signer(&n.to_string()).sign(&bob(json!({})))).collect();
    let started = Instant::now();
    let verify = |token: String, auth: Arc<Authenticator>| async move { auth.verify(&token).await.is_err() };
    let all: Vec<_> = tokens.into_iter().map(|token| tokio::spawn(verify(token, Arc::clone(&auth)))).collect();
    for refused in all {
        assert!(refused.await.expect("no panic"));
    }
    assert!(matches!(auth.check(&signer("x").sign(&bob(json!({})))), Checked::Now(Err(_))));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn the_server_starts_without_the_keys_and_takes_tokens_when_they_come() {
    let alice = signer("a");
    let site = Served::start(Answer::Broken).await;
    let auth = site.authenticator(|times| times.retry = SOON);
    assert!(!is_taken(&auth, &alice).await);
    site.answers(keys(&[&alice]));
    becomes(&auth, &alice, true).await;
}

#[tokio::test]
async fn old_keys_count_while_there_are_no_others_but_not_for_ever() {
    let alice = signer("a");
    let site = Served::start(keys(&[&alice])).await;
    let patient = site.authenticator(|times| (times.refresh, times.retry) = (SOON, SOON));
    let strict = site.authenticator(|times| (times.refresh, times.retry, times.keep) = (SOON, SOON, 5 * SOON));
    assert!(is_taken(&patient, &alice).await && is_taken(&strict, &alice).await);
    for broken in [Answer::Broken, Answer::Keys("<html>".to_owned()), Answer::Huge] {
        site.answers(broken);
        becomes(&strict, &alice, false).await;
        assert!(is_taken(&patient, &alice).await);
        site.answers(keys(&[&alice]));
        becomes(&strict, &alice, true).await;
    }
    site.answers(keys(&[]));
    becomes(&patient, &alice, false).await;
}

#[tokio::test]
async fn nobody_can_send_us_elsewhere_for_keys() {
    let mallory = signer("a");
    let evil = Served::start(keys(&[&mallory])).await;
    let site = Served::start(Answer::Elsewhere(evil.url())).await;
    assert!(!is_taken(&site.authenticator(|_| ()), &mallory).await);
    assert_eq!((site.asked(), evil.asked()), (1, 0));
}

#[tokio::test]
async fn a_site_that_does_not_answer_holds_nobody_for_long() {
    let site = Served::start(Answer::Slow).await;
    let auth = site.authenticator(|_| ());
    let started = Instant::now();
    assert!(!is_taken(&auth, &signer("a")).await);
    assert!(started.elapsed() < MAX_WAIT + Duration::from_secs(2));
    assert!(matches!(auth.check("not a token"), Checked::Now(Err(_))));
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let (old, new) = (signer("old"), signer("new"));
    let path = std::env::temp_dir().join(format!("parlor-jwks-{}-{:x}.json", std::process::id(), rand::random::<u64>()));
    let write = |answer: &Answer| {
        let Answer::Keys(document) = answer else { panic!("keys only") };
        std::fs::write(&path, document).expect("written");
    };
    write(&keys(&[&old]));
    let auth = Authenticator::new(&with(|a| (a.secret, a.jwks) = (Secret::default(), path.display().to_string())), false).expect("usable");
    assert!(is_taken(&auth, &old).await);
    write(&keys(&[&new]));
    assert!(is_taken(&auth, &new).await, "an unknown key is looked for at once");
    assert!(!is_taken(&auth, &old).await);
    write(&keys(&[&old, &new]));
    becomes(&auth, &old, true).await;
    std::fs::remove_file(&path).expect("removed");
    sleep(FILE_INTERVAL * 2).await;
    assert!(is_taken(&auth, &new).await, "the keys that were there count on");
}

#[tokio::test]
async fn secrets_and_public_keys_count_side_by_side() {
    let alice = signer("a");
    let site = Served::start(keys(&[&alice])).await;
    let auth = Authenticator::new(&with(|a| (a.jwks, a.jwks_refresh) = (site.url(), Period::hours(1))), false).expect("usable");
    assert!(is_taken(&auth, &alice).await);
    assert!(auth.verify(&auth.issue("bob", None, false).expect("signs")).await.is_ok());
    // With public keys alone there is nothing to sign with, except for guests of the development mode.
    let only = with(|a| (a.secret, a.jwks) = (Secret::default(), site.url()));
    assert!(Authenticator::new(&only, false).expect("usable").issue("bob", None, false).is_err());
    assert!(Authenticator::new(&only, true).expect("usable").issue("bob", None, false).is_ok());
}

//! Tests of races between users who enter a room and changes of the store meanwhile, with each step made to wait for the other.

mod calls;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use parlor_proto::event::Reply;
use parlor_proto::{
    Actor, Channel, ChannelId, Error, ErrorCode, Identity, MemberRole, MeshTerms, Moderation, Request, RouterId, SessionId, Topology,
    UserId,
};
use parlor_rooms::{Join, RequestId};
use parlor_store::Store;
use parlor_testkit::wait::until;
use sqlx::{Connection as _, Executor as _};
use tokio::time::Instant;

use crate::clock;
use crate::config::{Config, Media};
use crate::feed::FeedHandle;
use crate::media::{Pool, Told};
use crate::rooms::enter::admission::Admission;
use crate::rooms::mail::Mail;
use crate::rooms::{Broadcast, Ending, JoinTerms, JoinWish, Peer, Registry, ResumeWish};

/// A connection that keeps its answers.
struct Listener {
    id: SessionId,
    answers: Mutex<Vec<Result<Reply, Error>>>,
    /// Holding this lock stops the room as soon as it has something to tell this connection.
    listens: tokio::sync::Mutex<()>,
}

impl Listener {
    fn new(n: u128) -> Arc<Self> {
        Arc::new(Self { id: SessionId::from_random(n), answers: Mutex::default(), listens: tokio::sync::Mutex::default() })
    }

    fn is_answered(&self) -> bool {
        !self.answers.lock().expect("unpoisoned").is_empty()
    }

    /// The only answer since the last call.
    fn answer(&self) -> Result<Reply, ErrorCode> {
        let answer = self.answers.lock().expect("unpoisoned").pop().expect("an answer");
        assert!(self.answers.lock().expect("unpoisoned").is_empty(), "one answer to one request");
        answer.map_err(|error| error.code)
    }
}

impl Peer for Listener {
    fn id(&self) -> SessionId {
        self.id
    }
    fn reply(&self, _room: RouterId, _request: RequestId, reply: Reply) {
        self.answers.lock().expect("unpoisoned").push(Ok(reply));
    }
    fn refuse(&self, _request: RequestId, error: Error) {
        self.answers.lock().expect("unpoisoned").push(Err(error));
    }
    fn push(&self, _room: RouterId, _broadcast: &Broadcast) {
        if self.listens.try_lock().is_err() {
            tokio::task::block_in_place(|| drop(self.listens.blocking_lock()));
        }
    }
    fn close(&self) {}
}

struct Stage {
    registry: Arc<Registry>,
    pool: Arc<Pool>,
    file: PathBuf,
}

impl Stage {
    async fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("parlor-{name}-{}.db", std::process::id()));
        // The file may be left over from a run that failed.
        remove(&file);
        let media = Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() };
        let mut config = Config { media, ..Config::default() };
        config.limits.joins_per_minute = 10_000;
        let pool = Arc::new(Pool::start(&config.media, &Told::default(), &[]).expect("starts"));
        let store = Store::open(&format!("sqlite:{}", file.display())).await.expect("opens");
        let ice = crate::ice::Ice::new(&config, false).expect("no provider");
        let registry = Arc::new(Registry::new(&config, true, Arc::clone(&pool), store, FeedHandle::nowhere(), ice));
        Self { registry, pool, file }
    }

    async fn admit(&self, name: &str) -> Admission {
        self.admit_to(&lobby(), name).await
    }

    async fn admit_to(&self, channel: &ChannelId, name: &str) -> Admission {
        self.registry.admit(channel, &identity(name), Topology::Sfu).await.expect("may come")
    }

    /// Connects a session, unless it is connected already.
    fn connect(&self, peer: &Arc<Listener>, name: &str) {
        if self.registry.presence.peer(peer.id).is_none() {
            let connected = self.registry.connected(&identity(name), Arc::clone(peer) as Arc<dyn Peer>, clock::wall());
            connected.expect("has a place");
        }
    }

    async fn join(&self, peer: &Arc<Listener>, name: &str, admission: &Admission, deadline: Instant) -> bool {
        self.connect(peer, name);
        match self.registry.join(admission, wish(peer, name, deadline)).await {
            Ok(room) => room.is_some(),
            Err(error) => {
                peer.refuse(RequestId(1), error);
                false
            }
        }
    }

    fn is_in(&self, name: &str) -> bool {
        self.registry.presence.channels_of(&user(name)).contains(&lobby())
    }

    async fn ban(&self, name: &str) {
        self.registry.store.put_ban(&lobby(), &user(name), None, None, &Actor::CommandLine, clock::wall()).await.expect("written");
    }

    /// Reads the change log as the registry's own task does.
    fn notice(&self) {
        self.registry.noticed.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes the store's database directly, past the store.
    async fn break_store(&self, sql: &str) {
        let mut database = sqlx::AnyConnection::connect(&format!("sqlite:{}", self.file.display())).await.expect("opens");
        database.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.expect("is done");
        database.close().await.expect("closes");
    }

    async fn end(self) {
        self.registry.shut_down().await;
        self.registry.store.close().await;
        tokio::task::spawn_blocking(move || self.pool.stop(std::time::Instant::now() + Duration::from_secs(10))).await.expect("stops");
        remove(&self.file);
    }
}

fn wish(peer: &Listener, name: &str, deadline: Instant) -> JoinWish {
    JoinWish { session: peer.id, request: RequestId(1), identity: identity(name), terms: JoinTerms::default(), deadline }
}

fn remove(file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
}

fn lobby() -> ChannelId {
    ChannelId::new("lobby").expect("an id")
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("an id")
}

fn identity(name: &str) -> Identity {
    Identity::new(user(name), name)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test]
async fn a_change_is_known_of_before_rooms_have_felt_it() {
    let stage = Stage::new("noticed").await;
    stage.admit("alice").await;
    stage.registry.follow().await.expect("follows");
    let lobby = lobby();
    let place = stage.registry.locks.place(&lobby);
    let turn = place.turn().await;
    stage.ban("mallory").await;
    stage.registry.changed();
    let last = stage.registry.store.last_change().await.expect("is read");
    until("it is noticed", async || stage.registry.noticed.load(Ordering::Acquire) == last).await;
    drop(turn);
    drop(place);
    stage.end().await;
}

#[tokio::test]
async fn who_was_banned_on_the_way_in_is_out_once_the_store_answers_and_does_not_wait_for_it() {
    let stage = Stage::new("late-ban").await;
    let (mallory, admission) = (Listener::new(1), stage.admit("mallory").await);
    stage.ban("mallory").await;
    stage.notice();
    stage.break_store("ALTER TABLE bans RENAME TO bans_elsewhere").await;
    let lobby = lobby();
    let place = stage.registry.locks.place(&lobby);
    let turn = place.turn().await;
    assert!(stage.join(&mallory, "mallory", &admission, soon()).await, "in, whoever moderates");
    assert!(matches!(mallory.answer(), Ok(Reply::Joined(_))));
    drop(turn);
    drop(place);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(stage.is_in("mallory"), "nobody knows");
    stage.break_store("ALTER TABLE bans_elsewhere RENAME TO bans").await;
    until("out", async || !stage.is_in("mallory")).await;
    stage.end().await;
}

#[tokio::test]
async fn what_another_process_wrote_during_a_join_is_looked_for_at_once() {
    let stage = Stage::new("elsewhere").await;
    let (mallory, admission) = (Listener::new(1), stage.admit("mallory").await);
    let elsewhere = Store::open(&format!("sqlite:{}", stage.file.display())).await.expect("opens");
    stage.registry.follow().await.expect("follows");
    // The task that follows the log would see the change on its next look, and has no reason to look for another second.
    tokio::time::sleep(Duration::from_millis(50)).await;
    elsewhere.put_ban(&lobby(), &user("mallory"), None, None, &Actor::CommandLine, clock::wall()).await.expect("written");
    elsewhere.delete_ban(&lobby(), &user("mallory"), &Actor::CommandLine, clock::wall()).await.expect("lifted");
    stage.join(&mallory, "mallory", &admission, soon()).await;
    until("out, though it is lifted", async || !stage.is_in("mallory")).await;
    elsewhere.close().await;
    stage.end().await;
}

#[tokio::test]
async fn a_join_asks_for_a_look_at_the_log_only_if_something_was_written_meanwhile() {
    let stage = Stage::new("asks").await;
    let looks = async |name: &str, n, admission: &Admission| {
        assert!(stage.join(&Listener::new(n), name, admission, soon()).await);
        tokio::time::timeout(Duration::from_millis(300), stage.registry.changed.notified()).await.is_ok()
    };
    let (alice, bob) = (stage.admit("alice").await, stage.admit("bob").await);
    assert!(!looks("alice", 1, &alice).await);
    stage.ban("somebody").await;
    assert!(looks("bob", 2, &bob).await);
    stage.end().await;
}

#[tokio::test]
async fn a_room_that_was_made_with_an_old_record_gets_the_new_one() {
    let stage = Stage::new("old-record").await;
    let admission = stage.admit("alice").await;
    let record = Channel { name: "Renamed".into(), ..admission.record.channel.clone() };
    stage.registry.store.put_channel(&record, None, &Actor::CommandLine, clock::wall()).await.expect("written");
    stage.notice();
    assert!(stage.join(&Listener::new(1), "alice", &admission, soon()).await);
    until("the new name", async || {
        let (bob, admission) = (Listener::new(2), stage.admit("bob").await);
        assert!(stage.join(&bob, "bob", &admission, soon()).await);
        let Ok(Reply::Joined(joined)) = bob.answer() else { panic!("joined") };
        let room = stage.registry.running(&lobby()).expect("runs");
        room.disconnect(bob.id, Ending::Goodbye).await;
        joined.channel_name == "Renamed"
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn a_join_that_took_too_long_is_in_nobodys_way() {
    let stage = Stage::new("too-late").await;
    let (alice, admission) = (Listener::new(1), stage.admit("alice").await);
    assert!(stage.join(&Listener::new(9), "host", &stage.admit("host").await, soon()).await);
    let past = Instant::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..20 {
        assert!(!stage.join(&alice, "alice", &admission, past).await, "no time at all");
        assert!(matches!(alice.answer(), Err(ErrorCode::Timeout)));
        assert!(stage.join(&alice, "alice", &admission, soon()).await, "and now with time");
        assert!(matches!(alice.answer(), Ok(Reply::Joined(_))));
        stage.registry.participants(&lobby()).await;
        assert!(stage.is_in("alice"), "the first one does not end the second");
        stage.registry.running(&lobby()).expect("runs").disconnect(alice.id, Ending::Goodbye).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn what_is_written_while_the_server_stops_waits_for_no_call() {
    let stage = Stage::new("stops").await;
    stage.registry.follow().await.expect("reads");
    stage.registry.shut_down().await;
    let now = clock::wall();
    stage.registry.store.revoke(&user("mallory"), now, &Actor::CommandLine, now).await.expect("written");
    let began = Instant::now();
    assert!(stage.registry.settled(&[lobby()]).await);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    stage.end().await;
}

#[tokio::test]
async fn who_is_let_in_when_nobody_waits_any_more_is_out_again_and_not_told_otherwise() {
    let stage = Stage::new("given-up").await;
    let (alice, admission) = (Listener::new(1), stage.admit("alice").await);
    assert!(stage.join(&Listener::new(9), "host", &stage.admit("host").await, soon()).await);
    stage.connect(&alice, "alice");
    let join = Join {
        session: alice.id,
        request: RequestId(1),
        identity: identity("alice"),
        admitted: admission.admitted,
        as_of: admission.record.as_of,
        ice: admission.ice.clone(),
        capabilities: None,
        take_over: false,
        mesh: MeshTerms::default(),
        dialect: "test",
    };
    let room = stage.registry.running(&lobby()).expect("runs");
    // The letter has no place for the answer: whoever asked has gone by the time of the answer.
    room.send(Mail::Join { join: Box::new(join), record: Box::new(admission.record.clone()) }).await;
    let inside = stage.registry.participants(&lobby()).await;
    assert_eq!(inside.len(), 1, "only the host: {inside:?}");
    assert!(!stage.is_in("alice"));
    assert!(alice.answers.lock().expect("unpoisoned").is_empty(), "whoever gave up has answered");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_resumes_while_something_changes_is_judged_by_what_holds_then() {
    let stage = Stage::new("resumed").await;
    let (alice, bob, registry) = (Listener::new(1), Listener::new(3), Arc::clone(&stage.registry));
    for (peer, name) in [(&alice, "alice"), (&bob, "bob"), (&Listener::new(4), "carol")] {
        assert!(stage.join(peer, name, &stage.admit(name).await, soon()).await);
    }
    // The room runs on another thread: it first notes that the session is in, and then answers.
    until("answered", async || alice.is_answered()).await;
    let Ok(Reply::Joined(joined)) = alice.answer() else { panic!("joined") };
    let room = registry.running(&lobby()).expect("runs");
    room.disconnect(alice.id, Ending::Lost).await;

    // Bob stops the room once for the question whether there is a stay to resume, and once for the resumption itself:
    // so the store was asked before the write that follows here.
    let mute = |muted| Request::UpdateState { muted: Some(muted), deafened: None, speaking: None };
    let first = bob.listens.lock().await;
    room.request(SessionId::from_random(4), RequestId(5), mute(true)).await;
    until("stuck", async || room.waiting() == 0).await;
    let back = Listener::new(2);
    stage.connect(&back, "alice");
    let (session, request, identity) = (back.id, RequestId(2), identity("alice"));
    let wish = ResumeWish { session, request, identity, channel: lobby(), token: joined.resume_token, deadline: soon() };
    let resuming = Arc::clone(&registry);
    let resuming = tokio::spawn(async move { resuming.resume(wish).await });
    until("asked", async || room.waiting() == 1).await;
    room.request(SessionId::from_random(4), RequestId(6), mute(false)).await;
    let mut second = Box::pin(bob.listens.lock());
    assert!((&mut second).now_or_never().is_none(), "next, after the room");
    drop(first);
    let second = second.await;
    until("about to be let in", async || room.waiting() == 1).await;
    let written = registry.store.put_member(&lobby(), &user("alice"), MemberRole::Member, &Actor::CommandLine, clock::wall()).await;
    assert!(written.expect("written"));
    let seq = registry.store.last_change().await.expect("is read");
    registry.recent.note(seq, Some(&lobby()), Some(&user("alice")));
    drop(second);

    assert!(resuming.await.expect("ends").expect("nothing is wrong").is_some());
    until("answered", async || back.is_answered()).await;
    assert!(matches!(back.answer(), Ok(Reply::Resumed(_))));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_room_that_does_not_answer_stops_nobody_elses_moderation_or_change_log() {
    let stage = Stage::new("stuck").await;
    let (den, registry) = (ChannelId::new("den").expect("an id"), &stage.registry);
    let elsewhere = Store::open(&format!("sqlite:{}", stage.file.display())).await.expect("opens");
    registry.follow().await.expect("follows");
    let (alice, carol, admission) = (Listener::new(1), Listener::new(2), stage.admit("alice").await);
    assert!(stage.join(&alice, "alice", &admission, soon()).await);
    assert!(stage.join(&Listener::new(3), "bob", &stage.admit_to(&den, "bob").await, soon()).await);

    let stuck = alice.listens.lock().await;
    assert!(stage.join(&carol, "carol", &stage.admit("carol").await, soon()).await, "alice is told of it, and the room waits for her");
    let mute = |name: &str| Moderation::Mute { user: user(name), audio: Some(true), video: None, screen: None };
    let (waiting, silence) = (Arc::clone(registry), mute("carol"));
    let waiting = tokio::spawn(async move { waiting.moderate(&lobby(), &Actor::CommandLine, silence).await });
    elsewhere.put_ban(&lobby(), &user("carol"), None, None, &Actor::CommandLine, clock::wall()).await.expect("written");
    registry.changed();
    let felt_in_lobby = tokio::time::timeout(Duration::from_millis(200), registry.settled(&[lobby()])).await;
    assert!(felt_in_lobby.is_err() && !waiting.is_finished() && stage.is_in("carol"), "nothing happens in the room that is stuck");

    registry.moderate(&den, &Actor::CommandLine, mute("bob")).await.expect("is done");
    assert!(registry.participants(&den).await.iter().any(|bob| bob.state.server_muted.audio), "and in the other it does");
    elsewhere.put_ban(&den, &user("bob"), None, None, &Actor::CommandLine, clock::wall()).await.expect("written");
    assert!(registry.settled(&[den]).await);
    assert!(registry.presence.channels_of(&user("bob")).is_empty(), "the change log goes on");
    assert!(stage.is_in("carol"), "the lobby is stuck to the end");

    drop(stuck);
    waiting.await.expect("ends").expect("is done late");
    until("late, and all the same", async || !stage.is_in("carol")).await;
    elsewhere.close().await;
    stage.end().await;
}

#[tokio::test]
async fn a_channel_that_goes_ends_its_call_however_many_changes_wait() {
    let stage = Stage::new("missed-removal").await;
    let registry = &stage.registry;
    registry.follow().await.expect("follows");
    let alice = Listener::new(1);
    assert!(stage.join(&alice, "alice", &stage.admit("alice").await, soon()).await);
    assert!(stage.is_in("alice"));
    let lobby = lobby();
    let place = registry.locks.place(&lobby);
    let turn = place.turn().await;
    for n in 0..260 {
        registry
            .store
            .put_member(&lobby, &user(&format!("member-{n}")), MemberRole::Member, &Actor::CommandLine, clock::wall())
            .await
            .expect("written");
    }
    registry.store.delete_channel(&lobby, &Actor::CommandLine, clock::wall()).await.expect("removed");
    registry.changed();
    let last = registry.store.last_change().await.expect("is read");
    until("it is noticed", async || registry.noticed.load(Ordering::Acquire) == last).await;
    drop(turn);
    drop(place);
    assert!(registry.settled(std::slice::from_ref(&lobby)).await);
    assert!(!stage.is_in("alice"), "the channel is gone");
    stage.end().await;
}

#[tokio::test]
async fn those_who_join_keep_no_moderator_out() {
    let stage = Stage::new("crowd").await;
    let lobby = lobby();
    stage.admit("alice").await;
    let place = stage.registry.locks.place(&lobby);
    let turn = place.turn().await;
    for n in 0..70 {
        let name = format!("user-{n}");
        let admission = stage.admit(&name).await;
        stage.notice();
        stage.join(&Listener::new(100 + n), &name, &admission, soon()).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let registry = Arc::clone(&stage.registry);
    let mute = Moderation::Mute { user: user("user-0"), audio: Some(true), video: None, screen: None };
    let moderating = tokio::spawn(async move { registry.moderate(&self::lobby(), &Actor::CommandLine, mute).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(turn);
    drop(place);
    let done = moderating.await.expect("ends");
    assert!(done.is_ok(), "{done:?}");
    stage.end().await;
}

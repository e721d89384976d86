//! Tests of watched calls: what watchers are shown, and what one call does to another.

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::{Actor, ChannelId};
use parlor_testkit::wait::until;

use super::{Listener, Stage, identity, lobby, soon, user};
use crate::clock;
use crate::rooms::CallStage::{self, Active, Connecting, Ended, Idle};
use crate::rooms::calls::CallWatch;
use crate::rooms::{CallState, Ending, Peer as _};

fn people(state: &CallState) -> Vec<(&str, CallStage)> {
    state.participants.iter().map(|one| (one.name.as_str(), one.state)).collect()
}

/// Waits until the watcher is shown these people.
async fn shows(watch: &mut CallWatch, stage: CallStage, expected: &[(&str, CallStage)]) {
    let mut last = None;
    let shown = async {
        loop {
            let state = watch.next().await.expect("the server runs");
            if state.room_state == stage && people(&state) == expected {
                return;
            }
            last = Some(state);
        }
    };
    let shown = tokio::time::timeout(Duration::from_secs(10), shown).await;
    assert!(shown.is_ok(), "{expected:?} is not shown; the last state is {last:?}");
}

#[tokio::test]
async fn a_watcher_is_shown_who_connects_who_is_in_and_who_left() {
    let stage = Stage::new("watched").await;
    stage.registry.show_calls();
    let mut watch = stage.registry.watch_call(&lobby());
    shows(&mut watch, Idle, &[]).await;
    let socket = stage.registry.entering(&lobby(), &identity("alice"));
    shows(&mut watch, Connecting, &[("alice", Connecting)]).await;
    let (alice, admission) = (Listener::new(1), stage.admit("alice").await);
    assert!(stage.join(&alice, "alice", &admission, soon()).await);
    shows(&mut watch, Active, &[("alice", Active)]).await;
    let (bob, admission) = (Listener::new(2), stage.admit("bob").await);
    assert!(stage.join(&bob, "bob", &admission, soon()).await);
    shows(&mut watch, Active, &[("alice", Active), ("bob", Active)]).await;
    let mut late = stage.registry.watch_call(&lobby());
    shows(&mut late, Active, &[("alice", Active), ("bob", Active)]).await;
    let room = stage.registry.running(&lobby()).expect("runs");
    assert!(room.disconnect(alice.id(), Ending::Goodbye).await);
    shows(&mut watch, Active, &[("bob", Active), ("alice", Connecting)]).await;
    drop(socket);
    shows(&mut watch, Active, &[("bob", Active), ("alice", Ended)]).await;
    assert!(room.disconnect(bob.id(), Ending::Goodbye).await);
    shows(&mut watch, Ended, &[("alice", Ended), ("bob", Ended)]).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), watch.next()).await.is_err(), "nothing changes any more");
    stage.end().await;
    assert_eq!(watch.next().await, None, "the server has stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_not_answer_is_asked_once_and_holds_up_no_other() {
    let stage = Stage::new("watched-stuck").await;
    stage.registry.show_calls();
    let (alice, admission) = (Listener::new(1), stage.admit("alice").await);
    assert!(stage.join(&alice, "alice", &admission, soon()).await);
    let mut stuck = stage.registry.watch_call(&lobby());
    shows(&mut stuck, Active, &[("alice", Active)]).await;
    let hold = alice.listens.lock().await;
    let (bob, admission) = (Listener::new(2), stage.admit("bob").await);
    stage.connect(&bob, "bob");
    let registry = Arc::clone(&stage.registry);
    let joining = tokio::spawn(async move {
        let wish = super::wish(&bob, "bob", soon());
        registry.join(&admission, wish).await.is_ok_and(|room| room.is_some())
    });
    let room = stage.registry.running(&lobby()).expect("runs");
    for n in 0..20 {
        drop(stage.registry.entering(&lobby(), &identity(&format!("passer-by-{n}"))));
        tokio::task::yield_now().await;
    }
    let den = ChannelId::new("den").expect("an id");
    let mut other = stage.registry.watch_call(&den);
    let _carol = stage.registry.entering(&den, &identity("carol"));
    shows(&mut other, Connecting, &[("carol", Connecting)]).await;
    // One question, and the join where the room has not begun with it.
    assert!(room.waiting() <= 2, "{} letters wait", room.waiting());
    drop(hold);
    assert!(joining.await.expect("no panic"));
    shows(&mut stuck, Active, &[("alice", Active), ("bob", Active)]).await;
    stage.end().await;
}

#[tokio::test]
async fn a_channel_that_is_gone_takes_the_memory_of_its_call_with_it() {
    let stage = Stage::new("watched-removed").await;
    stage.registry.follow().await.expect("follows");
    stage.registry.show_calls();
    let mut watch = stage.registry.watch_call(&lobby());
    let (alice, admission) = (Listener::new(1), stage.admit("alice").await);
    assert!(stage.join(&alice, "alice", &admission, soon()).await);
    shows(&mut watch, Active, &[("alice", Active)]).await;
    stage.registry.store.delete_channel(&lobby(), &Actor::CommandLine, clock::wall()).await.expect("removed");
    stage.registry.changed();
    shows(&mut watch, Idle, &[]).await;
    stage.end().await;
}

#[tokio::test]
async fn what_broke_off_is_shown_as_over() {
    let stage = Stage::new("watched-broken").await;
    stage.registry.show_calls();
    let (alice, admission) = (Listener::new(1), stage.admit("alice").await);
    assert!(stage.join(&alice, "alice", &admission, soon()).await);
    let mut watch = stage.registry.watch_call(&lobby());
    shows(&mut watch, Active, &[("alice", Active)]).await;
    for worker in stage.pool.workers() {
        worker.crash().await;
    }
    shows(&mut watch, Ended, &[("alice", Ended)]).await;
    until("the room is gone", async || stage.registry.running(&lobby()).is_none()).await;
    assert!(stage.registry.presence.channels_of(&user("alice")).is_empty());
    stage.end().await;
}

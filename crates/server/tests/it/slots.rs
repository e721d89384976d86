//! The queue for video slots, over real sockets.

use serde_json::{Value, json};

use super::client::{Client, assert_refused};
use super::stored::Shared;

const CAMERA: &str = "camera";

async fn ask(client: &mut Client) -> (String, Option<u64>) {
    let answer = client.request("voice:slot:request", json!({ "source": CAMERA })).await;
    (answer["status"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(), answer["position"].as_u64())
}

fn queued(position: u64) -> (String, Option<u64>) {
    ("queued".to_owned(), Some(position))
}

async fn position(client: &mut Client) -> Value {
    client.event("voice:slot:queue").await["position"].clone()
}

#[tokio::test]
async fn slots_go_round_in_the_order_of_asking() {
    let shared = Shared::start("slots", |config| {
        config.limits.videos_pro = 1;
        // Longer than anybody here waits: a slot that is passed on is passed on before the grace is over.
        config.limits.resume_grace_ms = 60_000;
    });
    let shared = shared.await;
    let mut clients = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        clients.push(Client::joined(&shared.server, name, "lobby").await.0);
    }
    let [mut alice, mut bob, mut carol, mut dave]: [Client; 4] = clients.try_into().map_err(|_| "four").expect("four");
    assert_eq!(ask(&mut alice).await.0, "granted");
    assert_eq!(ask(&mut bob).await, queued(1));
    assert_eq!(ask(&mut carol).await, queued(2));
    assert_eq!(ask(&mut dave).await, queued(3));
    // Released: the first is granted, the others move up.
    let released = alice.request("voice:slot:release", json!({ "source": CAMERA })).await;
    assert_eq!(released["status"], "released", "{released}");
    let granted = bob.event("voice:slot:granted").await;
    assert_eq!((granted["source"].as_str(), granted["current"].as_u64(), granted["max"].as_u64()), (Some(CAMERA), Some(1), Some(1)));
    assert_eq!((position(&mut carol).await, position(&mut dave).await), (json!(1), json!(2)));
    // A user who asks again is last in the queue.
    assert_eq!(ask(&mut alice).await, queued(3));
    // Lost, while waiting or while holding: the place is given on at once, for somebody waits.
    carol.sever();
    assert_eq!(position(&mut dave).await, json!(1));
    bob.sever();
    dave.event("voice:slot:granted").await;
    assert_eq!(position(&mut alice).await, json!(2));
    assert_eq!(position(&mut alice).await, json!(1));
    // A goodbye promotes at once.
    dave.cut().await;
    alice.event("voice:slot:granted").await;
    shared.stop().await;
}

#[tokio::test]
async fn of_many_who_ask_at_the_same_time_exactly_as_many_get_a_slot_as_there_are() {
    let shared = Shared::start("slot-race", |config| config.limits.videos_pro = 3).await;
    let mut asking = Vec::new();
    for n in 0..8 {
        let (mut client, _) = Client::joined(&shared.server, &format!("user-{n}"), "lobby").await;
        asking.push(tokio::spawn(async move { (ask(&mut client).await, client) }));
    }
    let mut answers = Vec::new();
    let mut clients = Vec::new();
    for one in asking {
        let (answer, client) = one.await.expect("asks");
        answers.push(answer);
        clients.push(client);
    }
    let granted = answers.iter().filter(|(status, _)| status == "granted").count();
    let mut positions: Vec<u64> = answers.iter().filter_map(|(_, position)| *position).collect();
    positions.sort_unstable();
    assert_eq!((granted, positions), (3, vec![1, 2, 3, 4, 5]));
    shared.stop().await;
}

#[tokio::test]
async fn who_has_not_paid_for_video_gets_no_slot() {
    let shared = Shared::start("slot-free", |_| ()).await;
    let mut free = Client::connect(&shared.server, "bob", false).await;
    free.request("voice:join", json!({"channelId": "lobby"})).await;
    let refused = free.request("voice:slot:request", json!({ "source": CAMERA })).await;
    assert_refused(&refused, "CAPABILITY_REQUIRED");
    assert_eq!(refused["details"]["capability"], "VIDEO_CALLING", "{refused}");
    shared.stop().await;
}

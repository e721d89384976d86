//! Tests of which events webhooks get, and when.

use std::time::Duration;

use serde_json::Value;

use crate::feed::tests::receiver::{Receiver, Script};
use crate::feed::tests::{Event, camera, joined, kinds, left, publish, start, store, stored, webhook};
use parlor_proto::{Actor, Moderation};
use parlor_rooms::Happening;

fn sequences(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["sequence"].as_i64().expect("a number")).collect()
}

/// The happenings of a visit: somebody in a room of their own makes four events.
fn visit(number: u128) -> [Happening; 4] {
    [Happening::RoomStarted, joined(number), left(number), Happening::RoomEnded]
}

#[tokio::test]
async fn events_come_in_order_and_as_they_are_stored() {
    let (store, receiver) = (store().await, Receiver::start(&[]).await);
    let feed = start(&store, &[webhook(&receiver.url, &[])]).await;
    for number in 0..100 {
        publish(&feed, &visit(number)).await;
    }
    let told = receiver.wait_for(400).await;
    assert_eq!(sequences(&told), (1..=400).collect::<Vec<_>>());
    assert_eq!(told, serde_json::to_value(stored(&store).await).expect("json").as_array().cloned().expect("a list"));
    assert!(receiver.deliveries().len() < 200, "several events go in one delivery");
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_as_it_was_before_the_next_one() {
    let scripts =
        [Script::Status(500), Script::Redirect, Script::Status(404), Script::Status(429), Script::Status(204), Script::Status(503)];
    let (store, receiver) = (store().await, Receiver::start(&scripts).await);
    let feed = start(&store, &[webhook(&receiver.url, &[])]).await;
    publish(&feed, &visit(1)).await;
    receiver.wait_for(1).await;
    publish(&feed, &visit(2)).await;
    assert_eq!(sequences(&receiver.wait_for(8).await), (1..=8).collect::<Vec<_>>());
    let deliveries = receiver.deliveries();
    let (first, rest) = deliveries.split_at(5);
    assert!(first.iter().all(|delivery| delivery.id == first[0].id && delivery.events == first[0].events), "{deliveries:#?}");
    assert!(rest.iter().all(|delivery| delivery.id != first[0].id));
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let (store, receiver) = (store().await, Receiver::start(&[]).await);
    let webhooks = [webhook(&receiver.url, &[])];
    let feed = start(&store, &webhooks).await;
    publish(&feed, &visit(1)).await;
    feed.shut_down(crate::feed::tests::soon()).await;
    assert_eq!(receiver.taken().len(), 4, "what is queued is delivered before the end");
    let feed = start(&store, &webhooks).await;
    publish(&feed, &visit(2)).await;
    assert_eq!(sequences(&receiver.wait_for(8).await), (1..=8).collect::<Vec<_>>());
    feed.shut_down(crate::feed::tests::soon()).await;
}

#[tokio::test]
async fn the_same_events_have_the_same_id_after_a_restart() {
    let (store, receiver) = (store().await, Receiver::start(&[Script::Status(500); 1000]).await);
    let webhooks = [webhook(&receiver.url, &[])];
    let feed = start(&store, &webhooks).await;
    // A happening that owes no other event: a restart adds none to it.
    let end = Moderation::EndCall { reason: None };
    publish(&feed, &[Happening::Moderation { by: Actor::Server, action: end }]).await;
    receiver.wait(|receiver| !receiver.deliveries().is_empty()).await;
    feed.shut_down(crate::feed::tests::soon()).await;
    let before = receiver.deliveries().len();
    let _feed = start(&store, &webhooks).await;
    receiver.wait(|receiver| receiver.deliveries().len() > before).await;
    let deliveries = receiver.deliveries();
    assert!(deliveries.iter().all(|delivery| delivery.id == deliveries[0].id && delivery.id.starts_with("msg_")), "{deliveries:#?}");
}

#[tokio::test]
async fn what_was_not_delivered_before_the_end_is_delivered_after_the_next_start() {
    let (store, receiver) = (store().await, Receiver::start(&[Script::Status(500); 3]).await);
    let webhooks = [webhook(&receiver.url, &[])];
    for number in 0..3 {
        let feed = start(&store, &webhooks).await;
        publish(&feed, &visit(number)).await;
        feed.shut_down(crate::feed::tests::soon()).await;
    }
    let _feed = start(&store, &webhooks).await;
    assert_eq!(sequences(&receiver.wait_for(12).await), (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_new_endpoint_hears_of_what_happens_from_now_on() {
    let (store, receiver) = (store().await, Receiver::start(&[]).await);
    let feed = start(&store, &[]).await;
    publish(&feed, &visit(1)).await;
    feed.shut_down(crate::feed::tests::soon()).await;
    let feed = start(&store, &[webhook(&receiver.url, &[])]).await;
    publish(&feed, &visit(2)).await;
    assert_eq!(sequences(&receiver.wait_for(4).await), [5, 6, 7, 8]);
}

#[tokio::test]
async fn a_stuck_endpoint_holds_up_neither_rooms_nor_others() {
    let store = store().await;
    let (stuck, fine) = (Receiver::start(&[Script::Never]).await, Receiver::start(&[]).await);
    let feed = start(&store, &[webhook(&stuck.url, &[]), webhook(&fine.url, &[])]).await;
    publish(&feed, &visit(1)).await;
    stuck.wait(|receiver| receiver.deliveries().len() == 1).await;
    for number in 2..=50 {
        publish(&feed, &visit(number)).await;
    }
    assert_eq!(sequences(&fine.wait_for(200).await), (1..=200).collect::<Vec<_>>());
    assert!(stuck.taken().is_empty());
    assert_eq!(sequences(&stuck.wait_for(200).await), (1..=200).collect::<Vec<_>>(), "it gets all when it answers again");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_left_alone_until_the_next_start() {
    let (store, receiver) = (store().await, Receiver::start(&[Script::Status(410)]).await);
    let webhooks = [webhook(&receiver.url, &[])];
    let feed = start(&store, &webhooks).await;
    publish(&feed, &visit(1)).await;
    receiver.wait(|receiver| receiver.deliveries().len() == 1).await;
    publish(&feed, &visit(2)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    feed.shut_down(crate::feed::tests::soon()).await;
    assert_eq!(receiver.deliveries().len(), 1);
    let _feed = start(&store, &webhooks).await;
    assert_eq!(sequences(&receiver.wait_for(8).await), (1..=8).collect::<Vec<_>>(), "nothing is skipped");
}

#[tokio::test]
async fn an_endpoint_gets_only_the_types_it_asked_for() {
    let (store, receiver) = (store().await, Receiver::start(&[]).await);
    let feed = start(&store, &[webhook(&receiver.url, &["participant.*", "room.ended"])]).await;
    publish(&feed, &visit(1)).await;
    let told = receiver.wait_for(3).await;
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().expect("a text")).collect();
    assert_eq!(kinds, ["participant.joined", "participant.left", "room.ended"]);
}

#[tokio::test]
async fn what_a_crashed_run_owed_comes_before_anything_new() {
    let (store, receiver) = (store().await, Receiver::start(&[]).await);
    let webhooks = [webhook(&receiver.url, &[])];
    let feed = start(&store, &webhooks).await;
    publish(&feed, &[Happening::RoomStarted, joined(1), camera(1), joined(2), left(2)]).await;
    receiver.wait_for(5).await;
    // The process is killed here: nothing of this run ends in order.
    feed.writer.abort();
    feed.couriers.iter().for_each(tokio::task::JoinHandle::abort);
    drop(feed);
    let feed = start(&store, &webhooks).await;
    publish(&feed, &[Happening::RoomStarted]).await;
    receiver.wait(|receiver| sequences(&receiver.taken()).contains(&9)).await;
    // A delivery that was made and not noted before the end comes again.
    let mut told = receiver.taken();
    let mut seen = std::collections::HashSet::new();
    told.retain(|event| seen.insert(event["sequence"].as_i64()));
    let events: Vec<Event> = stored(&store).await.split_off(5);
    assert_eq!(kinds(&events), ["producer.stopped", "participant.left", "room.ended", "room.started"]);
    assert!(events[..3].iter().all(|event| event.data["reason"] == "crashed"), "{events:#?}");
    assert_eq!(events[0].data["userId"], "user-1");
    assert_eq!(events[1].data["sessionId"], told[1]["data"]["sessionId"]);
    assert_eq!(sequences(&told), (1..=9).collect::<Vec<_>>());
    let again = start(&store, &webhooks).await;
    drop((feed, again));
}

#[tokio::test]
async fn of_two_nodes_one_delivers() {
    let (store, receiver) = (store().await, Receiver::start(&[]).await);
    let webhooks = [webhook(&receiver.url, &[])];
    let feed = crate::config::Feed::default();
    let begin = |node: &'static str| crate::feed::tests::Start { node, shared: true, feed: &feed, webhooks: &webhooks };
    let first = crate::feed::tests::Feed::start_with(&store, &begin("a"), crate::feed::tests::quick()).await.expect("starts");
    publish(&first, &visit(1)).await;
    receiver.wait_for(4).await;
    first.shut_down(crate::feed::tests::soon()).await;
    let second = crate::feed::tests::Feed::start_with(&store, &begin("b"), crate::feed::tests::quick()).await.expect("starts");
    publish(&second, &visit(2)).await;
    assert_eq!(sequences(&receiver.wait_for(8).await), (1..=8).collect::<Vec<_>>(), "the other goes on at once after a clean end");
}

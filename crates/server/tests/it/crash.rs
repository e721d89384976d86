//! A process that is killed: what it acknowledged is there, and what it owed is told after the next start.

use parlor_proto::{Actor, Restrictions};
use parlor_store::{Page, Store};
use serde_json::json;

use super::client::Client;
use super::process::{Process, leasing};
use super::stored::{channel, fresh_file, user};

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_write() {
    let url = format!("sqlite:{}", fresh_file("killed").display());
    for round in 0..3 {
        let mut command = leasing(&url);
        command.env("PARLOR_CHANNELS", "[{id = \"den\", tier = \"pro\", owner = \"alice\"}]");
        let process = Process::start(command);
        let mut alice = Client::guest(&process.address, "alice", "den").await;
        let _bob = Client::guest(&process.address, "bob", "den").await;
        let audio = round % 2 == 0;
        let answer = alice.request("voice:moderate", json!({"action": "mute", "userId": "bob", "audio": audio})).await;
        assert_eq!(answer, json!({"action": "mute", "userId": "bob"}));
        process.kill();
        let store = Store::open(&url).await.expect("opens");
        let kept = store.restrictions(&channel("den"), &user("bob")).await.expect("is read");
        assert_eq!(kept, Restrictions { audio, ..Restrictions::default() }, "round {round}");
        let audit = store.audit(Some(&channel("den")), &Page::first(1)).await.expect("is read");
        assert_eq!(audit[0].by, Actor::Session(user("alice")), "round {round}: {audit:?}");
        store.close().await;
    }
}

//! The audit log and the change log: one line each for every write, in the order of the writes.

use parlor_proto::{Actor, Entitlement, MemberRole, Moderation};
use parlor_store::{ChangeKind, Page, StoreError};
use serde_json::json;
use sqlx::Executor as _;

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![
    every_write_is_in_both_logs,
    the_log_is_read_from_the_newest_back,
    an_act_of_moderation_reaches_the_other_processes,
    what_was_trimmed_is_still_in_the_audit_log,
    the_audit_log_keeps_the_newest,
    logs_are_trimmed_in_steps_between_which_others_write,
    what_nobody_understands_stops_no_reader,
];

async fn every_write_is_in_both_logs(db: Database) {
    let store = db.open().await;
    let (den, alice) = (id("den"), user("alice"));
    let olga = Actor::Session(user("olga"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    store.put_member(&den, &alice, MemberRole::Member, &olga, at(2)).await.expect("put");
    store.invite(&den, &alice, &olga, at(3)).await.expect("invited");
    store.put_ban(&den, &alice, None, Some("spam"), &Actor::CommandLine, at(4)).await.expect("banned");
    store.put_entitlement(&alice, &Entitlement::PRO, &Actor::Server, at(5)).await.expect("put");
    store.revoke(&alice, at(6), &admin(), at(6)).await.expect("revoked");
    store.record(&admin(), "token.mint", None, Some(&alice), json!({ "for": "a test" }), at(7)).await.expect("noted");

    let mut lines = store.audit(None, &Page::first(100)).await.expect("listed");
    lines.reverse();
    let told: Vec<_> = lines.iter().map(|l| (l.at.0, l.action.as_str(), l.by.to_string())).collect();
    let expected = [
        (1, "channel.create", "key:k1"),
        (2, "member.put", "user:olga"),
        (3, "invitation.create", "user:olga"),
        (4, "ban.put", "command-line"),
        (5, "entitlement.put", "server"),
        (6, "sessions.revoke", "key:k1"),
        (7, "token.mint", "key:k1"),
    ];
    assert_eq!(told, expected.map(|(at, action, by)| (at, action, by.to_owned())));
    assert_eq!(lines[3].details, json!({ "until": null, "reason": "spam" }));
    assert_eq!((lines[3].channel.as_ref(), lines[3].user.as_ref()), (Some(&den), Some(&alice)));

    let changes = store.changes_after(0, 100).await.expect("listed");
    let kinds: Vec<_> = changes.iter().map(|c| c.kind).collect();
    use ChangeKind::{Access, Ban, Channel, Entitlement as Paid, Revoked};
    assert_eq!(kinds, [Channel, Access, Access, Ban, Paid, Revoked], "a note for the audit log is no change");
    for (change, line) in changes.iter().zip(&lines) {
        assert_eq!((change.seq, &change.channel, &change.user), (line.seq, &line.channel, &line.user));
        assert!(change.own);
    }
    assert_eq!(changes[3].channel.as_ref(), Some(&den));
    assert_eq!(changes[5].details, json!({ "before": 6 }));
    let after = store.changes_after(changes[3].seq, 1).await.expect("listed");
    assert_eq!(after.as_slice(), &changes[4..5]);
    assert!(store.changes_after(store.last_change().await.expect("a number"), 100).await.expect("listed").is_empty());
}

async fn the_log_is_read_from_the_newest_back(db: Database) {
    let store = db.open().await;
    for n in 0..10 {
        let name = if n % 2 == 0 { "even" } else { "odd" };
        store.record(&admin(), &format!("test.{n}"), Some(&id(name)), None, json!({}), at(n)).await.expect("noted");
    }
    let (mut seen, mut page) = (Vec::new(), Page::first(2));
    loop {
        let lines = store.audit(Some(&id("even")), &page).await.expect("listed");
        let Some(last) = lines.last() else { break };
        page = Page::after(last.seq.to_string(), 2);
        seen.extend(lines.into_iter().map(|l| l.action));
        store.record(&admin(), "test.later", Some(&id("even")), None, json!({}), at(99)).await.expect("noted");
    }
    assert_eq!(seen, ["test.8", "test.6", "test.4", "test.2", "test.0"], "nothing twice, whatever is added meanwhile");
    let wrong = store.audit(None, &Page::after("newest", 2)).await;
    assert!(matches!(wrong, Err(StoreError::Invalid { field: "after", .. })), "{wrong:?}");
}

async fn an_act_of_moderation_reaches_the_other_processes(db: Database) {
    let (store, other) = (db.open().await, db.open().await);
    let kick = Moderation::Kick { user: user("mallory"), reason: Some("enough".to_owned()) };
    let end = Moderation::EndCall { reason: None };
    for act in [&kick, &end] {
        store.command(&id("den"), act, &admin(), at(1)).await.expect("written");
    }
    let seen = other.changes_after(0, 10).await.expect("listed");
    assert_eq!(seen.iter().map(|c| c.command()).collect::<Vec<_>>(), [Some((admin(), kick)), Some((admin(), end))]);
    assert_eq!(seen.iter().map(|c| (c.own, c.user.clone())).collect::<Vec<_>>(), [(false, Some(user("mallory"))), (false, None)]);
    assert!(store.changes_after(0, 10).await.expect("listed").iter().all(|c| c.own), "its writer knows it");
    let actions: Vec<_> = store.audit(None, &Page::first(10)).await.expect("listed").into_iter().map(|l| l.action).collect();
    assert_eq!(actions, ["moderation.end-call", "moderation.kick"]);
}

async fn what_was_trimmed_is_still_in_the_audit_log(db: Database) {
    let store = db.open().await;
    for n in 1..=3 {
        store.put_entitlement(&user(&format!("u{n}")), &Entitlement::PRO, &admin(), at(n)).await.expect("put");
    }
    assert_eq!(store.trim_changes(at(3)).await, Ok(2));
    let left = store.changes_after(0, 10).await.expect("listed");
    assert_eq!(left.iter().map(|c| c.seq).collect::<Vec<_>>(), [3]);
    assert_eq!(store.audit(None, &Page::first(10)).await.expect("listed").len(), 3);
    assert_eq!(store.last_change().await, Ok(3));
}

async fn the_audit_log_keeps_the_newest(db: Database) {
    let store = db.open().await;
    for n in 1..=10 {
        store.record(&admin(), &format!("test.{n}"), None, None, json!({}), at(n)).await.expect("noted");
    }
    let left = async || store.audit(None, &Page::first(100)).await.expect("listed").into_iter().map(|l| l.seq).collect::<Vec<_>>();
    assert_eq!(store.trim_audit(at(4), 100).await, Ok(3));
    assert_eq!(left().await, [10, 9, 8, 7, 6, 5, 4]);
    assert_eq!(store.trim_audit(at(0), 2).await, Ok(5));
    assert_eq!(left().await, [10, 9]);
    assert_eq!(store.trim_audit(at(100), u64::MAX).await, Ok(2));
    assert_eq!(store.trim_audit(at(100), 0).await, Ok(0));
    store.record(&admin(), "test.later", None, None, json!({}), at(11)).await.expect("noted");
    assert_eq!(left().await, [11], "numbers go on");
}

async fn logs_are_trimmed_in_steps_between_which_others_write(db: Database) {
    let store = db.open().await;
    let mut connection = db.connect().await;
    // The changes have gaps: not every write is one.
    for (table, columns, values) in [
        ("audit", "seq, at, actor, action, details", "i, 1, 'server', 'test', '{}'"),
        ("changes", "seq, at, origin, kind, details", "i * 3, 1, 'x', 'ban', '{}'"),
    ] {
        let many = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 21000) \
             INSERT INTO {table} ({columns}) SELECT {values} FROM n"
        );
        connection.execute(sqlx::AssertSqlSafe(many)).await.expect("written");
    }
    connection.execute("UPDATE counters SET value = 63000 WHERE name = 'log'").await.expect("counted");
    let writing = async {
        store.record(&admin(), "test.meanwhile", None, None, json!({}), at(2)).await.expect("noted");
    };
    let (trimmed, ()) = tokio::join!(store.trim_changes(at(2)), writing);
    assert_eq!(trimmed, Ok(21_000));
    assert_eq!(store.trim_audit(at(2), u64::MAX).await, Ok(21_000));
    assert_eq!(store.audit(None, &Page::first(2)).await.expect("listed").len(), 1);
}

async fn what_nobody_understands_stops_no_reader(db: Database) {
    let store = db.open().await;
    store.put_entitlement(&user("alice"), &Entitlement::PRO, &admin(), at(1)).await.expect("put");
    let mut newer = db.connect().await;
    // Of a kind that is not known yet, with details that are no JSON, and of somebody with an impossible name.
    for (seq, kind, user, details) in [(2, "hologram", "bob", "{}"), (3, "ban", "bob", "{"), (4, "ban", "", "{}")] {
        let line = "INSERT INTO changes (seq, at, origin, kind, channel_id, user_id, details) VALUES ($1, 1, 'x', $2, 'den', $3, $4)";
        sqlx::query(line).bind(seq).bind(kind).bind(user).bind(details).execute(&mut newer).await.expect("written");
    }
    sqlx::query("UPDATE counters SET value = 4 WHERE name = 'log'").execute(&mut newer).await.expect("counted");
    store.revoke(&user("alice"), at(2), &admin(), at(2)).await.expect("revoked");
    let seen: Vec<_> = store.changes_after(0, 10).await.expect("listed").into_iter().map(|c| (c.seq, c.kind)).collect();
    use ChangeKind::{Entitlement as Paid, Other, Revoked};
    assert_eq!(seen, [(1, Paid), (2, Other), (3, Other), (4, Other), (5, Revoked)]);
}

//! Opening: tables are made once, by one process at a time, and a database that is of no use is named as such.

use std::time::Duration;

use parlor_proto::Channel;
use parlor_store::{Store, StoreError};
use sqlx::Row as _;

use crate::database::Database;
use crate::{admin, at, channel, id, on_both};

on_both![
    opening_again_changes_nothing,
    processes_that_open_at_once_all_succeed,
    a_database_of_before_is_brought_up_to_date_with_all_that_is_in_it,
    a_newer_schema_is_refused,
    a_schema_that_somebody_else_made_is_refused,
];

async fn opening_again_changes_nothing(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    store.ping().await.expect("there");
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    for _ in 0..3 {
        let again = db.open().await;
        assert_eq!(again.last_change().await, Ok(1));
        assert!(again.channel(&id("den")).await.expect("read").is_some());
    }
    let mut connection = db.connect().await;
    let applied = sqlx::query("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(&mut connection).await.expect("a row");
    assert_eq!(applied.get::<i64, _>(0), 3);
}

async fn processes_that_open_at_once_all_succeed(db: Database) {
    let mut opening = Vec::new();
    for n in 0..6 {
        let url = db.url.clone();
        opening.push(tokio::spawn(async move {
            let store = Store::open(&url).await.expect("opens");
            store.create_channel(&channel(&format!("c{n}")), &admin(), at(1)).await.expect("and writes");
        }));
    }
    for one in opening {
        one.await.expect("opened");
    }
    assert_eq!(db.open().await.last_change().await, Ok(6));
}

async fn a_database_of_before_is_brought_up_to_date_with_all_that_is_in_it(db: Database) {
    let store = db.open().await;
    let made = store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    store.close().await;
    let mut connection = db.connect().await;
    for undone in ["ALTER TABLE channels DROP COLUMN max_spectators", "DELETE FROM _sqlx_migrations WHERE version >= 3"] {
        sqlx::query(undone).execute(&mut connection).await.expect("as it was before");
    }
    let store = db.open().await;
    assert_eq!(store.channel(&id("den")).await.expect("read"), Some(made));
    let limited = Channel { max_spectators: Some(3), ..channel("den") };
    store.put_channel(&limited, None, &admin(), at(2)).await.expect("written");
    assert_eq!(store.channel(&id("den")).await.expect("read").expect("is there").value, limited);
}

async fn a_newer_schema_is_refused(db: Database) {
    db.open().await.close().await;
    let mut connection = db.connect().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 9000, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(newer).execute(&mut connection).await.expect("written");
    let refused = Store::open(&db.url).await.expect_err("refused");
    assert_eq!(refused, StoreError::Newer(9000, 3));
    assert!(refused.to_string().contains("newer Parlor"), "{refused}");
}

async fn a_schema_that_somebody_else_made_is_refused(db: Database) {
    let mut connection = db.connect().await;
    sqlx::query("CREATE TABLE channels (id TEXT)").execute(&mut connection).await.expect("made");
    let refused = Store::open(&db.url).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Failed(_)), "{refused:?}");
    assert!(!refused.to_string().to_lowercase().contains("table"), "no SQL: {refused}");
    // And what was there is still there, alone.
    let rows = sqlx::query("SELECT id FROM channels").fetch_all(&mut connection).await.expect("still there");
    assert!(rows.is_empty());
    assert!(sqlx::query("SELECT seq FROM audit").fetch_all(&mut connection).await.is_err(), "nothing was added");
}

#[tokio::test]
async fn addresses_that_are_of_no_use_are_named_without_their_passwords() {
    for url in ["", "parlor.db", "sqlite:", "mysql://root:hunter2@db/x", "redis://:hunter2@db", "postgres://u:hunter2@:x/", "sqlite:a\0b"] {
        let refused = Store::open(url).await.expect_err(url);
        assert!(matches!(refused, StoreError::Url(_)), "{url}: {refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let asked = Store::open("postgres://u:hunter2@127.0.0.1:1/parlor");
    let refused = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("in time").expect_err("refused");
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert!(!refused.to_string().contains("hunter2") && !refused.to_string().contains("127.0.0.1"), "{refused}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable() {
    let db = Database::postgres().await;
    let refused = Store::open(&db.url.replace("/test_", "/missing_")).await.expect_err("refused");
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
}

#[tokio::test]
async fn a_database_that_cannot_do_something_now_is_unavailable() {
    let db = Database::postgres().await;
    let (store, mut connection) = (db.open().await, db.connect().await);
    for code in ["55000", "55006", "55P03", "55P04"] {
        let refusal = format!(
            "CREATE OR REPLACE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'hunter2' USING ERRCODE = '{code}'; END $$"
        );
        sqlx::query(sqlx::AssertSqlSafe(refusal)).execute(&mut connection).await.expect("made");
        let trigger = "CREATE OR REPLACE TRIGGER not_now BEFORE UPDATE ON counters EXECUTE FUNCTION not_now()";
        sqlx::query(trigger).execute(&mut connection).await.expect("made");
        let refused = store.create_channel(&channel("den"), &admin(), at(1)).await.expect_err("refused");
        assert!(matches!(refused, StoreError::Unavailable(_)), "{code}: {refused:?}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn files_that_are_of_no_use_are_named_without_their_paths() {
    let db = Database::sqlite();
    let directory = db.directory().expect("a file").to_owned();
    let damaged = directory.join("damaged.db");
    std::fs::write(&damaged, "This is no database, but long enough to be mistaken for one at the first look.".repeat(60)).expect("written");
    for (file, available) in [(directory.join("missing/parlor.db"), false), (directory.clone(), false), (damaged, true)] {
        let refused = Store::open(&format!("sqlite:{}", file.display())).await.expect_err("refused");
        let expected = if available { matches!(refused, StoreError::Failed(_)) } else { matches!(refused, StoreError::Unavailable(_)) };
        assert!(expected, "{}: {refused:?}", file.display());
        assert!(!refused.to_string().contains('/'), "{refused}");
    }
}

#[tokio::test]
async fn a_file_is_missing_until_it_is_opened() {
    let db = Database::sqlite();
    assert!(Store::is_missing(&db.url));
    db.open().await.close().await;
    assert!(!Store::is_missing(&db.url));
    assert!(!Store::is_missing("sqlite::memory:") && !Store::is_missing("postgres://nobody/nothing"));
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_only_and_an_old_one_as_it_was() {
    use std::os::unix::fs::PermissionsExt as _;
    let db = Database::sqlite();
    let directory = db.directory().expect("a file").to_owned();
    let files = || std::fs::read_dir(&directory).expect("readable").map(|file| file.expect("a file"));
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    for file in files() {
        let mode = file.metadata().expect("read").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    assert_eq!(files().count(), 3, "the database, its log and the index of that");
    store.close().await;
    let [file] = files().map(|file| file.path()).collect::<Vec<_>>().try_into().expect("one is left");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("given to the group");
    db.open().await.close().await;
    assert_eq!(std::fs::metadata(&file).expect("read").permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn a_database_in_memory_lives_as_long_as_its_last_handle() {
    let store = Store::open("sqlite::memory:").await.expect("opens");
    let clone = store.clone();
    drop(store);
    clone.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    assert!(clone.channel(&id("den")).await.expect("read").is_some());
    let other = Store::open("sqlite::memory:").await.expect("opens");
    assert!(other.channel(&id("den")).await.expect("read").is_none());
}

//! A server that takes no new clients says why, and no more than that.

use std::time::Duration;

use parlor::config::Store as StoreConfig;
use parlor::{Options, Server};
use parlor_testkit::postgres::{Database, create_database};
use sqlx::{Connection as _, Executor as _};

use super::{base, test_config};

/// The last answer of the store counts for a second.
const FRESH: Duration = Duration::from_millis(1_100);

async fn ready(server: &Server) -> (u16, String) {
    tokio::time::sleep(FRESH).await;
    let answer = reqwest::get(base(server) + "/readyz").await.expect("answers");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_why_postgresql_takes_no_writes() {
    let Database { name, url, .. } = create_database("ready").await;
    let mut config = test_config();
    config.store = StoreConfig::at(&url);
    let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
    assert_eq!(ready(&server).await, (200, "ready\n".to_owned()));
    let mut admin = sqlx::AnyConnection::connect(&url).await.expect("connects");

    // PostgreSQL is in no state to write, as while it recovers: class 55.
    let refuse = "CREATE FUNCTION not_now() RETURNS boolean LANGUAGE plpgsql AS \
                  $$ BEGIN RAISE EXCEPTION 'hunter2' USING ERRCODE = '55000'; END $$";
    for statement in [refuse, "ALTER TABLE counters RENAME TO hidden", "CREATE VIEW counters AS SELECT * FROM hidden WHERE not_now()"] {
        admin.execute(statement).await.expect("done");
    }
    assert_eq!(ready(&server).await, (503, "the database is not available: it cannot do that now\n".to_owned()));
    for statement in ["DROP VIEW counters", "ALTER TABLE hidden RENAME TO counters"] {
        admin.execute(statement).await.expect("done");
    }
    assert_eq!(ready(&server).await.0, 200);

    // The database is read-only, as a standby is.
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for statement in [read_only.as_str(), others] {
        admin.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.expect("done");
    }
    assert_eq!(ready(&server).await, (503, "the database is not available: it does not let this user write\n".to_owned()));
    server.shut_down().await;
}

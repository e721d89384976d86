//! What the log says of where something happened.

use super::process::{Process, dev_server};

#[tokio::test]
async fn a_line_of_a_media_thread_says_which_it_is() {
    let mut command = dev_server("sqlite::memory:");
    command.arg("--dev-crash-route");
    let server = Process::start(command);
    let crash = reqwest::Client::new().post(format!("http://{}/api/dev/crash", server.address));
    assert!(crash.send().await.expect("answers").status().is_success());
    let log = server.stop().await;
    let line = log.lines().find(|line| line.contains("panicked; its calls are lost")).expect("is said");
    assert!(line.contains("media{worker=0}"), "{line}");
}

//! What the log says of where something happened.

use nix::sys::signal::Signal;

use super::process::Process;
use super::stored::fresh_file;

#[tokio::test]
async fn a_line_of_a_media_thread_says_which_it_is() {
    let server = Process::start(&format!("sqlite:{}", fresh_file("log-spans").display()));
    let crash = reqwest::Client::new().post(format!("http://{}/api/dev/crash", server.address));
    assert!(crash.send().await.expect("answers").status().is_success());
    server.signal(Signal::SIGTERM);
    let (_, log) = server.ended().await;
    let line = log.lines().find(|line| line.contains("panicked; its calls are lost")).expect("is said");
    assert!(line.contains("media{worker=0}"), "{line}");
}

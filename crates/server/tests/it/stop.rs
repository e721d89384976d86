//! A server that is told to stop ends within 8 s, whatever hangs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use parlor_store::Store;
use parlor_testkit::postgres::create_database;
use parlor_testkit::wait::until;

use super::client::Client;
use super::process::{Line, Process, leasing};
use super::stored::{fresh_file, now};

/// The time within which a server promises to end.
const PROMISED: Duration = Duration::from_secs(8);
const SAYS_GOODBYE: &str = "voice:left";

/// One thread of a process that runs no further, as a debugger stops it; the others go on. To be used by one thread of the
/// test only, which is what the kernel knows as the debugger.
struct Stopped(Pid);

impl Stopped {
    fn thread(process: &Process, name: &str) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", process.pid())).expect("is listed").flatten();
        let is_it = |task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name);
        let task = tasks.into_iter().find(is_it).expect("there is such a thread").file_name();
        Self::at(Pid::from_raw(task.to_str().expect("a number").parse().expect("a number")))
    }

    fn at(thread: Pid) -> Self {
        ptrace::seize(thread, ptrace::Options::empty()).expect("may be traced");
        ptrace::interrupt(thread).expect("is told to stop");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("has stopped");
        Self(thread)
    }

    /// Waits for the end of the process. The end of a traced thread is kept for its tracer, and with it the end of its process.
    async fn ended(self) {
        let has_ended = || waitpid(self.0, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)).expect("asked") != WaitStatus::StillAlive;
        until("it ends", async || has_ended()).await;
    }
}

fn start(url: &str) -> Process {
    Process::start(leasing(url))
}

fn file(name: &str) -> String {
    format!("sqlite:{}", fresh_file(name).display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_in_time_though_postgresql_does_not_answer() {
    let database = create_database("silent").await;
    let line = Line::to(&database).await;
    let server = start(&line.url(&database));
    let mut alice = Client::guest(&server.address, "alice", "den").await;
    line.cut.send_replace(true);
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    let told = alice.event(SAYS_GOODBYE).await;
    assert_eq!(told["reason"], "shutting-down");
    let (status, said) = server.ended().await;
    assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
    assert!(status.success() && said.contains("the store does not take the last events"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_in_time_though_postgresql_is_gone() {
    let database = create_database("gone").await;
    let line = Line::to(&database).await;
    let server = start(&line.url(&database));
    let mut alice = Client::guest(&server.address, "alice", "den").await;
    line.hang_up();
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    alice.event(SAYS_GOODBYE).await;
    let (status, said) = server.ended().await;
    assert!(asked.elapsed() < PROMISED && status.success(), "{:?} {said}", asked.elapsed());
}

#[tokio::test]
async fn a_server_stops_in_time_though_a_media_thread_hangs_and_says_which() {
    let server = start(&file("media-hangs"));
    let mut alice = Client::guest(&server.address, "alice", "den").await;
    let thread = Stopped::thread(&server, "media-0");
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    alice.event(SAYS_GOODBYE).await;
    thread.ended().await;
    let (status, said) = server.ended().await;
    assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
    assert!(status.code() == Some(1) && said.contains("media-0"), "{status} {said}");
}

#[tokio::test]
async fn a_server_whose_main_thread_hangs_is_ended_in_time_and_says_what_hung() {
    let server = start(&file("main-hangs"));
    let _alice = Client::guest(&server.address, "alice", "den").await;
    let _main = Stopped::at(server.pid());
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    let (status, said) = server.ended().await;
    assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
    let said: Vec<_> = said.lines().collect();
    assert!(status.code() == Some(1) && said.len() == 1 && said[0].contains("did not end in time"), "{status} {said:?}");
}

#[tokio::test]
async fn a_server_whose_log_nobody_reads_is_ended_in_time() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let log = writer.try_clone().expect("another end");
    let mut server = Process::begin(leasing(&file("log-unread")).stderr(log));
    server.ready();
    // The pipe is as full as possible: the next line that is written waits for ever.
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).expect("is set");
    while writer.write(&[b'.'; 512]).is_ok() {}
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).expect("is set");
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    let (status, _) = server.ended().await;
    assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
    drop(reader);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_while_it_starts_ends_in_time() {
    let url = file("starting");
    let store = Store::open(&url).await.expect("opens");
    assert!(store.lease("node", now(), Duration::from_secs(60)).await.expect("asked").is_some());
    let (log, writer) = std::io::pipe().expect("a pipe");
    let server = Process::begin(leasing(&url).stderr(writer));
    let (mut log, mut said) = (BufReader::new(log), String::new());
    log.read_line(&mut said).expect("text");
    assert!(said.contains("waiting to see which"), "{said}");
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    let (status, _) = server.ended().await;
    assert!(asked.elapsed() < PROMISED, "{:?}", asked.elapsed());
    log.read_to_string(&mut said).expect("text");
    assert!(status.code() == Some(1) && said.contains("before it had started"), "{status} {said}");
}

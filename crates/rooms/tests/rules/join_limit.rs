//! 10 joins a minute, 5 seconds between reconnects.

use std::time::{Duration, Instant};

use parlor_proto::ErrorCode;
use parlor_rooms::{JoinLimiter, Policy};
use parlor_testkit::clock::Clock;
use parlor_testkit::test_room::user_id;

fn limiter() -> (JoinLimiter, Instant) {
    (JoinLimiter::new(&Policy::default()), Clock::new().now())
}

/// The time to wait, from a refusal.
fn wait(limiter: &mut JoinLimiter, user: &str, now: Instant) -> Duration {
    let error = limiter.check_join(&user_id(user), now).expect_err("refused");
    assert_eq!(error.code, ErrorCode::RateLimited);
    Duration::from_millis(error.details["retryAfterMs"].as_u64().expect("a number"))
}

#[test]
fn ten_joins_a_minute_and_the_eleventh_waits() {
    let (mut limiter, start) = limiter();
    for n in 0..10 {
        limiter.check_join(&user_id("alice"), start + Duration::from_secs(n)).expect("within the limit");
    }
    let now = start + Duration::from_secs(20);
    assert_eq!(wait(&mut limiter, "alice", now), Duration::from_secs(40));
    assert_eq!(wait(&mut limiter, "alice", now), Duration::from_secs(40), "a refusal must not lengthen the wait");
    limiter.check_join(&user_id("alice"), now + Duration::from_secs(40)).expect("who waited as told gets in");
    wait(&mut limiter, "alice", now + Duration::from_secs(40));
}

#[test]
fn the_sentence_says_how_long_to_wait() {
    let (mut limiter, start) = limiter();
    for _ in 0..10 {
        limiter.check_join(&user_id("alice"), start).expect("within the limit");
    }
    let error = limiter.check_join(&user_id("alice"), start + Duration::from_millis(58_500)).expect_err("refused");
    assert_eq!(error.message, "You joined too often. Wait 2 seconds and try again.");
}

#[test]
fn each_user_has_a_limit_of_their_own() {
    let (mut limiter, start) = limiter();
    for _ in 0..10 {
        limiter.check_join(&user_id("alice"), start).expect("within the limit");
    }
    limiter.check_join(&user_id("bob"), start).expect("bob has not joined yet");
}

#[test]
fn the_first_reconnect_is_free_and_the_next_waits_5_seconds() {
    let (mut limiter, start) = limiter();
    let (alice, at) = (user_id("alice"), |ms| start + Duration::from_millis(ms));
    limiter.check_join(&alice, start).expect("joins");
    limiter.left_uncleanly(&alice, at(10));
    limiter.check_join(&alice, at(20)).expect("the first reconnect is free");
    limiter.left_uncleanly(&alice, at(30));
    assert_eq!(wait(&mut limiter, "alice", at(1_020)), Duration::from_secs(4));
    limiter.check_join(&alice, at(5_020)).expect("5 seconds have passed");
}

#[test]
fn a_session_that_was_resumed_is_no_reconnect() {
    let (mut limiter, clock) = (JoinLimiter::new(&Policy::default()), Clock::new());
    let alice = user_id("alice");
    for _ in 0..5 {
        limiter.check_join(&alice, clock.now()).expect("not too often");
        limiter.left_uncleanly(&alice, clock.now());
        limiter.resumed(&alice);
    }
}

#[test]
fn leaving_cleanly_and_coming_back_is_no_reconnect() {
    let (mut limiter, start) = limiter();
    let alice = user_id("alice");
    limiter.check_join(&alice, start).expect("joins");
    limiter.left_uncleanly(&alice, start);
    for _ in 0..5 {
        limiter.check_join(&alice, start).expect("one reconnect, then switching channels");
    }
}

#[test]
fn the_memory_is_bounded() {
    let mut limiter = JoinLimiter::with_capacity(&Policy::default(), 100);
    let start = Clock::new().now();
    for n in 0..1_000_u32 {
        let now = start + Duration::from_millis(u64::from(n));
        limiter.check_join(&user_id(&format!("user{n}")), now).expect("the first join");
        limiter.left_uncleanly(&user_id(&format!("user{n}")), now);
        assert!(limiter.remembered() <= 100);
    }
    // The most recent are the ones remembered.
    let now = start + Duration::from_secs(1);
    for _ in 0..9 {
        limiter.check_join(&user_id("user999"), now).expect("within the limit");
    }
    wait(&mut limiter, "user999", now);
}

#[test]
fn a_limit_of_zero_refuses_and_does_not_panic() {
    let mut limiter = JoinLimiter::new(&Policy { joins_per_minute: 0, ..Policy::default() });
    assert_eq!(wait(&mut limiter, "alice", Clock::new().now()), Duration::from_secs(60));
}

#[test]
fn the_time_to_wait_is_rounded_up() {
    let (mut limiter, start) = limiter();
    for _ in 0..10 {
        limiter.check_join(&user_id("alice"), start).expect("within the limit");
    }
    let now = start + Duration::from_micros(100);
    assert_eq!(wait(&mut limiter, "alice", now), Duration::from_secs(60), "59,999.9 ms would be refused once more");
}

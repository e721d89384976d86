use super::*;
use parlor_testkit::clock::Clock;

fn start() -> Instant {
    Clock::new().now()
}

fn path(port: u16) -> Path {
    Path { protocol: Protocol::Udp, local: ([10, 0, 0, 1], 7401).into(), remote: ([10, 0, 0, 2], port).into() }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An `Ice`, its first ufrag and what time it is.
struct World {
    ice: Ice,
    ufrag: String,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let ice = Ice::new(Credentials::random());
        Self { ufrag: ice.parameters().username_fragment, ice, now: start() }
    }

    /// With a path that the handshake proved.
    fn connected(port: u16) -> Self {
        let mut world = Self::new();
        world.check(port, Some(0));
        assert!(world.ice.send_flight(800));
        world.ice.handshake_completed(&path(port));
        world.ice.choose(world.now);
        assert!(!world.ice.is_limited());
        world
    }

    fn check(&mut self, port: u16, nomination: Option<u32>) -> Changes {
        self.check_of(path(port), nomination, 7)
    }

    fn check_of(&mut self, path: Path, nomination: Option<u32>, priority: u64) -> Changes {
        let ours = self.ufrag.clone();
        let check = Check { path, ours: &ours, theirs: "theirs", nomination, priority, bytes: 100 };
        let changes = self.ice.accept(check, self.now);
        self.ice.choose(self.now);
        changes
    }

    fn media(&mut self, port: u16) {
        self.ice.heard(&path(port), 50, self.now);
        self.ice.choose(self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.ice.choose(self.now);
    }

    /// The client answers a probe, if there is one.
    fn answer(&mut self) -> bool {
        let Some((path, id, ..)) = self.ice.next_probe(self.now) else { return false };
        let proved = self.ice.probe_answered(&path, &id);
        self.ice.choose(self.now);
        proved
    }

    fn selected(&self) -> u16 {
        self.ice.selected().expect("one is selected").remote.port()
    }
}

#[test]
fn the_first_path_is_used_until_the_client_chooses() {
    let mut world = World::new();
    world.check(1, None);
    world.check(2, None);
    assert_eq!(world.selected(), 1);
    world.check(2, Some(0));
    assert_eq!(world.selected(), 2);
}

#[test]
fn a_restart_keeps_the_old_credentials_until_the_new_are_used() {
    let mut world = World::new();
    let old = world.ufrag.clone();
    world.check(1, Some(0));
    assert_eq!(world.ice.restart(Credentials::random()), None);
    assert!(world.ice.password(&old).is_some());
    let unused = world.ice.parameters().username_fragment;
    assert_eq!(world.ice.restart(Credentials::random()), Some(unused), "a restart nobody followed is replaced");
    assert!(world.ice.password(&old).is_some());
    world.ufrag = world.ice.parameters().username_fragment;
    assert_eq!(world.check(2, None).retired, Some(old.clone()));
    assert!(world.ice.password(&old).is_none());
    assert_eq!(world.selected(), 2);
}

#[test]
fn paths_are_bounded_and_the_selected_one_stays() {
    let mut world = World::new();
    world.check(1, Some(0));
    for port in 2..200 {
        world.pass(Duration::from_millis(1));
        world.check(port, None);
    }
    assert_eq!(world.ice.paths().count(), MAX_PATHS);
    assert_eq!(world.selected(), 1);
}

#[test]
fn a_silent_client_is_given_up_within_twenty_seconds() {
    let mut world = World::new();
    assert_eq!(world.ice.liveness(world.now), Liveness::Unknown);
    world.check(1, Some(0));
    let after = |time| world.ice.liveness(world.now + seconds(time));
    assert_eq!([after(7), after(9), after(20)], [Liveness::Alive, Liveness::Silent, Liveness::Gone]);
}

#[test]
fn a_closed_tcp_path_hands_over_to_another() {
    let mut world = World::new();
    world.check(1, None);
    world.check_of(Path { protocol: Protocol::Tcp, ..path(3) }, Some(0), 7);
    world.ice.remove(|path| path.protocol == Protocol::Tcp);
    world.ice.choose(world.now);
    assert_eq!(world.selected(), 1);
}

#[test]
fn of_pairs_nominated_together_the_one_with_the_highest_priority_wins() {
    for order in [[(1, 9), (2, 5)], [(2, 5), (1, 9)]] {
        let mut world = World::new();
        for (port, priority) in order {
            world.pass(Duration::from_millis(50));
            world.check_of(path(port), Some(0), priority);
        }
        assert_eq!(world.selected(), 1, "{order:?}");
    }
}

#[test]
fn a_client_that_changes_its_mind_is_followed_to_a_lower_priority() {
    let mut world = World::new();
    world.check_of(path(1), Some(0), 9);
    world.check_of(path(2), None, 5);
    world.pass(seconds(3));
    world.check_of(path(2), Some(0), 5);
    assert_eq!(world.selected(), 2, "the other was not nominated for a while");
    // It nominates both ways, and checks the one it left without.
    world.check_of(path(1), Some(0), 9);
    world.check_of(path(2), Some(0), 5);
    assert_eq!(world.selected(), 1);
    world.check_of(path(1), None, 9);
    assert_eq!(world.selected(), 2, "it does not ask for the first any more");
}

#[test]
fn the_higher_number_of_a_nomination_wins_whatever_the_priority() {
    let mut world = World::new();
    world.check_of(path(1), Some(4), 9);
    world.check_of(path(2), Some(5), 1);
    assert_eq!(world.selected(), 2);
    world.pass(seconds(3));
    world.check_of(path(1), Some(4), 9);
    assert_eq!(world.selected(), 2);
}

#[test]
fn a_silent_path_gives_way_to_the_one_that_is_checked_though_nobody_nominates_it() {
    let mut world = World::connected(1);
    world.pass(seconds(3));
    world.check(2, None);
    assert_eq!(world.selected(), 1, "it may be checked next");
    world.pass(seconds(2));
    assert_eq!(world.selected(), 2);
    assert!(world.ice.is_limited(), "it is not proved");
    assert!(world.answer() && !world.ice.is_limited());
}

#[test]
fn media_by_another_path_says_sooner_that_it_is_used() {
    let mut world = World::connected(1);
    world.check(2, None);
    world.pass(Duration::from_millis(500));
    world.media(1);
    world.pass(Duration::from_millis(900));
    world.media(2);
    assert_eq!(world.selected(), 1, "packets of one client overtake each other");
    world.pass(Duration::from_millis(100));
    assert_eq!(world.selected(), 2);
}

#[test]
fn a_path_that_lives_is_not_left_for_one_that_is_only_checked() {
    let mut world = World::connected(1);
    for _ in 0..20 {
        world.pass(seconds(4));
        world.check(2, None);
        world.pass(Duration::from_millis(900));
        world.check(1, None);
        assert_eq!(world.selected(), 1);
    }
}

#[test]
fn a_nominated_path_is_used_once_it_is_proved_and_the_old_one_goes_on_meanwhile() {
    let mut world = World::connected(1);
    world.check(2, Some(0));
    assert_eq!(world.selected(), 1);
    let (to, id, theirs, ours) = world.ice.next_probe(world.now).expect("it is asked for a proof");
    assert_eq!((to, theirs, ours), (path(2), "theirs", world.ufrag.as_str()));
    assert!(world.ice.next_probe(world.now).is_none(), "not without end");
    assert!(!world.ice.probe_answered(&path(3), &id) && !world.ice.probe_answered(&path(2), &[0; 12]));
    assert!(world.ice.probe_answered(&path(2), &id));
    world.ice.choose(world.now);
    assert_eq!((world.selected(), world.ice.is_limited()), (2, false));
}

#[test]
fn to_a_path_that_is_not_proved_three_times_as_much_leaves_as_came() {
    let mut world = World::connected(1);
    world.check(2, Some(0));
    world.pass(seconds(5));
    assert_eq!((world.selected(), world.ice.is_limited()), (2, true), "the first one is silent");
    let sent = |world: &mut World, is_report| (0..1_000).filter(|_| world.ice.may_send(10, is_report)).count() * 10;
    assert_eq!(sent(&mut world, false), 0, "reports come first");
    assert_eq!(sent(&mut world, true), 300);
    world.media(2);
    assert_eq!(sent(&mut world, true), 150);
    // Probes are paid for, too.
    assert!(world.ice.next_probe(world.now).is_none());
    world.media(2);
    assert!(world.ice.next_probe(world.now).is_some());
    assert_eq!(sent(&mut world, true), 20);
}

#[test]
fn the_proved_path_is_used_again_as_soon_as_it_is_heard() {
    let mut world = World::connected(1);
    world.check(2, Some(0));
    world.pass(seconds(5));
    assert_eq!(world.selected(), 2);
    world.check(1, None);
    assert_eq!((world.selected(), world.ice.is_limited()), (1, false));
}

#[test]
fn a_handshake_proves_the_path_it_was_sent_to_and_answered_from() {
    for (answered_from, moved) in [(1, false), (2, false), (1, true)] {
        let mut world = World::new();
        world.check(1, Some(0));
        assert!(world.ice.send_flight(800));
        world.check_of(path(2), Some(0), if moved { 9 } else { 1 });
        assert!(world.ice.send_flight(800));
        world.ice.handshake_completed(&path(answered_from));
        world.ice.choose(world.now);
        assert_eq!(world.ice.is_limited(), answered_from == 2 || moved, "{answered_from} {moved}");
    }
}

#[test]
fn a_handshake_sends_a_bounded_amount_to_who_does_not_answer() {
    let mut world = World::new();
    let mut sent = 0;
    for port in 1..100 {
        world.check(port, Some(0));
        world.pass(seconds(3));
        sent += (0..10).filter(|_| world.ice.send_flight(600)).count() * 600;
    }
    assert!(sent <= 3_000 + 3 * 100 * 100, "{sent} bytes for a hundred checks");
}

#[test]
fn a_tcp_connection_is_a_proof() {
    let mut world = World::connected(1);
    let tcp = Path { protocol: Protocol::Tcp, ..path(3) };
    world.check_of(tcp, Some(0), 7);
    assert_eq!((world.ice.selected(), world.ice.is_limited()), (Some(tcp), false));
}

/// The middle bits of a time.
fn middle(start: Instant) -> impl Fn(Instant) -> u32 {
    move |at| (at.saturating_duration_since(start).as_micros() * 65_536 / 1_000_000) as u32
}

/// One in a path that is limited, an hour after the clock began.
fn limited() -> (World, impl Fn(Instant) -> u32) {
    let mut world = World::new();
    let middle = middle(world.now);
    world.pass(seconds(3_600));
    world.check(1, Some(0));
    world.ice.send_flight(800);
    world.ice.handshake_completed(&path(2));
    world.ice.choose(world.now);
    assert!(world.ice.is_limited());
    (world, middle)
}

#[test]
fn reports_whose_dates_come_back_prove_a_path() {
    let (mut world, middle) = limited();
    let report = |world: &mut World| {
        world.pass(seconds(1));
        world.media(1);
        let back = world.ice.date_back(world.now, &middle);
        assert!(back < Duration::from_millis(63));
        middle(world.now - back)
    };
    let first = report(&mut world);
    assert!(!world.ice.report_answered(&path(1), first));
    assert!(!world.ice.report_answered(&path(1), first), "the same twice is one");
    assert!(!world.ice.report_answered(&path(1), first.wrapping_sub(70_000)), "an older one is no guess");
    let second = report(&mut world);
    assert!(!world.ice.report_answered(&path(2), second), "not from elsewhere");
    assert!(world.ice.report_answered(&path(1), second));
    assert!(!world.ice.is_limited());
    assert_eq!(world.ice.date_back(world.now, &middle), Duration::ZERO, "reports are as exact as before");
}

#[test]
fn who_guesses_dates_starts_from_nothing() {
    let (mut world, middle) = limited();
    let mut guessed = 0_u32;
    for round in 0..2_000 {
        world.pass(seconds(1));
        world.media(1);
        world.ice.date_back(world.now, &middle);
        // As many as one likes, for each report.
        for guess in 0..40 {
            guessed += u32::from(world.ice.report_answered(&path(1), middle(world.now) - guess * 97 - round % 90));
        }
    }
    assert_eq!(guessed, 0);
    assert!(world.ice.is_limited());
}

#[test]
fn media_keeps_an_address_for_its_transport() {
    let mut world = World::connected(1);
    let used = |world: &World| world.ice.uses(Protocol::Udp, path(1).remote, world.now);
    for _ in 0..10 {
        world.pass(seconds(4));
        world.media(1);
        assert!(used(&world));
    }
    world.pass(seconds(8));
    assert!(!used(&world), "a NAT may have given it to somebody else");
}

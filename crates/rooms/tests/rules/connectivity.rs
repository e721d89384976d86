//! What becomes of media connections, as it is counted and told of a stay and a call.

use std::time::Duration;

use parlor_proto::connection::{CandidateType, Checks, ConnectionOutcome, DtlsState, NetworkType, RelayProtocol};
use parlor_proto::event::Reply;
use parlor_proto::transport::{Direction, Protocol, TransportFailure, TransportState};
use parlor_proto::{Connection, ConnectionReport, ErrorCode, MediaEvent, Request, SessionId, Target, Tier, TransportId};
use parlor_rooms::Output;
use parlor_rooms::connectivity::{CallSummary, ConnectionFact, Reached, StaySummary, Verdict};
use parlor_testkit::reports::{connected, unanswered};
use parlor_testkit::test_room::{TestRoom, user_id};

use crate::refused;

fn facts(room: &TestRoom) -> Vec<ConnectionFact> {
    room.said.iter().filter_map(|output| if let Output::Connection(fact) = output { Some(*fact) } else { None }).collect()
}

/// What was counted: what became of each connection, how far it came, and the network of its client.
fn settled(room: &TestRoom) -> Vec<(Verdict, Reached, NetworkType)> {
    let of = |fact| match fact {
        ConnectionFact::Settled { verdict, reached, network, .. } => Some((verdict, reached, network)),
        ConnectionFact::Lost { .. } => None,
    };
    facts(room).into_iter().filter_map(of).collect()
}

fn stays(room: &TestRoom) -> Vec<&StaySummary> {
    room.said.iter().filter_map(|output| if let Output::StayEnded(stay) = output { Some(&**stay) } else { None }).collect()
}

fn call(room: &TestRoom) -> CallSummary {
    let call = room.said.iter().find_map(|output| if let Output::CallEnded(call) = output { Some(*call) } else { None });
    call.expect("the call has ended")
}

fn moved(room: &mut TestRoom, transport: TransportId, state: TransportState, reason: Option<TransportFailure>) {
    room.report(MediaEvent::TransportState { transport, state, protocol: Some(Protocol::Udp), reason });
}

fn connects(room: &mut TestRoom, transport: TransportId) {
    for state in [TransportState::Connecting, TransportState::Connected] {
        moved(room, transport, state, None);
    }
}

fn report(room: &mut TestRoom, session: SessionId, transport: TransportId, report: ConnectionReport) {
    let of = Connection::Transport(transport);
    let answer = room.ask(session, Request::ReportConnection { of, report: Box::new(report) });
    assert_eq!(answer, Ok(Reply::ConnectionReported { transport_id: Some(transport), user_id: None }));
}

/// A room, somebody in it, and their send transport, which is about to connect.
fn about_to_connect() -> (TestRoom, SessionId, TransportId) {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let transport = room.transport(alice, Direction::Send);
    (room, alice, transport)
}

#[test]
fn a_connection_that_both_sides_see_is_counted_at_once_with_its_way_and_its_network() {
    let (mut room, alice, transport) = about_to_connect();
    connects(&mut room, transport);
    assert_eq!(settled(&room), [], "the client tells of it in a moment");
    report(&mut room, alice, transport, connected());
    let Some(ConnectionFact::Settled { verdict, reached, network, route: Some(route), .. }) = facts(&room).first().copied() else {
        panic!("counted")
    };
    assert_eq!((verdict, reached, network), (Verdict::Connected, Reached::Connected, NetworkType::Wifi));
    assert_eq!((route.local, route.remote, route.protocol), (Some(CandidateType::Host), Some(CandidateType::Host), Some(Protocol::Udp)));
    report(&mut room, alice, transport, connected());
    assert_eq!(facts(&room).len(), 1, "once");
}

#[test]
fn a_client_that_tells_nothing_is_counted_all_the_same() {
    let (mut room, _, transport) = about_to_connect();
    connects(&mut room, transport);
    room.advance(Duration::from_millis(4_999));
    assert_eq!(settled(&room), []);
    room.advance(Duration::from_millis(1));
    assert_eq!(settled(&room), [(Verdict::Connected, Reached::Connected, NetworkType::Unknown)]);
}

#[test]
fn a_client_is_not_believed_that_the_server_is_connected() {
    let (mut room, alice, transport) = about_to_connect();
    report(&mut room, alice, transport, connected());
    room.advance(Duration::from_secs(60));
    assert_eq!(settled(&room), []);
    room.disconnect(alice);
    assert_eq!(settled(&room), [(Verdict::Failed, Reached::Answered, NetworkType::Wifi)]);
}

#[test]
fn a_connection_that_never_came_about_counts_as_failed_after_ten_seconds_and_as_abandoned_before() {
    for (waits, verdict) in [(9_999, Verdict::Abandoned), (10_000, Verdict::Failed)] {
        let (mut room, alice, _) = about_to_connect();
        room.advance(Duration::from_millis(waits));
        room.disconnect(alice);
        assert_eq!(settled(&room), [(verdict, Reached::Gathered, NetworkType::Unknown)], "after {waits} ms");
    }
}

#[test]
fn a_transport_that_was_never_to_be_connected_is_no_connection() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.ask(alice, Request::CreateTransport { direction: Direction::Recv }).expect("is made");
    room.advance(Duration::from_secs(60));
    room.disconnect(alice);
    assert_eq!(facts(&room), []);
    assert_eq!(stays(&room).first().map(|stay| stay.connections.len()), Some(0));
}

#[test]
fn how_far_a_failed_connection_came_is_what_the_one_who_knows_more_says() {
    let (ice_only, early) = (ConnectionReport { checks: Checks::Answered, ..unanswered() }, ConnectionOutcome::Closed);
    for (heard, told, reached) in [
        (false, None, Reached::Gathered),
        (false, Some(unanswered()), Reached::Checked),
        (false, Some(ConnectionReport { checks: Checks::None, ..unanswered() }), Reached::Gathered),
        (true, None, Reached::Answered),
        (true, Some(unanswered()), Reached::Answered),
        (false, Some(ice_only), Reached::Answered),
        (true, Some(ConnectionReport { dtls: Some(DtlsState::Connected), ..ice_only }), Reached::Answered),
        (false, Some(ConnectionReport { outcome: early, ..unanswered() }), Reached::Checked),
    ] {
        let (mut room, alice, transport) = about_to_connect();
        if heard {
            moved(&mut room, transport, TransportState::Connecting, None);
        }
        if let Some(told) = told {
            report(&mut room, alice, transport, told);
        }
        room.advance(Duration::from_secs(20));
        room.disconnect(alice);
        let counted: Vec<_> = settled(&room).into_iter().map(|(verdict, reached, _)| (verdict, reached)).collect();
        assert_eq!(counted, [(Verdict::Failed, reached)], "{heard} {told:?}");
    }
}

#[test]
fn who_says_that_it_failed_does_not_have_to_wait() {
    let (mut room, alice, transport) = about_to_connect();
    report(&mut room, alice, transport, unanswered());
    assert_eq!(settled(&room), [], "ICE may be restarted");
    room.disconnect(alice);
    assert_eq!(settled(&room), [(Verdict::Failed, Reached::Checked, NetworkType::Cellular)]);
}

#[test]
fn a_connection_that_comes_about_in_the_second_round_of_ice_is_one_that_came_about() {
    let (mut room, alice, transport) = about_to_connect();
    report(&mut room, alice, transport, unanswered());
    room.ask(alice, Request::RestartIce { transport }).expect("restarts");
    connects(&mut room, transport);
    report(&mut room, alice, transport, connected());
    room.disconnect(alice);
    assert_eq!(settled(&room), [(Verdict::Connected, Reached::Connected, NetworkType::Wifi)]);
    assert_eq!(stays(&room).first().map(|stay| stay.ice_restarts), Some(1));
}

#[test]
fn a_handshake_that_fails_is_a_failure_and_its_reason_is_told() {
    let (mut room, alice, transport) = about_to_connect();
    moved(&mut room, transport, TransportState::Connecting, None);
    moved(&mut room, transport, TransportState::Failed, Some(TransportFailure::HandshakeTimeout));
    assert_eq!(settled(&room), [(Verdict::Failed, Reached::Answered, NetworkType::Unknown)]);
    room.disconnect(alice);
    let line = stays(&room)[0].connections[0].to_string();
    assert_eq!(line, "send failed, answered; server: checks came (handshake-timeout)");
}

#[test]
fn a_connection_that_falls_silent_is_lost_and_one_that_its_client_ends_is_not() {
    for (reason, lost) in [(TransportFailure::Silent, 1), (TransportFailure::Closed, 0)] {
        let (mut room, alice, transport) = about_to_connect();
        connects(&mut room, transport);
        report(&mut room, alice, transport, connected());
        moved(&mut room, transport, TransportState::Failed, Some(reason));
        room.disconnect(alice);
        assert_eq!((call(&room).tally.connected, call(&room).tally.failed, call(&room).tally.lost), (1, 0, lost), "{reason:?}");
    }
}

#[test]
fn the_account_of_a_stay_has_everything_but_addresses() {
    let (mut room, alice, transport) = about_to_connect();
    connects(&mut room, transport);
    let mut told = connected();
    told.pair = told.pair.map(|mut pair| {
        (pair.local, pair.relay_protocol) = (CandidateType::Relay, Some(RelayProtocol::Tls));
        pair
    });
    report(&mut room, alice, transport, told);
    room.advance(Duration::from_secs(63));
    room.disconnect(alice);
    let stay = stays(&room)[0];
    assert_eq!((stay.session, stay.dialect, stay.reason, stay.lasted), (alice, "test", "disconnected", Duration::from_secs(63)));
    assert_eq!((stay.network, stay.candidates.to_string().as_str()), (NetworkType::Wifi, "host/udp 2, host/tcp 1"));
    assert_eq!(stay.connections[0].to_string(), "send connected relay/tls to host by udp in 85 ms");
    let call = call(&room);
    assert_eq!((call.stays, call.lasted, call.tally.relayed_percent()), (1, Duration::from_secs(63), Some(100)));
}

#[test]
fn a_stay_that_is_resumed_is_one_stay() {
    let (mut room, alice, transport) = about_to_connect();
    connects(&mut room, transport);
    room.lose(alice);
    let again = room.connect();
    room.resume(alice, again).expect("resumes");
    report(&mut room, again, transport, connected());
    room.disconnect(again);
    assert_eq!(stays(&room).iter().map(|stay| stay.session).collect::<Vec<_>>(), [alice]);
    assert_eq!(settled(&room).len(), 1);
}

#[test]
fn everybody_who_is_put_out_at_once_is_told_of_before_the_call() {
    let (mut room, ..) = about_to_connect();
    room.join("bob", Tier::Free);
    room.shut_down();
    assert_eq!(stays(&room).iter().map(|stay| stay.reason).collect::<Vec<_>>(), ["shutting-down"; 2]);
    assert_eq!(call(&room).stays, 2);
    let end = room.said.iter().position(|output| matches!(output, Output::CallEnded(_)));
    assert!(room.said.iter().rposition(|output| matches!(output, Output::StayEnded(_))) < end);
}

#[test]
fn a_report_of_somebody_elses_transport_is_refused() {
    let (mut room, _, transport) = about_to_connect();
    let mallory = room.join("mallory", Tier::Free);
    let body = Request::ReportConnection { of: Connection::Transport(transport), report: Box::new(unanswered()) };
    assert_eq!(refused(room.ask(mallory, body)), ErrorCode::NotFound);
    let body = Request::ReportConnection { of: Connection::Peer(Target::User(user_id("alice"))), report: Box::new(unanswered()) };
    assert_eq!(refused(room.ask(mallory, body)), ErrorCode::InvalidState);
}

#[test]
fn thirty_reports_at_once_and_then_one_in_two_seconds() {
    let (mut room, alice, transport) = about_to_connect();
    let body = Request::ReportConnection { of: Connection::Transport(transport), report: Box::new(unanswered()) };
    let taken = |room: &mut TestRoom| (0..60).filter(|_| room.ask(alice, body.clone()).is_ok()).count();
    assert_eq!(taken(&mut room), 30);
    room.advance(Duration::from_secs(2));
    assert_eq!(taken(&mut room), 1);
}

#[test]
fn in_a_mesh_each_side_tells_of_its_own_end() {
    let mut room = TestRoom::mesh();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let tell = |room: &mut TestRoom, from, to: &str, report| {
        room.ask(from, Request::ReportConnection { of: Connection::Peer(Target::User(user_id(to))), report: Box::new(report) })
    };
    tell(&mut room, alice, "bob", connected()).expect("is noted");
    assert_eq!(settled(&room), [(Verdict::Connected, Reached::Connected, NetworkType::Wifi)]);
    tell(&mut room, bob, "alice", unanswered()).expect("is noted");
    assert_eq!(settled(&room).len(), 1, "ICE may be restarted");
    assert_eq!(refused(tell(&mut room, bob, "bob", connected())), ErrorCode::NotFound);
    assert_eq!(refused(tell(&mut room, bob, "carol", connected())), ErrorCode::NotFound);
    tell(&mut room, alice, "bob", unanswered()).expect("is noted");
    assert_eq!(facts(&room).len(), 2, "it was there, and is lost");
    room.disconnect(alice);
    let last = settled(&room).last().copied();
    assert_eq!(last, Some((Verdict::Failed, Reached::Checked, NetworkType::Cellular)), "the other end ends with it");
    room.disconnect(bob);
    let lines: Vec<_> = stays(&room).iter().map(|stay| stay.connections[0].to_string()).collect();
    assert_eq!(
        lines,
        ["peer connected host to host by udp in 85 ms, lost", "peer failed, checked; client: ICE failed, DTLS new, checks sent",]
    );
}

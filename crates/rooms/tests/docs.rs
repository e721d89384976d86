//! Keeps the numbers in `docs/protocol/socketio.md` true: they are the defaults of the policy.

use parlor_rooms::Policy;

const PAGE: &str = include_str!("../../../docs/protocol/socketio.md");

#[test]
fn the_deadlines_and_limits_on_the_page_are_those_of_the_policy() {
    let policy = Policy::default();
    assert_eq!(policy.create_transport_timeout, policy.restart_ice_timeout, "the page says one number for both");
    assert_eq!(policy.produce_timeout, policy.consume_timeout, "the page says one number for both");
    let rows = [
        format!("| `voice:rtc:createTransport`, `voice:rtc:restartIce` | {} s |", policy.create_transport_timeout.as_secs()),
        format!("| `voice:join`, `voice:resume` | {} s |", policy.join_timeout.as_secs()),
        format!("| `voice:rtc:connectTransport` | {} s |", policy.connect_transport_timeout.as_secs()),
        format!("| `voice:rtc:produce`, `voice:rtc:consume` | {} s |", policy.produce_timeout.as_secs()),
        format!("| {} a minute |", policy.joins_per_minute),
        format!("| {} s (the first one after a lost connection is free) |", policy.reconnect_interval.as_secs()),
        format!("| time to resume after a lost connection | {} s |", policy.resume_grace.as_secs()),
        format!("| the same after a connection was closed with 1001 | {} s |", policy.away_grace.as_secs_f64()),
        format!("| participants | {} in a free channel, {} in a pro channel,", policy.participants_free, policy.participants_pro),
        format!("| spectators | {} in a channel, or the channel's own limit,", policy.spectators),
        format!("| video publishers | {} in a free channel, {} in a pro channel;", policy.videos_free, policy.videos_pro),
        format!(
            "a camera {} Mbit/s (all layers\ntogether) and a screen {} Mbit/s",
            f64::from(policy.camera_bitrate) / 1e6,
            f64::from(policy.screen_bitrate) / 1e6
        ),
    ];
    for row in rows {
        assert!(PAGE.contains(&row), "the page does not say: {row}");
    }
}

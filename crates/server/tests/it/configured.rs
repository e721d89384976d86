//! Channels of the configuration, from one start to the next.

use parlor::config::{ChannelConfig, Config, Store as StoreConfig};
use parlor::{Options, Server};
use parlor_store::{Page, Store};

use super::stored::{ADMIN, channel, fresh_file, now, user};
use super::test_config;

fn lobby(banned: &[&str]) -> Vec<ChannelConfig> {
    let text = format!("[[channels]]\nid = \"lobby\"\nbanned = {banned:?}\n");
    toml::from_str::<Config>(&text).expect("valid").channels
}

#[tokio::test]
async fn who_is_taken_off_the_list_of_the_banned_may_come_back_at_the_next_start() {
    let url = format!("sqlite:{}", fresh_file("configured").display());
    let mut config = test_config();
    config.store = StoreConfig::at(&url);
    let dev = || Options { dev: true, ..Options::default() };
    config.channels = lobby(&["mallory", "trudy", "eve"]);
    Server::start(&config, dev()).await.expect("starts").shut_down().await;

    let store = Store::open(&url).await.expect("opens");
    let banned = async || {
        let bans = store.bans(&channel("lobby"), &Page::first(100), now()).await.expect("listed");
        bans.into_iter().map(|ban| ban.user.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(banned().await, ["eve", "mallory", "trudy"]);
    // People ban as well: somebody the file never named, and somebody it names, for a reason of their own.
    for (name, reason) in [("oscar", None), ("eve", Some("Shouting"))] {
        store.put_ban(&channel("lobby"), &user(name), None, reason, &ADMIN, now()).await.expect("banned");
    }
    config.channels = lobby(&["trudy"]);
    Server::start(&config, dev()).await.expect("starts").shut_down().await;
    assert_eq!(banned().await, ["eve", "oscar", "trudy"], "of those only mallory was banned by the file alone");
    store.close().await;
}

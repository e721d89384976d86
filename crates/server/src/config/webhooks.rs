//! `[feed]` and `[[webhooks]]`: how long events are kept, and which endpoints are told of them.

use std::collections::HashSet;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::config::{Secret, is_loopback, list};
use crate::hook::kind::{KINDS, Pattern};
use crate::hook::sign::Signer;
use crate::secret::without_query;

/// The most webhooks: each has a task and a request of its own, and one host application needs one or two.
pub const MAX_WEBHOOKS: usize = 16;
/// The most old secrets of a webhook: each costs a signature, and one is enough to change a secret.
pub const MAX_OLD_SECRETS: usize = 4;
/// The longest address or name of a webhook: as long as servers accept addresses.
const MAX_TEXT: usize = 2048;

/// The section `[feed]`: how long events stay in the store for clients that catch up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// The name of this node where several share a PostgreSQL store: the same at every start, and different from the
    /// others', because the calls that a crashed run left open are found by it. Not set: the machine's name and the
    /// port of HTTP.
    pub node: String,
    /// Days an event is kept.
    pub keep_days: u32,
    /// The most events kept; the oldest are removed first. An event has about 300 bytes.
    pub keep_events: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self { node: String::new(), keep_days: 30, keep_events: 1_000_000 }
    }
}

/// An entry of `[[webhooks]]`: an address that is told of events.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The name under which the store remembers what was delivered: with a name the address can change and nothing is
    /// skipped. Not set: the address.
    #[serde(default)]
    pub name: String,
    /// The address to which events are posted, such as `https://app.example.com/parlor/events`.
    #[serde(serialize_with = "without_query")]
    pub url: String,
    /// The secret of the signature, as Standard Webhooks writes it: `whsec_` and a key of 24 to 64 bytes in base64.
    pub secret: Secret,
    /// Secrets that deliveries are signed with as well, until the receiver has the new one.
    #[serde(default, deserialize_with = "list::one_or_many")]
    pub old_secrets: Vec<Secret>,
    /// Types of events, as `participant.joined`, `participant.*` or `*`. Not set: all.
    #[serde(default, deserialize_with = "list::one_or_many")]
    pub events: Vec<String>,
    /// Allows `http://` to another machine: only inside a network nobody else is in.
    #[serde(default)]
    pub allow_http: bool,
}

impl Webhook {
    /// The name by which the store knows the webhook.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.name.is_empty() { &self.url } else { &self.name }
    }

    /// The name the log may show: an address can have a password in its query.
    #[must_use]
    pub fn label(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The types of events the webhook wants.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        self.events.iter().filter_map(|text| Pattern::parse(text)).collect()
    }

    /// The signer of the webhook's deliveries; the error says what is wrong with the secrets.
    pub fn signer(&self) -> Result<Signer, &'static str> {
        Signer::new(std::iter::once(&self.secret).chain(&self.old_secrets))
    }

    /// The address of the webhook; the error says what is wrong with it.
    pub fn address(&self) -> Result<Url, &'static str> {
        let url = Url::parse(&self.url).map_err(|_| "must be an address, as https://app.example.com/parlor/events")?;
        if self.url.len() > MAX_TEXT {
            return Err("is too long");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user or password in it: the signature tells who calls");
        }
        url.host_str().ok_or("must name a host")?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(&url) || self.allow_http => Ok(url),
            "http" => Err("must begin with https://, or set allow_http for a network nobody else is in"),
            _ => Err("must begin with https://"),
        }
    }
}

/// Checks what types alone do not. The error is the key, and what is wrong with its value.
pub fn check(feed: &Feed, webhooks: &[Webhook]) -> Result<(), (String, String)> {
    if feed.keep_days == 0 || feed.keep_events == 0 {
        return Err(("feed.keep_days".to_owned(), "and keep_events must be at least 1".to_owned()));
    }
    if webhooks.len() > MAX_WEBHOOKS {
        return Err(("webhooks".to_owned(), format!("there must not be more than {MAX_WEBHOOKS}")));
    }
    let mut names = HashSet::new();
    for (index, webhook) in webhooks.iter().enumerate() {
        let fail = |key: &str, reason: String| Err((format!("webhooks[{index}].{key}"), reason));
        if let Err(reason) = webhook.address() {
            return fail("url", reason.to_owned());
        }
        if let Err(reason) = Signer::new([&webhook.secret]) {
            return fail("secret", reason.to_owned());
        }
        if webhook.old_secrets.len() > MAX_OLD_SECRETS {
            return fail("old_secrets", format!("must not be more than {MAX_OLD_SECRETS}"));
        }
        if let Err(reason) = Signer::new(&webhook.old_secrets) {
            return fail("old_secrets", reason.to_owned());
        }
        if webhook.name.len() > MAX_TEXT || !names.insert(webhook.name()) {
            return fail("name", "is too long, or there twice: each webhook needs one of its own".to_owned());
        }
        if let Some(unknown) = webhook.events.iter().find(|text| Pattern::parse(text).is_none()) {
            return fail("events", format!("\"{unknown}\" is no type of event; there are: *, {}", KINDS.join(", ")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str) -> Webhook {
        Webhook {
            name: String::new(),
            url: url.to_owned(),
            secret: Secret::new("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
            old_secrets: Vec::new(),
            events: Vec::new(),
            allow_http: false,
        }
    }

    #[test]
    fn http_is_for_this_machine_alone_unless_allowed() {
        for fine in ["https://app.example.com/hook", "http://127.0.0.1:9000/", "http://[::1]/", "http://localhost/x?y=z"] {
            assert!(webhook(fine).address().is_ok(), "{fine}");
        }
        for wrong in ["http://app.example.com/", "http://localhost.example.com/", "ftp://app.example.com/", "app.example.com", "", "data:,"]
        {
            assert!(webhook(wrong).address().is_err(), "{wrong}");
        }
        assert!(Webhook { allow_http: true, ..webhook("http://10.0.0.7/") }.address().is_ok());
        assert!(webhook("https://user:secret@app.example.com/").address().is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let of = |webhooks: &[Webhook]| check(&Feed::default(), webhooks).map_err(|(key, _)| key);
        assert_eq!(of(&[webhook("https://a.example/")]), Ok(()));
        assert_eq!(of(&[webhook("https://a.example/"), webhook("https://a.example/")]), Err("webhooks[1].name".to_owned()));
        assert_eq!(of(&[Webhook { secret: Secret::default(), ..webhook("https://a.example/") }]), Err("webhooks[0].secret".to_owned()));
        let bare = || Secret::new("0123456789abcdef0123456789abcdef".to_owned());
        assert_eq!(of(&[Webhook { secret: bare(), ..webhook("https://a.example/") }]), Err("webhooks[0].secret".to_owned()));
        assert_eq!(
            of(&[Webhook { old_secrets: vec![bare()], ..webhook("https://a.example/") }]),
            Err("webhooks[0].old_secrets".to_owned())
        );
        let many = vec![webhook("").secret; MAX_OLD_SECRETS + 1];
        assert_eq!(of(&[Webhook { old_secrets: many, ..webhook("https://a.example/") }]), Err("webhooks[0].old_secrets".to_owned()));
        let events = vec!["participant.*".to_owned(), "participants.*".to_owned()];
        assert_eq!(of(&[Webhook { events, ..webhook("https://a.example/") }]), Err("webhooks[0].events".to_owned()));
        assert_eq!(of(&[webhook("http://a.example/")]), Err("webhooks[0].url".to_owned()));
        assert!(check(&Feed { keep_days: 0, ..Feed::default() }, &[]).is_err());
    }

    #[test]
    fn the_log_shows_no_query() {
        assert_eq!(webhook("https://app.example.com/hook?key=secret").label(), "app.example.com");
    }
}

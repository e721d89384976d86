//! The store: opened at the start, given the channels of the configuration, and its errors in words for clients.

use parlor_proto::{Actor, ChannelId, Error, ErrorCode};
use parlor_store::{Page, Store, StoreError, What};

use crate::clock;
use crate::config::{ChannelConfig, Config};

/// When to try again what a store did not carry out that does not answer: a moment, most often another writer's.
pub const RETRY_AFTER_MS: u32 = 1_000;
/// Bans looked through at once.
const BANS_AT_ONCE: u32 = 500;

/// Opens the configured store.
pub async fn open(config: &Config, dev: bool) -> anyhow::Result<Store> {
    let opened = Store::open(&config.store.effective_url(dev)).await;
    opened.map_err(|error| anyhow::anyhow!("the store cannot be opened: {error}. Check store.url (PARLOR_STORE__URL)."))
}

/// Puts the channels of the configuration into it.
pub async fn configure(store: &Store, config: &Config) -> anyhow::Result<()> {
    for configured in &config.channels {
        store
            .put_channel(&configured.channel(), None, &Actor::Server, clock::wall())
            .await
            .map_err(|error| said(&configured.id, &error))?;
        ban(store, configured).await?;
        unban(store, configured).await?;
    }
    Ok(())
}

/// Bans whom the configuration names.
async fn ban(store: &Store, configured: &ChannelConfig) -> Result<(), StoreError> {
    for user in &configured.banned {
        // One that has ended, or is going to, is not what the configuration says.
        let ban = store.admission(&configured.id, user).await?.and_then(|found| found.facts.ban);
        let banned = ban.is_some_and(|ban| ban.until.is_none());
        if !banned {
            store.put_ban(&configured.id, user, None, None, &Actor::Server, clock::wall()).await?;
        }
    }
    Ok(())
}

/// Lifts the bans of users the configuration named at an earlier start and names no more. Those of people stay: nobody but
/// this server itself bans as the server.
async fn unban(store: &Store, configured: &ChannelConfig) -> Result<(), StoreError> {
    let mut page = Page::first(BANS_AT_ONCE);
    loop {
        let bans = store.bans(&configured.id, &page, clock::wall()).await?;
        for ban in bans.iter().filter(|ban| ban.by == Actor::Server && !configured.banned.contains(&ban.user)) {
            match store.delete_ban(&configured.id, &ban.user, &Actor::Server, clock::wall()).await {
                // Somebody else was faster.
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(last) = bans.last() else { return Ok(()) };
        page = Page::after(last.user.to_string(), BANS_AT_ONCE);
    }
}

/// The configuration writes keys in its own way: `closes_at` is `closesAt` in the store.
fn said(channel: &ChannelId, error: &StoreError) -> anyhow::Error {
    match error {
        StoreError::Invalid { field, problem } => anyhow::anyhow!("channels: \"{channel}\": {}: {problem}", as_key(field)),
        error => anyhow::anyhow!("channels: \"{channel}\" cannot be stored: {error}"),
    }
}

fn as_key(field: &str) -> String {
    field.chars().flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase())).collect()
}

/// The answer to a client whose request the store did not carry out.
pub fn refusal(error: StoreError) -> Error {
    match error {
        StoreError::NotFound(What::Channel) => ErrorCode::ChannelNotFound.into(),
        StoreError::NotFound(_) => Error::new(ErrorCode::NotFound).say(sentence(&error)),
        StoreError::Exists(_) => ErrorCode::Conflict.into(),
        StoreError::Conflict(why) => Error::new(ErrorCode::Conflict).with("reason", why),
        StoreError::TooMany(_) => Error::new(ErrorCode::LimitExceeded).say(sentence(&error)),
        StoreError::Stale { version } => Error::new(ErrorCode::PreconditionFailed).with("version", version),
        StoreError::Invalid { field, problem } => Error::invalid(field, problem),
        // Waiting helps.
        StoreError::Unavailable(_) => Error::new(ErrorCode::ServerError).with("retryAfterMs", RETRY_AFTER_MS),
        StoreError::Superseded => ErrorCode::ShuttingDown.into(),
        // The store has written to the log what went wrong.
        _ => ErrorCode::ServerError.into(),
    }
}

/// An error as a sentence of its own.
fn sentence(error: &StoreError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

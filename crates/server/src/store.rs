//! The server's side of the store: opening it, writing the configured channels to it, and wording its errors for clients.

use parlor_proto::{Actor, ChannelId, Error, ErrorCode};
use parlor_store::{Page, Store, StoreError, What};

use crate::clock;
use crate::config::{ChannelConfig, Config};

/// After how long a client is to try again when the store did not answer: most often another writer holds it for a moment.
pub const RETRY_AFTER_MS: u32 = 1_000;
/// Bans read at once.
const BANS_AT_ONCE: u32 = 500;

/// Opens the configured store.
pub async fn open(config: &Config, dev: bool) -> anyhow::Result<Store> {
    let opened = Store::open(&config.store.effective_url(dev)).await;
    opened.map_err(|error| anyhow::anyhow!("the store cannot be opened: {error}. Check store.url (PARLOR_STORE__URL)."))
}

/// Writes the channels of the configuration to the store.
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

/// Bans the users whom the configuration names.
async fn ban(store: &Store, configured: &ChannelConfig) -> Result<(), StoreError> {
    for user in &configured.banned {
        // A ban that has ended, or has an end, is not the one that the configuration asks for.
        let ban = store.admission(&configured.id, user).await?.and_then(|found| found.facts.ban);
        let banned = ban.is_some_and(|ban| ban.until.is_none());
        if !banned {
            store.put_ban(&configured.id, user, None, None, &Actor::Server, clock::wall()).await?;
        }
    }
    Ok(())
}

/// Lifts the bans of users whom the configuration named at an earlier start and does not name any more. Bans by people
/// stay: only the server itself bans in the name of the server.
async fn unban(store: &Store, configured: &ChannelConfig) -> Result<(), StoreError> {
    let mut page = Page::first(BANS_AT_ONCE);
    loop {
        let bans = store.bans(&configured.id, &page, clock::wall()).await?;
        for ban in bans.iter().filter(|ban| ban.by == Actor::Server && !configured.banned.contains(&ban.user)) {
            match store.delete_ban(&configured.id, &ban.user, &Actor::Server, clock::wall()).await {
                // Somebody else lifted the ban first.
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(last) = bans.last() else { return Ok(()) };
        page = Page::after(last.user.to_string(), BANS_AT_ONCE);
    }
}

/// Words an error of the store for the configuration, which writes keys in its own way: `closes_at` is `closesAt` in the store.
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
        // Waiting helps, so the answer says how long.
        StoreError::Unavailable(_) => Error::new(ErrorCode::ServerError).with("retryAfterMs", RETRY_AFTER_MS),
        StoreError::Superseded => ErrorCode::ShuttingDown.into(),
        // The store has logged what went wrong.
        _ => ErrorCode::ServerError.into(),
    }
}

/// Makes the words of an error a sentence of their own.
fn sentence(error: &StoreError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

//! `parlor key`: makes, lists and revokes keys for the REST API.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use parlor_store::{ApiKey, KeyText, NewKey, StoreError};
use serde_json::{Value, json};

use crate::cli::output::{explain, missing};
use crate::cli::records::{Common, Records, all, display_name, time};
use crate::http::api::Scope;

/// The examples shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  parlor key create 'host application' --scope channels:write --scope moderation --scope events
      Prints the key on standard output: it is not stored, and cannot be shown again.
  curl -H \"Authorization: Bearer $KEY\" http://localhost:7400/api/channels
      How it is used; this needs the scope channels:read.
  parlor key create admin --scope '*'
      One that may do everything, also what is added later.
  parlor key list
  parlor key revoke 0123456789abcdef";

/// The arguments of `parlor key`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key, and print it
    Create {
        /// Purpose of the key
        #[arg(value_parser = display_name)]
        name: String,
        /// What may be done with the key; may be given again
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = PossibleValuesParser::new(Scope::EACH.iter().map(|scope| scope.name())).map(|name: String| name))]
        scopes: Vec<String>,
    },
    /// List the keys; the keys themselves are known to their bearers only
    List,
    /// Make a key void
    Revoke {
        /// Id of the key, as `parlor key list` shows it
        id: String,
    },
}

/// Carries out the command.
pub fn run(KeyArgs { command, common }: KeyArgs) -> anyhow::Result<()> {
    let writes = !matches!(command, KeyCommand::List);
    common.run(writes, async |records| match command {
        KeyCommand::Create { name, scopes } => create(records, name, scopes).await,
        KeyCommand::List => list(records).await,
        KeyCommand::Revoke { id } => revoke(records, &id).await,
    })
}

async fn create(records: Records, name: String, mut scopes: Vec<String>) -> anyhow::Result<()> {
    scopes.sort_unstable();
    scopes.dedup();
    let text = KeyText::generate().ok_or_else(|| anyhow::anyhow!("the system has no random bytes"))?;
    let key = NewKey { id: text.id().to_owned(), name, hash: text.hash(), scopes };
    let made = records.store.create_key(&key, &records.by, records.now).await.map_err(|error| explain(error, ""))?;
    let mut value = view(&made);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("key".to_owned(), Value::String(text.expose().to_owned()));
    }
    records.output.done(text.expose(), &value);
    eprintln!("This is the key \"{}\", {}. Keep it: it cannot be shown again.", made.name, made.id);
    Ok(())
}

async fn list(records: Records) -> anyhow::Result<()> {
    let keys = all("", async |page| records.store.keys(&page).await, |key| key.id.clone()).await?;
    let none = "There are no keys. Make one: parlor key create admin --scope '*'";
    records.output.list(keys.iter().map(view).collect(), &["id", "name", "scopes", "by", "createdAt"], none);
    Ok(())
}

async fn revoke(records: Records, id: &str) -> anyhow::Result<()> {
    match records.store.delete_key(id, &records.by, records.now).await {
        Ok(()) => {}
        Err(StoreError::NotFound(_)) => return Err(missing(format!("there is no key \"{id}\". See which there are: parlor key list"))),
        Err(error) => return Err(explain(error, "")),
    }
    records.output.done(&format!("The key {id} is void."), &json!({ "id": id }));
    Ok(())
}

fn view(key: &ApiKey) -> Value {
    json!({ "id": key.id, "name": key.name, "scopes": key.scopes, "by": key.by.to_string(), "createdAt": time(Some(key.created_at)) })
}

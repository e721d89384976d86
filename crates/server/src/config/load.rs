//! Merges file, environment and flags into one configuration, with errors that name key and origin.

use std::fmt;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::config::{Announced, Config, MAX_FLUSH_INTERVAL_US, MAX_LOUDEST_TALKERS, MAX_WORKERS, webhooks};

/// The file that is read if it exists and no other is named.
pub const FILE_NAME: &str = "parlor.toml";
/// The prefix of environment variables that set configuration keys.
const ENV_PREFIX: &str = "PARLOR_";
/// Variables with the names that deployments of other servers have, and the keys they set. They are weaker than those with the
/// prefix. An empty one counts as not set: that is how compose files pass on what nobody has set.
const ENV_PLAIN: [(&str, &str); 5] = [
    ("TURN_PROVIDER", "turn.provider"),
    ("TURN_URL", "turn.urls"),
    ("TURN_SECRET", "turn.secret"),
    ("TURN_API_URL", "turn.api_url"),
    ("TURN_API_KEY", "turn.api_key"),
];
/// Environment variables that are flags of the command line, not keys.
const ENV_RESERVED: [&str; 2] = ["PARLOR_CONFIG", "PARLOR_DOCTOR_TOKEN"];
/// The flags that set a key.
const FLAGS: [(&str, &str); 7] = [
    ("http.listen", "--http-listen"),
    ("media.port", "--media-port"),
    ("media.workers", "--media-workers"),
    ("media.listen_ip", "--listen-ip"),
    ("media.announced_ip", "--announced-ip"),
    ("log.level", "--log-level"),
    ("store.url", "--store"),
];
/// The origin of flags, as errors name it.
const COMMAND_LINE: &str = "the command line";
/// The similarity (Jaro-Winkler) from which on a key is suggested: a letter missing or swapped in a short word scores about 0.9.
const SIMILAR: f64 = 0.8;

/// The sources of keys, the weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file: its name, and its content.
    pub file: Option<(PathBuf, String)>,
    /// The variables of the environment.
    pub env: Vec<(String, String)>,
    /// The flags: the key each sets, and its value.
    pub flags: Vec<(&'static str, Value)>,
}

/// A problem with the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// The file is not TOML.
    Syntax {
        /// The name of the source.
        origin: String,
        /// The parser's reason.
        reason: String,
    },
    /// A key that does not exist.
    UnknownKey {
        /// The source that has the key.
        origin: String,
        /// The full name of the key.
        key: String,
        /// The key that was probably meant.
        similar: Option<String>,
    },
    /// A value of the wrong type or out of range.
    BadValue {
        /// The source that has the value.
        origin: String,
        /// The full name of the key.
        key: String,
        /// The reason why the value is refused.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { origin, reason } => write!(f, "{origin}: {reason}"),
            Self::UnknownKey { origin, key, similar: Some(similar) } => {
                write!(f, "{origin}: there is no key \"{key}\". Did you mean \"{similar}\"?")
            }
            Self::UnknownKey { origin, key, similar: None } => {
                write!(f, "{origin}: there is no key \"{key}\". `parlor config` prints every key there is.")
            }
            Self::BadValue { origin, key, reason } if origin == COMMAND_LINE => write!(f, "{}: {reason}", flag(key)),
            Self::BadValue { origin, key, reason } => write!(f, "{origin}: {key}: {reason}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// Whether a flag is wrong, and not the file or the environment.
    #[must_use]
    pub fn is_of_command_line(&self) -> bool {
        matches!(self, Self::BadValue { origin, .. } if origin == COMMAND_LINE)
    }
}

/// The flag of a key, as whoever wrote it knows it.
fn flag(key: &str) -> &str {
    FLAGS.iter().find(|(known, _)| is_within(key, known)).map_or(key, |(_, flag)| flag)
}

/// Whether a key is the key `whole`, or a part of its value, as `http.listen[0]` is of `http.listen`.
fn is_within(key: &str, whole: &str) -> bool {
    key.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
}

/// Merges the sources, flags over environment over file over defaults.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    // The defaults, written out, serve as the list of keys and of their types.
    let schema =
        Table::try_from(Config::default()).map_err(|e| ConfigError::Syntax { origin: "the defaults".to_owned(), reason: e.to_string() })?;
    let mut merged = Table::new();
    if let Some((path, content)) = &sources.file {
        let origin = path.display().to_string();
        let table: Table = content.parse().map_err(|e| syntax(&e, &origin, content))?;
        check_keys(&table, &schema, &origin, "")?;
        add(&mut merged, table, &origin)?;
    }
    for (name, text, key) in variables(&sources.env) {
        let origin = format!("the environment variable {name}");
        let value = env_value(&schema, &key, text, &origin).map_err(as_variable)?;
        add(&mut merged, nest(&key, value), &origin)?;
    }
    for (key, value) in &sources.flags {
        add(&mut merged, nest(key, value.clone()), COMMAND_LINE)?;
    }
    let mut config = read(merged, "the configuration")?;
    check_values(&config).map_err(|error| where_it_stands(error, sources))?;
    if let Some((path, _)) = &sources.file {
        config.store.beside(path);
    }
    Ok(config)
}

/// The variables that set a key, the weaker ones first: name, text, and key.
fn variables(env: &[(String, String)]) -> impl DoubleEndedIterator<Item = (&str, &str, String)> {
    let plain = env.iter().filter(|(_, text)| !text.is_empty()).filter_map(|(name, text)| {
        let (_, key) = ENV_PLAIN.iter().find(|(plain, _)| plain == name)?;
        Some((name.as_str(), text.as_str(), (*key).to_owned()))
    });
    let named = env.iter().filter(|(name, _)| !ENV_RESERVED.contains(&name.as_str())).filter_map(|(name, text)| {
        let key = name.strip_prefix(ENV_PREFIX)?.to_ascii_lowercase().replace("__", ".");
        Some((name.as_str(), text.as_str(), key))
    });
    plain.chain(named)
}

/// Spells the suggested key of an error as the variable it has to be.
fn as_variable(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::UnknownKey { origin, key, similar } => {
            let similar = similar.map(|key| format!("{ENV_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__")));
            ConfigError::UnknownKey { origin, key, similar }
        }
        error => error,
    }
}

/// Names the source of a value that turned out wrong after merging: the strongest source that has its key.
fn where_it_stands(error: ConfigError, sources: &Sources) -> ConfigError {
    let ConfigError::BadValue { origin, key, reason } = error else { return error };
    let in_file = |content: &str| {
        let mut parts = key.split(['.', '[']);
        let table = content.parse::<Table>().ok();
        let section = table.as_ref().and_then(|table| table.get(parts.next()?));
        // A list of tables is not searched: the error says which of the tables is meant.
        section.is_some_and(|section| section.as_table().is_none_or(|table| parts.next().is_none_or(|key| table.contains_key(key))))
    };
    let origin = if sources.flags.iter().any(|(flag, _)| is_within(&key, flag)) {
        COMMAND_LINE.to_owned()
    } else if let Some((name, ..)) = variables(&sources.env).rev().find(|(.., variable)| is_within(&key, variable)) {
        format!("the environment variable {name}")
    } else if let Some((path, _)) = sources.file.as_ref().filter(|(_, content)| in_file(content)) {
        path.display().to_string()
    } else {
        origin
    };
    ConfigError::BadValue { origin, key, reason }
}

/// Makes the error of a syntax mistake. The parser's own text is left out because it quotes the line, and the line may hold a secret.
fn syntax(error: &toml::de::Error, origin: &str, content: &str) -> ConfigError {
    let before = error.span().and_then(|span| content.get(..span.start));
    let line = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1)).unwrap_or_default();
    ConfigError::Syntax { origin: origin.to_owned(), reason: format!("{line}{}", error.message().trim()) }
}

/// Checks a source by itself, so that an error names where the value stands, and lays it over the others.
fn add(merged: &mut Table, layer: Table, origin: &str) -> Result<(), ConfigError> {
    read(layer.clone(), origin)?;
    overlay(merged, layer);
    Ok(())
}

fn read(table: Table, origin: &str) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|e| {
        let key = e.path().to_string();
        ConfigError::BadValue { origin: origin.to_owned(), key, reason: plain(e.inner().message().trim()) }
    })
}

/// The parser's sentence in the words of whoever wrote the file.
fn plain(said: &str) -> String {
    if let Some((found, wanted)) = said
        .strip_prefix("invalid type: ")
        .or_else(|| said.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        let found = found.replacen("string \"", "text \"", 1).replacen("sequence", "a list", 1).replacen("map", "a section", 1);
        let wanted = match wanted {
            "u16" => "a whole number from 0 to 65535",
            "u8" | "u32" | "u64" | "usize" | "i64" => "a whole number",
            "f64" => "a number",
            "a boolean" => "true or false",
            "a string" => "text in quotes",
            "a sequence" => "a list",
            wanted if wanted.starts_with("struct ") || wanted == "a map" => "a section",
            wanted => wanted,
        };
        return format!("is {found}, and must be {wanted}");
    }
    if let Some(rest) = said.strip_prefix("unknown variant ").map(|rest| rest.replace('`', "\"")) {
        return match rest.split_once(", expected ") {
            Some((found, known)) => format!("is {found}, and must be {}", known.trim_start_matches("one of ")),
            None => format!("is {rest}, which is not one of those there are"),
        };
    }
    said.to_owned()
}

fn overlay(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => overlay(old, new),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Finds keys the schema does not have. Tables in lists are left to their types.
fn check_keys(table: &Table, schema: &Table, origin: &str, prefix: &str) -> Result<(), ConfigError> {
    for (key, value) in table {
        match (schema.get(key), value) {
            (None, _) => return Err(unknown(schema, origin, prefix, key)),
            (Some(Value::Table(inner)), Value::Table(given)) => check_keys(given, inner, origin, &format!("{prefix}{key}."))?,
            _ => {}
        }
    }
    Ok(())
}

fn unknown(schema: &Table, origin: &str, prefix: &str, key: &str) -> ConfigError {
    let scored = schema.keys().map(|known| (strsim::jaro_winkler(known, key), known));
    let best = scored.filter(|(score, _)| *score >= SIMILAR).max_by(|(a, _), (b, _)| a.total_cmp(b));
    let similar = best.map(|(_, known)| format!("{prefix}{known}"));
    ConfigError::UnknownKey { origin: origin.to_owned(), key: format!("{prefix}{key}"), similar }
}

/// Reads a variable's text as the type its key has.
fn env_value(schema: &Table, key: &str, text: &str, origin: &str) -> Result<Value, ConfigError> {
    let mut table = schema;
    let mut prefix = String::new();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        match table.get(part) {
            None => {
                let similar = with_one_underscore(schema, key);
                return Err(similar.map_or_else(
                    || unknown(table, origin, &prefix, part),
                    |similar| ConfigError::UnknownKey { origin: origin.to_owned(), key: key.to_owned(), similar: Some(similar) },
                ));
            }
            Some(Value::Table(inner)) if parts.peek().is_some() => {
                table = inner;
                prefix = format!("{prefix}{part}.");
            }
            Some(_) if parts.peek().is_some() => return Err(unknown(&Table::new(), origin, "", key)),
            Some(default) => return typed(default, text).map_err(|reason| bad(origin, key, reason)),
        }
    }
    Err(unknown(schema, origin, "", key))
}

/// The key that is meant by a variable with one underscore between section and key, where two are needed.
fn with_one_underscore(schema: &Table, key: &str) -> Option<String> {
    let mut sections = schema.iter().filter_map(|(section, value)| Some((section, value.as_table()?)));
    sections.find_map(|(section, keys)| {
        let name = key.strip_prefix(section.as_str())?.strip_prefix('_')?;
        keys.contains_key(name).then(|| format!("{section}.{name}"))
    })
}

fn typed(default: &Value, text: &str) -> Result<Value, String> {
    match default {
        Value::Integer(_) => text.parse().map(Value::Integer).map_err(|_| "must be a whole number".to_owned()),
        Value::Boolean(_) => text.parse().map(Value::Boolean).map_err(|_| "must be true or false".to_owned()),
        Value::Array(_) if text.trim_start().starts_with('[') => {
            let table: Table = format!("v = {text}").parse().map_err(|_| "is not a TOML list".to_owned())?;
            table.get("v").cloned().ok_or_else(|| "is not a TOML list".to_owned())
        }
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        Value::Table(_) => Err("is a section; set one of its keys".to_owned()),
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn nest(key: &str, value: Value) -> Table {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let value = rest.map_or(value.clone(), |rest| Value::Table(nest(rest, value)));
    Table::from_iter([(first.to_owned(), value)])
}

fn bad(origin: &str, key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::BadValue { origin: origin.to_owned(), key: key.to_owned(), reason: reason.into() }
}

/// Checks what types alone do not.
fn check_values(config: &Config) -> Result<(), ConfigError> {
    let fail = |key: &str, reason: &str| Err(bad("the configuration", key, reason));
    if config.media.workers > MAX_WORKERS {
        return fail("media.workers", "must not be over 64");
    }
    if config.media.flush_interval_us > MAX_FLUSH_INTERVAL_US {
        return fail("media.flush_interval_us", "must not be over 2000");
    }
    if config.media.loudest_talkers > MAX_LOUDEST_TALKERS {
        return fail("media.loudest_talkers", "must not be over 32");
    }
    if config.media.port.checked_add(u16::try_from(MAX_WORKERS).unwrap_or(u16::MAX)).is_none() {
        return fail("media.port", "leaves no room for the ports of the other workers below 65535");
    }
    if config.media.announced_ip.iter().any(|told| matches!(told, Announced::Ip(ip) if ip.is_unspecified() || ip.is_multicast())) {
        return fail("media.announced_ip", "must be an address clients can connect to");
    }
    if !(1_000..=60_000).contains(&config.store.lease_ms) {
        return fail("store.lease_ms", "must be from 1000 to 60000");
    }
    if config.store.audit_keep_days == 0 || config.store.audit_keep_lines == 0 {
        return fail("store.audit_keep_days", "and audit_keep_lines must be at least 1");
    }
    if let Err((key, reason)) = config.node.check() {
        return fail(key, reason);
    }
    if let Err((key, reason)) = config.redis.check() {
        return fail(key, &reason);
    }
    if config.limits.participants_free == 0 || config.limits.participants_pro == 0 {
        return fail("limits.participants_free", "and participants_pro must be at least 1");
    }
    if let Err((key, reason)) = webhooks::check(&config.feed, &config.webhooks) {
        return fail(&key, &reason);
    }
    if let Err((key, reason)) = config.auth.check() {
        return fail(key, reason);
    }
    if let Err((key, reason)) = config.turn.check() {
        return fail(key, &reason);
    }
    if let Err((key, reason)) = config.ice.check() {
        return fail(&key, &reason);
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = config.channels.iter().find(|c| !seen.insert(&c.id)) {
        return fail("channels", &format!("the id \"{}\" is there twice", twice.id));
    }
    // The filter itself takes a misspelt level for the name of a module, and then logs nothing.
    let is_level = |text: &str| text.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let directive = |text: &str| is_level(text.rsplit_once('=').map_or(text, |(_, level)| level));
    if !config.log.level.split(',').all(directive) {
        return fail("log.level", "must be error, warn, info, debug, trace, or directives such as info,parlor=debug");
    }
    match config.http.cors_origins.iter().find_map(|origin| crate::config::address::check_origin(origin).err()) {
        Some(reason) => fail("http.cors_origins", &reason),
        None => Ok(()),
    }
}

/// Reads the named file, or the one in the working directory if it exists.
pub fn read_file(named: Option<PathBuf>) -> anyhow::Result<Option<(PathBuf, String)>> {
    let explicit = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(FILE_NAME));
    match std::fs::read_to_string(&path) {
        Ok(content) => Ok(Some((path, content))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !explicit => Ok(None),
        Err(e) => anyhow::bail!("cannot read {}: {e}", path.display()),
    }
}

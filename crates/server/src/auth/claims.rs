//! Reads the claims of a token, and checks each for its type, its size and its time.
//!
//! The signature has been verified before. The host application signed whatever is refused here, so each refusal names
//! the claim; it never repeats the value of the claim.

use std::borrow::Cow;
use std::collections::HashSet;

use parlor_proto::ids::check_name;
use parlor_proto::{ChannelId, Entitlement, Error, ErrorCode, Grant, GrantRole, Identity, Timestamp, UserId, limits};
use serde_json::{Map, Value};

use crate::config;

/// The most channels in one token. A host application with more grants puts them into the store, where they can be taken back.
pub const MAX_GRANTS: usize = 100;
/// The end of the year 9999, in seconds. A greater number is not a date but milliseconds in place of seconds: a token
/// with it would never expire.
const MAX_SECONDS: i64 = 253_402_300_799;
/// The most bytes of a date in text; the longest of RFC 3339 with nanoseconds has 35.
const MAX_DATE_BYTES: usize = 40;

/// The rules a token must satisfy beyond its signature.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    issuer: String,
    audience: String,
    /// The leeway in milliseconds, as all times here.
    leeway: i64,
    max_lifetime: Option<i64>,
}

impl Rules {
    /// The rules of the configuration.
    pub fn new(config: &config::Auth) -> Self {
        Self {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway: config.leeway.as_millis(),
            max_lifetime: (!config.max_lifetime.is_zero()).then(|| config.max_lifetime.as_millis()),
        }
    }

    /// Whether the time `end` has passed by now, leeway included.
    pub const fn is_over(&self, end: Timestamp, now: Timestamp) -> bool {
        now.0.saturating_sub(self.leeway) > end.0
    }

    /// Whether the time `start` is still to come, leeway included.
    const fn is_ahead(&self, start: Timestamp, now: Timestamp) -> bool {
        start.0 > now.0.saturating_add(self.leeway)
    }
}

/// The claims of a token that the server uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The user, and what the token says about the user.
    pub identity: Identity,
    /// The time at which the token expires.
    pub expires: Timestamp,
}

/// The claim that is wrong, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The name of the claim, such as `entitlement.expires_at`.
    pub claim: Cow<'static, str>,
    /// The reason why the claim is refused.
    pub reason: &'static str,
}

impl Refusal {
    fn new(claim: impl Into<Cow<'static, str>>, reason: &'static str) -> Self {
        Self { claim: claim.into(), reason }
    }

    /// The refusal of an expired token.
    pub fn expired() -> Self {
        Self::new("exp", "the token has expired")
    }

    /// The refusal as the owner of the token is told.
    pub fn unauthenticated(self) -> Error {
        Error::new(ErrorCode::Unauthenticated).with("claim", self.claim.into_owned()).with("reason", self.reason)
    }
}

type Read<T> = Result<T, Refusal>;

/// Reads the claims of a token whose signature is valid.
pub fn read(claims: &Map<String, Value>, rules: &Rules, now: Timestamp) -> Read<Claims> {
    let (issued_at, expires) = times(claims, rules, now)?;
    check_issuer(claims, rules)?;
    check_audience(claims, rules)?;
    let user = UserId::new(text(claims, "sub")?.ok_or_else(|| missing("sub"))?).map_err(|reason| Refusal::new("sub", reason))?;
    let name = match text(claims, "name")? {
        Some(name) => check_name(name, limits::MAX_NAME_CHARS).map(|()| name.to_owned()).map_err(|reason| Refusal::new("name", reason))?,
        None => short_name(&user),
    };
    let pro = flag(claims, "pro", "pro")?.unwrap_or_default();
    let entitlement = present(claims, "entitlement").map_or(Ok(Entitlement { pro, expires_at: None }), entitlement)?;
    let moderator = flag(claims, "moderator", "moderator")?.unwrap_or_default();
    let grants = present(claims, "channels").map(grants).transpose()?;
    Ok(Claims { identity: Identity { user, name, entitlement, moderator, grants, issued_at }, expires })
}

/// Checks the three times, and returns the time of issue and the time of expiry.
fn times(claims: &Map<String, Value>, rules: &Rules, now: Timestamp) -> Read<(Timestamp, Timestamp)> {
    let time = |claim| present(claims, claim).map(|value| numeric_date(value, claim)).transpose();
    let expires = time("exp")?.ok_or_else(|| missing("exp"))?;
    if rules.is_over(expires, now) {
        return Err(Refusal::expired());
    }
    if time("nbf")?.is_some_and(|start| rules.is_ahead(start, now)) {
        return Err(Refusal::new("nbf", "the token is not valid yet"));
    }
    let issued = time("iat")?;
    // A token issued in the future would outlive every revocation until then.
    if issued.is_some_and(|start| rules.is_ahead(start, now)) {
        return Err(Refusal::new("iat", "is in the future: compare the clocks of the issuer and this server"));
    }
    if let Some(longest) = rules.max_lifetime {
        let start = issued.ok_or_else(|| Refusal::new("iat", "is missing, and this server limits how long tokens are valid"))?;
        if expires.0.saturating_sub(start.0) > longest {
            return Err(Refusal::new("exp", "is further from iat than this server allows"));
        }
    }
    // A token without a time of issue counts as older than any revocation.
    Ok((issued.unwrap_or(Timestamp(0)), expires))
}

/// Reads seconds since 1970, perhaps with a fraction (RFC 7519, 2).
fn numeric_date(value: &Value, claim: &'static str) -> Read<Timestamp> {
    let Value::Number(number) = value else {
        return Err(Refusal::new(claim, "must be a number: seconds since 1970"));
    };
    let millis = match number.as_i64() {
        Some(seconds) => seconds.checked_mul(1000),
        // The cast saturates, and a number that is too large is refused below.
        None => number.as_f64().filter(|seconds| seconds.is_finite()).map(|seconds| (seconds * 1000.0) as i64),
    };
    match millis {
        Some(millis) if millis < 0 => Err(Refusal::new(claim, "must not be before 1970")),
        Some(millis) if millis / 1000 <= MAX_SECONDS => Ok(Timestamp(millis)),
        _ => Err(Refusal::new(claim, "is too far away: it must be seconds since 1970, not milliseconds")),
    }
}

fn check_issuer(claims: &Map<String, Value>, rules: &Rules) -> Read<()> {
    if rules.issuer.is_empty() {
        return Ok(());
    }
    match text(claims, "iss")? {
        Some(issuer) if issuer == rules.issuer => Ok(()),
        Some(_) => Err(Refusal::new("iss", "the token is of another issuer")),
        None => Err(missing("iss")),
    }
}

fn check_audience(claims: &Map<String, Value>, rules: &Rules) -> Read<()> {
    if rules.audience.is_empty() {
        return Ok(());
    }
    let meant = match present(claims, "aud") {
        None => return Err(missing("aud")),
        Some(Value::String(one)) => *one == rules.audience,
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => many.iter().any(|one| *one == rules.audience),
        Some(_) => return Err(Refusal::new("aud", "must be a text or a list of texts")),
    };
    if meant { Ok(()) } else { Err(Refusal::new("aud", "the token is for another audience")) }
}

/// The user's id, cut to the length of a name.
fn short_name(user: &UserId) -> String {
    let name: String = user.as_str().chars().take(limits::MAX_NAME_CHARS).collect();
    name.trim_end().to_owned()
}

fn entitlement(value: &Value) -> Read<Entitlement> {
    let Value::Object(fields) = value else {
        return Err(Refusal::new("entitlement", "must be an object with pro and expires_at"));
    };
    // A misspelt `expires_at` would be no end at all.
    if fields.keys().any(|key| key != "pro" && key != "expires_at") {
        return Err(Refusal::new("entitlement", "has a field besides pro and expires_at"));
    }
    let pro = flag(fields, "pro", "entitlement.pro")?.ok_or_else(|| missing("entitlement.pro"))?;
    let expires_at = present(fields, "expires_at").map(|value| date(value, "entitlement.expires_at")).transpose()?;
    Ok(Entitlement { pro, expires_at })
}

/// Reads a time as RFC 3339, or as seconds since 1970.
fn date(value: &Value, claim: &'static str) -> Read<Timestamp> {
    match value {
        Value::String(text) => parse_date(text).ok_or_else(|| Refusal::new(claim, "must be a date as 2100-01-31T12:00:00Z")),
        value => numeric_date(value, claim),
    }
}

/// Reads a date of RFC 3339; `None` if it is before 1970.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let short = text.len() <= MAX_DATE_BYTES;
    short.then(|| Timestamp::parse_rfc3339(text)).flatten().filter(|date| date.0 >= 0)
}

fn grants(value: &Value) -> Read<Vec<Grant>> {
    let Value::Array(entries) = value else {
        return Err(Refusal::new("channels", "must be a list of channels"));
    };
    if entries.len() > MAX_GRANTS {
        return Err(Refusal::new("channels", "must not be over 100 channels"));
    }
    let mut seen = HashSet::new();
    let read = |(index, entry)| {
        let grant = grant(entry).map_err(|(field, reason)| Refusal::new(format!("channels[{index}]{field}"), reason))?;
        // A channel that is named twice, with two roles, could be read both ways.
        if seen.insert(grant.channel.clone()) { Ok(grant) } else { Err(Refusal::new(format!("channels[{index}]"), "is there twice")) }
    };
    entries.iter().enumerate().map(read).collect()
}

/// Reads `"id"`, or `{id, role}`. The error names the wrong field, and what is wrong with it.
fn grant(entry: &Value) -> Result<Grant, (&'static str, &'static str)> {
    let (id, role) = match entry {
        Value::String(id) => (id, GrantRole::default()),
        Value::Object(fields) => {
            if fields.keys().any(|key| key != "id" && key != "role") {
                return Err(("", "has a field besides id and role"));
            }
            let Some(Value::String(id)) = fields.get("id") else { return Err((".id", "must be a text")) };
            (id, present(fields, "role").map_or(Ok(GrantRole::default()), role).map_err(|reason| (".role", reason))?)
        }
        _ => return Err(("", "must be a channel's id, or an object with id and role")),
    };
    let channel = ChannelId::new(id).map_err(|reason| (if entry.is_object() { ".id" } else { "" }, reason))?;
    Ok(Grant { channel, role })
}

fn role(value: &Value) -> Result<GrantRole, &'static str> {
    value.as_str().and_then(parse_role).ok_or("must be spectator, member or moderator")
}

/// Finds a role by its name.
pub fn parse_role(name: &str) -> Option<GrantRole> {
    match name {
        "spectator" => Some(GrantRole::Spectator),
        "member" => Some(GrantRole::Member),
        "moderator" => Some(GrantRole::Moderator),
        _ => None,
    }
}

/// A claim, if it is present; many libraries write `null` for an absent one.
fn present<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a Value> {
    claims.get(claim).filter(|value| !value.is_null())
}

fn text<'a>(claims: &'a Map<String, Value>, claim: &'static str) -> Read<Option<&'a str>> {
    match present(claims, claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::new(claim, "must be a text")),
    }
}

fn flag(fields: &Map<String, Value>, key: &str, claim: &'static str) -> Read<Option<bool>> {
    match present(fields, key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Refusal::new(claim, "must be true or false")),
    }
}

fn missing(claim: &'static str) -> Refusal {
    Refusal::new(claim, "is missing")
}

#[cfg(test)]
mod tests;

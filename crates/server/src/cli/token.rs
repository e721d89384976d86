//! `parlor token`: signs a token for a user, as the host application would.

use clap::Args;
use parlor_proto::{ChannelId, GrantRole, Timestamp, UserId};
use serde_json::{Value, json};

use crate::auth::{self, Issued, NotIssued, Wish, claims};
use crate::cli::output::usage;
use crate::cli::records::{display_name, period, user_id};
use crate::config::{Config, Period};

/// The examples shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  parlor token --user alice
      A token for alice, valid for 12 hours, on standard output and nothing else there.
  parlor token --user alice --name \"Alice B.\" --pro-until 2100-01-31T00:00:00Z
      One with a name to show, and the pro tier until then.
  parlor token --user bob --channel lobby:moderator --channel stage:spectator --lifetime 30m
      One for these two channels alone.

It is signed with auth.secret of the configuration, or with the first of auth.secrets.";

/// The arguments of `parlor token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Id of the user
    #[arg(long, value_name = "ID", value_parser = user_id)]
    user: UserId,
    /// Name others see [default: the id]
    #[arg(long, value_parser = display_name)]
    name: Option<String>,
    /// Give the user the pro tier
    #[arg(long)]
    pro: bool,
    /// Give the user the pro tier until then: a date as 2100-01-31T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pro_until: Option<Timestamp>,
    /// Make the user a moderator of every channel
    #[arg(long)]
    moderator: bool,
    /// A channel it is for, as a spectator, member or moderator; may be given again [default: wherever the user may go].
    /// An id with a colon in it needs a role behind it: a:b:member
    #[arg(long, value_name = "ID[:ROLE]", value_parser = grant)]
    channel: Vec<Grant>,
    /// How long the token is valid, as 30m, 12h or 7d [default: 12h]
    #[arg(long, value_name = "TIME", value_parser = period)]
    lifetime: Option<Period>,
    /// Print the token as JSON, with its end
    #[arg(long)]
    json: bool,
}

/// A channel a token is for.
#[derive(Clone, Debug)]
pub struct Grant {
    channel: ChannelId,
    role: GrantRole,
}

/// Prints a token.
pub fn run(args: &TokenArgs, config: &Config) -> anyhow::Result<()> {
    println!("{}", print(args, config, auth::now())?);
    Ok(())
}

fn print(args: &TokenArgs, config: &Config, now: Timestamp) -> anyhow::Result<String> {
    let Issued { token, expires_at } = auth::issuer(&config.auth)?.issue(&args.wish(), now).map_err(|why| explain(&why))?;
    let text = json!({ "token": token, "user": args.user, "expiresAt": expires_at.to_rfc3339() });
    Ok(if args.json { text.to_string() } else { token })
}

fn explain(why: &NotIssued) -> anyhow::Error {
    match why {
        NotIssued::Refused(refusal) => usage(format!("{}: {}", option(&refusal.claim), refusal.reason)),
        NotIssued::Broken => anyhow::anyhow!("the token could not be signed"),
    }
}

/// The name of the option that sets a claim.
fn option(claim: &str) -> String {
    match claim {
        "sub" => "--user".to_owned(),
        "exp" => "--lifetime".to_owned(),
        "name" => "--name".to_owned(),
        claim if claim.starts_with("entitlement") => "--pro-until".to_owned(),
        claim if claim.starts_with("channels") => "--channel".to_owned(),
        claim => claim.to_owned(),
    }
}

impl TokenArgs {
    fn wish(&self) -> Wish {
        let entitlement = self.pro_until.map(|end| json!({ "pro": true, "expires_at": end.to_rfc3339() }));
        let grant = |grant: &Grant| json!({ "id": grant.channel, "role": grant.role });
        let channels: Vec<_> = self.channel.iter().map(grant).collect();
        Wish {
            user: self.user.to_string(),
            name: self.name.clone(),
            pro: self.pro || entitlement.is_some(),
            entitlement,
            moderator: self.moderator,
            channels: (!channels.is_empty()).then_some(Value::Array(channels)),
            lifetime: self.lifetime,
        }
    }
}

/// Reads `ID` or `ID:ROLE`. An id may contain colons; then the role is behind the last one, because a misspelt role
/// would otherwise be taken for the end of an id, and the token be for a channel that nobody has.
fn grant(text: &str) -> Result<Grant, String> {
    let (id, role) = match text.rsplit_once(':') {
        Some((id, role)) => {
            let known = claims::parse_role(role);
            let problem =
                || format!("\"{role}\" is no role: spectator, member or moderator. For a channel called \"{text}\": {text}:member");
            (id, known.ok_or_else(problem)?)
        }
        None => (text, GrantRole::Member),
    };
    Ok(Grant { channel: ChannelId::new(id)?, role })
}

fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds >= 0).and_then(|seconds| seconds.checked_mul(1000));
    seconds.map(Timestamp).or_else(|| claims::parse_date(text)).ok_or("must be a date as 2100-01-31T12:00:00Z, or seconds since 1970")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use parlor_proto::GrantRole;

    use super::*;
    use crate::auth::Authenticator;
    use crate::config::{NamedSecret, Secret};

    const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef";

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        token: TokenArgs,
    }

    fn args(words: &[&str]) -> Result<TokenArgs, clap::Error> {
        Line::try_parse_from(["token"].iter().chain(words)).map(|line| line.token)
    }

    fn config() -> Config {
        let mut config = Config::default();
        config.auth.secret = Secret::new(SECRET.to_owned());
        (config.auth.issuer, config.auth.audience) = ("host".to_owned(), "parlor".to_owned());
        config
    }

    #[tokio::test]
    async fn the_server_takes_what_was_asked_for() {
        let words = [
            ["--user", "alice"],
            ["--name", "Alice B."],
            ["--pro-until", "2100-01-31T00:00:00Z"],
            ["--channel", "stage:spectator"],
            ["--channel", "a:b:member"],
            ["--lifetime", "30m"],
        ];
        let mut words = words.concat();
        words.push("--moderator");
        let now = auth::now();
        let token = print(&args(&words).expect("valid"), &config(), now).expect("signs");
        let pass = Authenticator::new(&config().auth, false).expect("strong").verify(&token).await.expect("valid");
        assert_eq!(pass.expires_at().0 / 1000, now.0 / 1000 + 1800);
        let identity = pass.identity;
        assert_eq!((identity.user.as_str(), identity.name.as_str(), identity.moderator), ("alice", "Alice B.", true));
        assert_eq!(identity.entitlement.expires_at, Timestamp::parse_rfc3339("2100-01-31T00:00:00Z"));
        let grants: Vec<_> = identity.grants.into_iter().flatten().map(|g| (g.channel.to_string(), g.role)).collect();
        assert_eq!(grants, [("stage".to_owned(), GrantRole::Spectator), ("a:b".to_owned(), GrantRole::Member)]);
    }

    #[test]
    fn scripts_get_json() {
        let printed = print(&args(&["--user", "alice", "--json"]).expect("valid"), &config(), Timestamp(1_000_000)).expect("signs");
        let printed: Value = serde_json::from_str(&printed).expect("json");
        assert_eq!((&printed["user"], &printed["expiresAt"]), (&json!("alice"), &json!("1970-01-01T12:16:40Z")));
        assert_eq!(printed["token"].as_str().map(|token| token.split('.').count()), Some(3));
    }

    #[test]
    fn what_it_cannot_do_it_says() {
        let said =
            |words: &[&str], config: &Config| print(&args(words).expect("valid"), config, auth::now()).expect_err("refused").to_string();
        assert_eq!(said(&["--user", "a", "--channel", "x", "--channel", "x:member"], &config()), "--channel: is there twice");
        for wrong in [["--user", ""], ["--lifetime", "0"], ["--channel", "x:king"], ["--channel", "x:"], ["--channel", ":member"]] {
            let words = if wrong[0] == "--user" { wrong.to_vec() } else { [["--user", "a"], wrong].concat() };
            assert!(args(&words).is_err(), "{wrong:?}");
        }
        let refused = args(&["--user", "a", "--channel", "x:king"]).expect_err("no such role").to_string();
        assert!(refused.contains("\"king\" is no role") && refused.contains("x:king:member"), "{refused}");
        let mut bounded = config();
        bounded.auth.max_lifetime = Period::hours(1);
        assert!(said(&["--user", "a", "--lifetime", "2h"], &bounded).starts_with("--lifetime: "));
        assert!(print(&args(&["--user", "a"]).expect("valid"), &bounded, auth::now()).is_ok(), "the default is cut");
        let mut published = config();
        published.auth.secret = Secret::default();
        published.auth.jwks = "https://id.example.com/jwks.json".to_owned();
        assert!(said(&["--user", "a"], &published).contains("set auth.secret as well"));
        published.auth.secrets = vec![NamedSecret::unnamed("short")];
        assert!(said(&["--user", "a"], &published).contains("auth.secrets[0] has 5 bytes"));
        assert!(args(&["--user", "a", "--pro-until", "tomorrow"]).is_err());
    }
}

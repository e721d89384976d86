//! `parlor doctor`: checks a server from outside, and says what is wrong with it and what to do.

use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::Context as _;
use clap::Args;
use parlor_proto::{ChannelId, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::auth::{self, Wish};
use crate::cli::output::{Output, usage};
use crate::cli::records::channel_id;
use crate::config::{Config, Period};
use crate::doctor::{self, Finding, NAME, Order, Token, Verdict, examine, fresh_id};

/// The examples shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  parlor doctor https://voice.example.com
      Where parlor.toml of the server is: a token is signed with its secret.
  parlor doctor https://voice.example.com --token \"$TOKEN\" --channel lobby
      Where it is not, for instance at home or in the network of who cannot connect: with a token of your application.
  parlor doctor http://localhost:7400
      A server in development mode gives a token itself.

Run it where people are, not on the server: firewalls and NATs are on the way. It goes the way of a browser: name, connection, certificate, HTTP, \
clock, long polling, WebSocket, token, join, the announced address of media, media by UDP and by TCP, proxy headers, and each TURN server, \
through which it reaches the media port and is answered. Of each step it says ok, warning, broken or skipped, and of what is broken which hop it \
is and what mends it. In the channel it is seen for a moment as somebody called \"parlor doctor\" who says nothing. It asks nobody but this server \
and those that it names, and takes 30 seconds at the most.

Exit codes: 0 nothing is broken; 1 something is; 2 the command line is wrong.";

/// How long a token is good that is signed for this: longer than the check takes, whatever clocks say within reason.
const LIFETIME: Period = Period::minutes(10);

/// The arguments of `parlor doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Address of the page, as people have it, with http:// or https://
    #[arg(value_name = "URL")]
    url: String,
    /// Token of a user to check with [default: one signed with auth.secret of the configuration, or given by a development server]
    #[arg(long, value_name = "JWT", env = "PARLOR_DOCTOR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Channel to join [default: a new one, where channels are made on the first join]
    #[arg(long, value_name = "ID", value_parser = channel_id)]
    channel: Option<ChannelId>,
    /// File with certificates (PEM) to trust beside those of this system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print all findings as one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// Checks a server.
pub fn run(args: &DoctorArgs, config: &Config) -> anyhow::Result<()> {
    let order = Order {
        url: args.url.clone(),
        token: token(args, config, auth::now()),
        channel: args.channel.as_ref().map(ToString::to_string),
        roots: args.ca.as_deref().map(roots).transpose()?.unwrap_or_default(),
    };
    doctor::check_url(&order.url).map_err(usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut tell = |finding: &Finding| {
        if !args.json {
            println!("{}", text(finding));
        }
    };
    let findings = runtime.block_on(examine(&order, &mut tell))?;
    // The system's look-up of a name cannot be given up, and is not waited for.
    runtime.shutdown_background();
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (broken, warnings) = (count(Verdict::Broken), count(Verdict::Warning));
    Output { json: args.json }.done(
        &format!("{broken} broken, {warnings} to be warned of"),
        &json!({ "url": order.url, "broken": broken, "warnings": warnings, "findings": findings }),
    );
    anyhow::ensure!(broken == 0, "something is broken between here and {}; mend the first of it first", order.url);
    Ok(())
}

/// The given token; one signed here; or else the server is asked for one.
fn token(args: &DoctorArgs, config: &Config, now: Timestamp) -> Token {
    if let Some(token) = &args.token {
        return Token::Given(token.trim().to_owned());
    }
    let wish = Wish { user: fresh_id(), name: Some(NAME.to_owned()), lifetime: Some(LIFETIME), ..Wish::default() };
    let signed = auth::issuer(&config.auth).ok().and_then(|issuer| issuer.issue(&wish, now).ok());
    signed.map_or(Token::Asked, |issued| Token::Signed(issued.token))
}

fn roots(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let roots = read.with_context(|| format!("--ca: cannot read certificates in {}", file.display()))?;
    anyhow::ensure!(!roots.is_empty(), "--ca: there is no certificate in {}", file.display());
    Ok(roots)
}

/// A finding as a person reads it: a line, and below it what mends it.
fn text(finding: &Finding) -> String {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Warning => ("warning", "33"),
        Verdict::Broken => ("broken", "31"),
        Verdict::Skipped => ("skipped", "2"),
    };
    let fix = finding.fix.as_ref().map(|fix| format!("\n{:9}{:15}→ {fix}", "", "")).unwrap_or_default();
    format!("\u{1b}[{colour}m{word:9}\u{1b}[0m{:15}{}{fix}", finding.step.words(), finding.seen)
}

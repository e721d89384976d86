//! The token that is shown, and what it says of the server if it is refused.

use serde_json::{Value, json};

use super::finding::{Fault, Finding, Step};
use super::socket::Refusal;
use super::web::Web;

/// Where the token comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// It was given.
    Given(String),
    /// It was signed here with the secret of a configuration.
    Signed(String),
    /// The server is asked for one, which works in development mode.
    Asked,
}

/// The name under which others see who checks.
pub const NAME: &str = "parlor doctor";

/// An id for a user or a channel that nobody else has.
pub fn fresh_id() -> String {
    format!("doctor-{:08x}", rand::random::<u32>())
}

/// Asks a server in development mode for a token.
pub async fn ask(web: &Web) -> Option<String> {
    let wish = json!({ "user": fresh_id(), "name": NAME }).to_string();
    let page = web.post("/api/dev/token", "application/json", wish).await.ok().filter(|page| page.status == 200)?;
    Some(serde_json::from_str::<Value>(&page.body).ok()?.get("token")?.as_str()?.to_owned())
}

/// What the server's answer to a token says.
pub fn judge(token: &Token, clocks_differ: bool, answer: &Result<(), Refusal>) -> Finding {
    let refusal = match answer {
        Ok(()) => {
            let from = match token {
                Token::Given(_) => "the token that was given is accepted",
                Token::Signed(_) => "a token signed with the secret of the configuration is accepted",
                Token::Asked => "the server gave a token, as in development mode, and accepts it",
            };
            return Finding::ok(Step::Token, from);
        }
        Err(refusal) => refusal,
    };
    let seen = format!("the token is refused: {}", refusal.words());
    let of_time = ["expired", "not valid yet", "nbf"].iter().any(|word| refusal.reason.contains(word));
    if of_time {
        let fix = match (clocks_differ, token) {
            (true, _) => "Clock: the token is in order, and the clocks are not. Set them first.",
            (false, Token::Given(_)) => {
                "Application: get a new token; see that it signs `exp` in seconds since 1970, and that its clock is right."
            }
            (false, _) => "Clock: a token that was signed just now has ended at the server. Set the clocks of both machines.",
        };
        return Finding::broken(Step::Token, Fault::TokenExpired, seen, fix);
    }
    let fix = match token {
        Token::Given(_) => {
            "Application: it signs with another secret (or key) than auth.secret of Parlor, or with other claims. Use the same secret on both sides, \
             and compare auth.issuer and auth.audience with `iss` and `aud`."
        }
        Token::Signed(_) => {
            "Configuration: this parlor.toml has another auth.secret than the running server. Use the server's own file (--config) and environment; \
             if it is the same, restart the server."
        }
        Token::Asked => "Parlor: it refuses the token it gave; look at its log.",
    };
    Finding::broken(Step::Token, Fault::TokenRefused, seen, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_refused_for_its_time_or_for_its_secret() {
        let judged = |token: &Token, clocks, reason: &str| {
            let refusal = Refusal { code: "UNAUTHENTICATED".into(), reason: reason.into(), ..Refusal::default() };
            let Finding { fault, fix, .. } = judge(token, clocks, &Err(refusal));
            (fault, fix.unwrap_or_default())
        };
        let (signed, given) = (Token::Signed(String::new()), Token::Given(String::new()));
        assert_eq!(judged(&given, false, "the token has expired").0, Some(Fault::TokenExpired));
        assert!(judged(&given, true, "the token has expired").1.starts_with("Clock: "));
        assert!(judged(&signed, false, "the token has expired").1.starts_with("Clock: "));
        assert_eq!(judged(&given, false, "the token is not one of this server").0, Some(Fault::TokenRefused));
        assert!(judged(&signed, false, "the token is not one of this server").1.starts_with("Configuration: "));
    }
}

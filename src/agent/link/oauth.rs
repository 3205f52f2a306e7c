//! OAuth2 client credentials inside a login token: what to ask, what the answer says, when to renew.
//! Source: RFC 6749 sections 2.3.1, 4.4 and 5; protocol.md 4.5.
use super::address::Address;
use super::{Lost, basic};
use crate::proto::token_transport::{ExternalCreds, OAuthCredentials};
use std::time::Duration;

/// No answer is longer; a token of some kilobytes fits.
pub(super) const MAX_ANSWER: usize = 64 * 1024;
/// What the answer's `expires_in` is when it does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
/// So much earlier than its end a token is renewed, for clocks and slow networks.
const MARGIN: Duration = Duration::from_secs(60);
/// A token that lives for a few seconds must not make us ask all the time.
const SHORTEST: Duration = Duration::from_secs(10);

/// A login token as it is sent, and the OAuth2 credentials that were in it.
#[derive(Clone, PartialEq)]
pub(super) struct Login {
    pub(super) token: String,
    pub(super) oauth: Option<OAuth>,
}

#[derive(Clone, PartialEq)]
pub(super) struct OAuth {
    pub(super) url: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
}

/// The token endpoint, from its URL.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Endpoint {
    pub(super) tls: bool,
    pub(super) address: Address,
    /// Path and query.
    pub(super) path: String,
}

/// How the client proves itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Proof {
    Basic,
    Form,
}

#[derive(Clone, PartialEq)]
pub(super) struct Access {
    /// The whole header.
    pub(super) authorization: String,
    pub(super) renew_after: Duration,
}

impl Login {
    /// A token that cannot be read is sent as it is: whether it is good is the server's to say.
    pub(super) fn read(token: String) -> Self {
        let Ok(mut transport) = crate::token::decode(&token) else {
            return Self { token, oauth: None };
        };
        match transport.external_creds.take() {
            Some(ExternalCreds::OauthCreds(OAuthCredentials { url, client_id, client_secret })) => {
                // The signature is over the body alone, so it holds without them too.
                let token = crate::token::encode(&transport);
                Self { token, oauth: Some(OAuth { url, client_id, client_secret }) }
            }
            None => Self { token, oauth: None },
        }
    }
}

impl OAuth {
    /// # Errors
    /// The URL is not one that can be asked.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Lost> {
        endpoint(&self.url)
            .ok_or_else(|| Lost::unavailable(format!("the OAuth2 URL {:?} is malformed", self.url)))
    }

    /// The header and the body of the request.
    pub(super) fn request(&self, proof: Proof) -> (Option<String>, String) {
        let (id, secret) =
            (basic::percent_encode(&self.client_id), basic::percent_encode(&self.client_secret));
        let body = "grant_type=client_credentials&audience=https%3A%2F%2Fapi.hashicorp.cloud";
        match proof {
            Proof::Basic => (Some(basic::authorization(&id, &secret)), body.into()),
            Proof::Form => (None, format!("{body}&client_id={id}&client_secret={secret}")),
        }
    }
}

/// What the endpoint said. Its words are quoted only where they are an error's.
///
/// # Errors
/// It refused, or did not answer as RFC 6749 has it.
pub(super) fn answer(status: u16, body: &[u8]) -> Result<Access, Lost> {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(serde_json::Value::as_str);
    if !(200..300).contains(&status) {
        let error = text("error").unwrap_or("no reason given");
        let detail: String =
            text("error_description").unwrap_or_default().chars().take(200).collect();
        let code = if matches!(status, 400 | 401 | 403) {
            tonic::Code::Unauthenticated
        } else {
            tonic::Code::Unavailable
        };
        let text = format!("the OAuth2 endpoint answered {status}: {error:.100} {detail}");
        return Err(Lost { code: code as i32, text: text.trim_end().into() });
    }
    let token = text("access_token")
        .filter(|it| !it.is_empty())
        .ok_or_else(|| Lost::unavailable("the OAuth2 endpoint's answer has no access_token"))?;
    let kind = match text("token_type") {
        // As Go's library has it: servers say "bearer" and mean "Bearer".
        None | Some("") => "Bearer",
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => "Bearer",
        Some(kind) => kind,
    };
    let life = json.get("expires_in").and_then(seconds).unwrap_or(DEFAULT_LIFE);
    Ok(Access { authorization: format!("{kind} {token}"), renew_after: renew_after(life) })
}

/// Before the end by the margin, or for short lives at two thirds.
fn renew_after(life: Duration) -> Duration {
    life.saturating_sub(MARGIN).max(life.mul_f64(2.0 / 3.0)).max(SHORTEST)
}

/// A number, or a number as text, which some servers send; a year at most.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (number > 0).then(|| Duration::from_secs(number.min(365 * 24 * 3600)))
}

fn endpoint(url: &str) -> Option<Endpoint> {
    let (scheme, rest) = url.split_once("://")?;
    let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
        "https" => (true, 443),
        "http" => (false, 80),
        _ => return None,
    };
    let rest = rest.split('#').next()?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
    let valid = url.len() <= 2048 && path.bytes().all(|it| it.is_ascii_graphic());
    valid.then_some(Endpoint { tls, address: Address::parse(authority, port)?, path })
}

#[cfg(test)]
mod tests;

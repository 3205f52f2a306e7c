//! Tokens: what they claim, and the signature that lets the claim be believed.
//!
//! The signature is over the body's bytes as they came, so they are verified before they are read
//! and never written anew. The text form is `crate::token`'s.
#[cfg(test)]
mod tests;

use super::moment::Moment;
use crate::proto::{Token, TokenTransport, token};
use crate::token as text;
use blake2::digest::consts::U32;
use blake2::digest::{KeyInit, Mac};
use prost::Message;
use std::time::{Duration, SystemTime};

/// The user that bootstrapping creates, and that tokens from before there were users belong to.
pub(crate) const DEFAULT_USER: &str = "00000000000000000000000001";
const KEY_ID: &str = "k1";

/// The secret that signs; whoever knows it may do anything.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

/// Whom a credential speaks for. Invites and triggers are no credentials.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Caller {
    /// A user, who may call everything.
    User(String),
    /// An entrypoint of this deployment, on behalf of a user; it may call `Entrypoint…` alone.
    Entrypoint {
        user: String,
        deployment: String,
    },
    Runner,
}

/// Why a token is not believed. It never quotes the token: this ends up in logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Disbelieved {
    NoToken(text::NoToken),
    /// Its body is signed, but is no token.
    Damaged,
    UnknownKey,
    Forged,
    Expired,
    NoKind,
    Trigger,
    Invite,
}

impl std::fmt::Display for Disbelieved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoToken(why) => return why.fmt(f),
            Self::Damaged => "the token's body cannot be read",
            Self::UnknownKey => "the token was signed with a key that this server does not know",
            Self::Forged => "the token's signature is not this server's",
            Self::Expired => "the token has expired",
            Self::NoKind => "the token says not what it is for",
            Self::Trigger => "a trigger token is for trigger URLs only",
            Self::Invite => "an invite token has to be exchanged for a login token first",
        })
    }
}

impl Key {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The text of a signed token; without a `lifetime` it never expires.
    pub(crate) fn issue(
        &self,
        kind: token::Kind,
        lifetime: Option<Duration>,
        moment: &Moment,
    ) -> String {
        let body = Token {
            accessor_id: moment.random[..16].to_vec(),
            issued_time: Some(moment.timestamp()),
            valid_until: lifetime.and_then(|it| moment.now.checked_add(it)).map(Into::into),
            kind: Some(kind),
            ..Default::default()
        }
        .encode_to_vec();
        let signature = self.mac(&body).finalize().into_bytes().to_vec();
        text::encode(&TokenTransport {
            body,
            signature,
            key_id: KEY_ID.into(),
            ..Default::default()
        })
    }

    /// What a token says, once its signature and its time have been checked.
    pub(crate) fn verify(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<(Token, TokenTransport), Disbelieved> {
        let transport = text::decode(token).map_err(Disbelieved::NoToken)?;
        if transport.key_id != KEY_ID {
            return Err(Disbelieved::UnknownKey);
        }
        // In constant time; a comparison that stops early tells a forger how far he got.
        let signed = self.mac(&transport.body).verify_slice(&transport.signature);
        signed.map_err(|_| Disbelieved::Forged)?;
        let body = Token::decode(transport.body.as_slice()).map_err(|_| Disbelieved::Damaged)?;
        let until = body.valid_until.map(SystemTime::try_from);
        if until.is_some_and(|it| it.is_ok_and(|it| it < now)) {
            return Err(Disbelieved::Expired);
        }
        Ok((with_kind(body)?, transport))
    }

    fn mac(&self, body: &[u8]) -> blake2::Blake2bMac<U32> {
        // Not `new`, which takes 64 bytes: a key's length is part of the hash.
        let mut mac = <blake2::Blake2bMac<U32> as KeyInit>::new_from_slice(&self.0)
            .expect("a key may have 1 to 64 bytes");
        mac.update(body);
        mac
    }
}

/// Whom a verified token speaks for.
pub(crate) fn caller(token: &Token) -> Result<Caller, Disbelieved> {
    match token.kind.as_ref().ok_or(Disbelieved::NoKind)? {
        token::Kind::Login(login) => Ok(match &login.entrypoint {
            None => Caller::User(login.user_id.clone()),
            Some(only) => Caller::Entrypoint {
                user: login.user_id.clone(),
                deployment: only.deployment_id.clone(),
            },
        }),
        token::Kind::Runner(_) => Ok(Caller::Runner),
        token::Kind::Trigger(_) => Err(Disbelieved::Trigger),
        token::Kind::Invite(_) => Err(Disbelieved::Invite),
    }
}

/// Tokens from before there were kinds get theirs. Source: protocol, section "Token format".
fn with_kind(mut token: Token) -> Result<Token, Disbelieved> {
    if token.kind.is_some() {
        return Ok(token);
    }
    let login =
        token::Login { user_id: DEFAULT_USER.into(), entrypoint: token.unused_entrypoint.clone() };
    token.kind = Some(match (token.unused_login, token.unused_invite) {
        (true, _) => token::Kind::Login(login),
        (false, true) => token::Kind::Invite(token::Invite {
            from_user_id: DEFAULT_USER.into(),
            login: Some(login),
            signup: None,
        }),
        (false, false) => return Err(Disbelieved::NoKind),
    });
    Ok(token)
}

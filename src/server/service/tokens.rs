//! Tokens: issued, exchanged, read.
use crate::proto::{
    DecodeTokenResponse, GenerateRunnerTokenRequest, InviteTokenRequest, LoginTokenRequest, token,
};
use crate::server::hub::{Hub, moment};
use crate::server::refusal::Refusal;
use crate::server::state::{self, shown};
use crate::server::token::{Caller, DEFAULT_USER};
use crate::server::{duration, token as tokens};
use std::time::{Duration, SystemTime};
use tonic::Code;

/// The first login token; once only.
pub(crate) fn bootstrap(hub: &Hub) -> Result<String, Refusal> {
    hub.change(|state, secret| {
        let key = state.bootstrap(secret)?;
        let login = token::Login { user_id: DEFAULT_USER.into(), entrypoint: None };
        // Of another moment: the random bytes of this one are the secret.
        Ok(key.issue(token::Kind::Login(login), None, &moment()?))
    })
}

/// An invite whose login may call the entrypoint's methods for this deployment alone.
pub(crate) fn invite_entrypoint(
    hub: &Hub,
    deployment: &str,
    lifetime: Duration,
) -> Result<String, Refusal> {
    let entrypoint = token::Entrypoint { deployment_id: deployment.into() };
    let login = token::Login { user_id: DEFAULT_USER.into(), entrypoint: Some(entrypoint) };
    issue(hub, token::Kind::Invite(invite_from(DEFAULT_USER, login)), Some(lifetime))
}

/// For whoever asks, or for another user, or for a trigger.
pub(super) fn login(
    hub: &Hub,
    caller: &Caller,
    request: &LoginTokenRequest,
) -> Result<String, Refusal> {
    let lifetime = lifetime(&request.duration)?;
    let user_id = match &request.user {
        Some(user) => hub.read(|state| state.users.find(user).map(|it| it.id.clone()))?,
        None => user(caller)?,
    };
    let kind = if request.trigger {
        token::Kind::Trigger(token::Trigger { from_user_id: user_id })
    } else {
        token::Kind::Login(token::Login { user_id, entrypoint: None })
    };
    issue(hub, kind, lifetime)
}

pub(super) fn runner(hub: &Hub, request: GenerateRunnerTokenRequest) -> Result<String, Refusal> {
    let lifetime = lifetime(&request.duration)?;
    // Which labels a runner has is its own affair here: we have no jobs to keep from it.
    let runner = token::Runner { id: request.id, label_hash: 0 };
    issue(hub, token::Kind::Runner(runner), lifetime)
}

pub(super) fn invite(
    hub: &Hub,
    caller: &Caller,
    request: InviteTokenRequest,
) -> Result<String, Refusal> {
    let lifetime = lifetime(&request.duration)?.ok_or_else(|| Refusal::missing("duration"))?;
    let from = user(caller)?;
    let invite = if let Some(entrypoint) = request.unused_entrypoint {
        // As deployers ask: always on behalf of the first user.
        let login = token::Login { user_id: DEFAULT_USER.into(), entrypoint: Some(entrypoint) };
        invite_from(&from, login)
    } else {
        let login = request
            .login
            .unwrap_or_else(|| token::Login { user_id: from.clone(), entrypoint: None });
        let known = hub.read(|state| state.users.by_id(&login.user_id).is_some());
        if request.signup.is_none() && !known {
            return Err(Refusal::not_found("user", shown(&login.user_id)));
        }
        token::Invite { signup: request.signup, ..invite_from(&from, login) }
    };
    issue(hub, token::Kind::Invite(invite), Some(lifetime))
}

/// A login that never expires for an invite; a new user's, if the invite says so.
pub(super) fn convert(hub: &Hub, text: &str) -> Result<String, Refusal> {
    let DecodeTokenResponse { token, .. } = decode(hub, text)?;
    let Some(token::Kind::Invite(invite)) = token.and_then(|it| it.kind) else {
        return Err(Refusal::invalid("token", "is no invite token"));
    };
    let mut login = invite.login.ok_or_else(|| Refusal::invalid("token", "invites nobody"))?;
    if let Some(signup) = invite.signup {
        login.user_id = hub.change(|state, moment| {
            let user = state.users.create(&signup.initial_username, moment.ulid(0))?;
            Ok(user.id.clone())
        })?;
    }
    issue(hub, token::Kind::Login(login), None)
}

pub(super) fn decode(hub: &Hub, text: &str) -> Result<DecodeTokenResponse, Refusal> {
    let key = hub.read(|state| state.key().cloned());
    let key = key.ok_or(tokens::Disbelieved::UnknownKey);
    let read = key.and_then(|key| key.verify(text, SystemTime::now()));
    let (token, transport) =
        read.map_err(|why| Refusal::new(Code::Unauthenticated, why.to_string()))?;
    Ok(DecodeTokenResponse { token: Some(token), transport: Some(transport) })
}

/// The user who calls; a runner calls for the first one.
pub(super) fn user(caller: &Caller) -> Result<String, Refusal> {
    match caller {
        Caller::User(user) => Ok(user.clone()),
        Caller::Runner => Ok(DEFAULT_USER.into()),
        Caller::Entrypoint { .. } => Err(Refusal::denied("an entrypoint speaks for no user")),
    }
}

fn invite_from(user: &str, login: token::Login) -> token::Invite {
    token::Invite { from_user_id: user.into(), login: Some(login), signup: None }
}

/// `None` for the empty text; nothing below a nanosecond, which would be no lifetime at all.
fn lifetime(text: &str) -> Result<Option<Duration>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let lifetime = duration::parse(text).filter(|it| !it.is_zero());
    lifetime.map(Some).ok_or_else(|| {
        let why = format!("\"{}\" is no duration as 30m or 24h", state::shown(text));
        Refusal::invalid("duration", why)
    })
}

fn issue(hub: &Hub, kind: token::Kind, lifetime: Option<Duration>) -> Result<String, Refusal> {
    let key = hub.read(|state| state.key().cloned());
    let key = key.ok_or_else(|| {
        Refusal::new(Code::FailedPrecondition, "the server has not been bootstrapped yet")
    })?;
    Ok(key.issue(kind, lifetime, &moment()?))
}

//! Tokens: issued, exchanged, read.
use crate::proto::token;
use crate::server::hub::Hub;
use crate::server::refusal::Refusal;
use crate::server::token::DEFAULT_USER;
use std::time::Duration;
use tonic::Code;

/// The first login token; once only.
pub(crate) fn bootstrap(hub: &Hub) -> Result<String, Refusal> {
    hub.change(|state, moment| {
        let key = state.bootstrap(moment)?;
        let login = token::Login { user_id: DEFAULT_USER.into(), entrypoint: None };
        Ok(key.issue(token::Kind::Login(login), None, &crate::server::hub::moment()?))
    })
}

/// An invite whose login may call the entrypoint's methods for this deployment alone.
pub(crate) fn invite_entrypoint(
    hub: &Hub,
    deployment: &str,
    lifetime: Duration,
) -> Result<String, Refusal> {
    let login = token::Login {
        user_id: DEFAULT_USER.into(),
        entrypoint: Some(token::Entrypoint { deployment_id: deployment.into() }),
    };
    let invite =
        token::Invite { from_user_id: DEFAULT_USER.into(), login: Some(login), signup: None };
    issue(hub, token::Kind::Invite(invite), Some(lifetime))
}

fn issue(hub: &Hub, kind: token::Kind, lifetime: Option<Duration>) -> Result<String, Refusal> {
    let key = hub.read(|state| state.key().cloned());
    let key = key.ok_or_else(|| {
        Refusal::new(Code::FailedPrecondition, "the server has not been bootstrapped yet")
    })?;
    Ok(key.issue(kind, lifetime, &crate::server::hub::moment()?))
}

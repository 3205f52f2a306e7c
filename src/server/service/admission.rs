//! Who comes in: version and credential of every call, before its method is looked at.
//!
//! First the version, then the credential: an old peer is told that it is old, whoever it is.
use super::Service;
use crate::proto::waypoint_server::WaypointServer;
use crate::server::hub::Hub;
use crate::server::refusal::Refusal;
use crate::server::token::{Caller, Disbelieved, caller};
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::SystemTime;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tracing::debug;

/// Both protocols, api and entrypoint: what we speak, and the oldest we still speak.
pub(crate) const PROTOCOL: Protocol = Protocol { minimum: 1, current: 1 };

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Protocol {
    pub(crate) minimum: u32,
    pub(crate) current: u32,
}

/// Methods that need no token; with one, it is not looked at. Source: protocol, section 4.4.
const OPEN: [&str; 9] = [
    "GetVersionInfo",
    "BootstrapToken",
    "ConvertInviteToken",
    "DecodeToken",
    "ListOIDCAuthMethods",
    "GetOIDCAuthURL",
    "CompleteOIDCAuth",
    "RunnerToken",
    "NoAuthRunTrigger",
];

/// The service behind its door.
#[derive(Clone)]
pub(crate) struct Admission {
    hub: Hub,
    inner: WaypointServer<Service>,
}

impl Admission {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { inner: WaypointServer::new(Service::new(hub.clone())), hub }
    }
}

impl tonic::server::NamedService for Admission {
    const NAME: &'static str = <WaypointServer<Service> as tonic::server::NamedService>::NAME;
}

impl tower_service::Service<http::Request<Body>> for Admission {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let metadata = MetadataMap::from_headers(request.headers().clone());
        match admit(&self.hub, &method, &metadata) {
            Ok(caller) => {
                debug!(method, "call");
                request.extensions_mut().insert(caller);
                self.inner.call(request)
            }
            Err(status) => {
                debug!(method, code = %status.code(), why = status.message(), "call refused");
                Box::pin(async move { Ok(status.into_http()) })
            }
        }
    }
}

/// The caller, or `None` on methods that are open to all.
fn admit(hub: &Hub, method: &str, metadata: &MetadataMap) -> Result<Option<Caller>, Status> {
    check_version(method, metadata)?;
    if let Some(cookie) = metadata.get("wpcookie").filter(|it| !it.is_empty()) {
        let ours = hub.read(|state| state.settings.cookie.clone());
        if !cookie.as_bytes().eq_ignore_ascii_case(ours.as_bytes()) {
            return Err(Status::permission_denied("wpcookie: is another server's"));
        }
    }
    if OPEN.contains(&method) {
        return Ok(None);
    }
    let token = metadata.get("waypoint-token").or_else(|| metadata.get("authorization"));
    let token = token.ok_or_else(|| Status::unauthenticated("waypoint-token: is required"))?;
    let token =
        token.to_str().map_err(|_| Status::unauthenticated("waypoint-token: is no text"))?;
    let caller = who(hub, token)?;
    if matches!(caller, Caller::Entrypoint { .. }) && !is_entrypoint(method) {
        let text = format!("an entrypoint's token may not call {method}");
        return Err(Status::unauthenticated(text));
    }
    Ok(Some(caller))
}

fn who(hub: &Hub, token: &str) -> Result<Caller, Status> {
    let key = hub.read(|state| state.key().cloned());
    let caller = key
        .ok_or(Disbelieved::UnknownKey)
        .and_then(|key| key.verify(token, SystemTime::now()))
        .and_then(|(token, _)| caller(&token));
    let caller = caller.map_err(|why| match why {
        Disbelieved::Trigger => Status::permission_denied(why.to_string()),
        _ => Status::unauthenticated(why.to_string()),
    })?;
    match &caller {
        Caller::User(user) | Caller::Entrypoint { user, .. } => {
            if hub.read(|state| state.users.by_id(user).is_none()) {
                return Err(Status::unauthenticated("the token's user does not exist any more"));
            }
        }
        Caller::Runner => {}
    }
    Ok(caller)
}

fn is_entrypoint(method: &str) -> bool {
    method.starts_with("Entrypoint")
}

/// Source: protocol, section "Version negotiation".
fn check_version(method: &str, metadata: &MetadataMap) -> Result<(), Refusal> {
    if method == "GetVersionInfo" {
        return Ok(());
    }
    let header =
        if is_entrypoint(method) { "client-entrypoint-protocol" } else { "client-api-protocol" };
    let mut values = metadata.get_all(header).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::invalid(header, "is required exactly once"));
    };
    let theirs = value.to_str().ok().and_then(Protocol::parse).ok_or_else(|| {
        Refusal::invalid(header, "must be the oldest and the newest version, as in 1,1")
    })?;
    PROTOCOL.agree(theirs).map_err(|why| Refusal::new(Code::InvalidArgument, why))
}

impl Protocol {
    fn parse(text: &str) -> Option<Self> {
        let (minimum, current) = text.split_once(',')?;
        Some(Self { minimum: minimum.trim().parse().ok()?, current: current.trim().parse().ok()? })
    }

    fn agree(self, client: Self) -> Result<(), String> {
        if client.current < self.minimum {
            return Err(format!(
                "the client is too old: it speaks {}, we {}",
                client.current, self.minimum
            ));
        }
        if self.current < client.minimum {
            return Err(format!(
                "the server is too old: it speaks {}, the client {}",
                self.current, client.minimum
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_agree_where_their_ranges_meet() {
        let ours = Protocol { minimum: 2, current: 3 };
        for (theirs, agreed) in [("1,2", true), ("3,9", true), ("1,1", false), ("4,5", false)] {
            let theirs = Protocol::parse(theirs).expect("valid");
            assert_eq!(ours.agree(theirs).is_ok(), agreed, "{theirs:?}");
        }
        for text in ["", "1", "1,", ",1", "1,1,1", "-1,1", "1,4294967296", "a,b"] {
            assert_eq!(Protocol::parse(text), None, "{text}");
        }
    }
}

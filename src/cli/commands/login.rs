//! `waypoint login`: a server and a token become a context.
use crate::cli::connect::dial;
use crate::cli::context::store::Store;
use crate::cli::context::{Context, Server};
use crate::cli::desk::{Desk, tell};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::target::{Target, Tls, parse_address};
use crate::proto::{ConvertInviteTokenRequest, DecodeTokenRequest, GetUserRequest, token};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    let token = desk.call.given("token").ok_or_else(|| {
        Failure::new("`login` needs -token; no other way of logging in is known here")
    })?;
    let mut target = target(desk)?;
    target.token = None;
    let mut client = dial(&target).await?.client;
    let request = DecodeTokenRequest { token: token.trim().to_owned() };
    let decoded = client.decode_token(request).await?.into_inner().token.unwrap_or_default();
    let invited = match decoded.kind {
        Some(token::Kind::Invite(_)) => true,
        Some(token::Kind::Login(_)) => false,
        None => decoded.unused_invite,
        _ => return Err(Failure::new("the token is neither for logging in nor an invite")),
    };
    target.token = Some(token.trim().to_owned());
    if invited {
        let request = ConvertInviteTokenRequest { token: token.trim().to_owned() };
        target.token = Some(client.convert_invite_token(request).await?.into_inner().token);
    }
    // With the token this time: what is stored has worked once.
    dial(&target).await?.client.get_user(GetUserRequest { user: None }).await?;
    let store = Store::of_environment()?;
    let name = name_for(&store, &target, "login")?;
    let workspace = store.load(&name).map(|it| it.workspace).unwrap_or_default();
    store.save(&name, &Context { workspace, ..context_of(&target) })?;
    store.set_default(&name)?;
    tell(&format!("logged in to {}; context {name:?} is the default now", target.address));
    Ok(0)
}

/// The address as an argument: TLS without a look at the certificate, unless flags or the scheme
/// say otherwise. Source: the original's CLI.
fn target(desk: &Desk<'_>) -> Result<Target, Failure> {
    let Some(text) = desk.call.rest.first() else { return desk.target() };
    let address = parse_address(text)?;
    let given = |name| desk.call.given(name).map(|it| it == "true");
    let tls = given("server-tls").or(address.tls).unwrap_or(true);
    let tls = match (tls, given("server-tls-skip-verify").unwrap_or(true)) {
        (false, _) => Tls::Off,
        (true, true) => Tls::SkipVerify,
        (true, false) => Tls::Verify,
    };
    Ok(Target { address, tls, token: None })
}

/// The default context's name if it is for this server; else a new one.
fn name_for(store: &Store, target: &Target, prefix: &str) -> Result<String, Failure> {
    let default = store.default()?.filter(|name| {
        store.load(name).is_ok_and(|it| it.server.address == target.address.to_string())
    });
    Ok(default.unwrap_or_else(|| stamped(prefix)))
}

/// The seconds since 1970 make it one of a kind.
fn stamped(prefix: &str) -> String {
    format!("{prefix}_{}", seconds())
}

pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

pub(crate) fn context_of(target: &Target) -> Context {
    let server = Server {
        address: target.address.to_string(),
        tls: target.tls != Tls::Off,
        tls_skip_verify: target.tls == Tls::SkipVerify,
        require_auth: target.token.is_some(),
        auth_token: target.token.clone().unwrap_or_default(),
        platform: "n/a".into(),
        ..Server::default()
    };
    Context { server, ..Context::default() }
}

//! `waypoint context`: the files of `context/store.rs`, by hand.
use crate::cli::connect::dial;
use crate::cli::context::store::Store;
use crate::cli::context::{Context, Server, chosen};
use crate::cli::desk::{Desk, print, tell, variable};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::target::parse_address;
use crate::proto::GetUserRequest;
use serde_json::json;

pub(crate) fn create(desk: &Desk<'_>) -> Outcome {
    let call = desk.call;
    let name = first(desk)?;
    let token = call.text("server-auth-token").trim();
    let address = call.text("server-addr");
    let tls = match address.is_empty() {
        true => None,
        false => parse_address(address)?.tls,
    };
    let server = Server {
        address: address.to_owned(),
        tls: tls.unwrap_or_else(|| call.switch("server-tls")),
        tls_skip_verify: call.switch("server-tls-skip-verify"),
        require_auth: call.switch("server-require-auth") || !token.is_empty(),
        auth_token: token.to_owned(),
        platform: call.text("server-platform").to_owned(),
        ..Server::default()
    };
    let store = Store::of_environment()?;
    store.save(name, &Context { server, ..Context::default() })?;
    if call.switch("set-default") {
        store.set_default(name)?;
    }
    done(format!("context {name:?} created"))
}

pub(crate) fn list(desk: &Desk<'_>) -> Outcome {
    let store = Store::of_environment()?;
    let default = store.default()?;
    let rows = store.names()?.into_iter().map(|name| {
        let mark = if default.as_deref() == Some(&name) { "*" } else { "" };
        let (platform, address) = match store.load(&name) {
            Ok(context) => (context.server.platform, context.server.address),
            Err(wrong) => ("?".into(), wrong),
        };
        vec![mark.to_owned(), name, platform, address]
    });
    let rows: Vec<_> = rows.collect();
    print(&desk.style.table(&["", "NAME", "PLATFORM", "SERVER ADDRESS"], &rows))
}

pub(crate) fn choose(desk: &Desk<'_>) -> Outcome {
    let name = first(desk)?;
    Store::of_environment()?.set_default(name)?;
    done(format!("context {name:?} is the default now"))
}

pub(crate) fn clear(_: &Desk<'_>) -> Outcome {
    Store::of_environment()?.clear_default()?;
    done("no context is the default now".into())
}

pub(crate) fn delete(desk: &Desk<'_>) -> Outcome {
    let store = Store::of_environment()?;
    match (desk.call.rest.first(), desk.call.switch("all")) {
        (Some(name), false) => {
            store.delete(name)?;
            done(format!("context {name:?} deleted"))
        }
        (None, true) => {
            store.names()?.iter().try_for_each(|name| store.delete(name))?;
            store.clear_default()?;
            done("all contexts deleted".into())
        }
        _ => Err(Failure::new("`context delete` takes either NAME or -all")),
    }
}

pub(crate) fn rename(desk: &Desk<'_>) -> Outcome {
    let [from, to] = desk.call.rest.as_slice() else {
        return Err(Failure::new("`context rename` needs FROM TO"));
    };
    Store::of_environment()?.rename(from, to)?;
    done(format!("context {from:?} is now called {to:?}"))
}

pub(crate) fn set(desk: &Desk<'_>) -> Outcome {
    let (store, name) = meant(desk)?;
    let mut context = store.load(&name)?;
    let places = [
        ("workspace", &mut context.workspace),
        ("project", &mut context.project),
        ("app", &mut context.application),
    ];
    let mut changed = false;
    for (flag, place) in places {
        if let Some(value) = desk.call.given(flag) {
            *place = value.to_owned();
            changed = true;
        }
    }
    if !changed {
        return Err(Failure::new("`context set` needs -workspace, -project or -app"));
    }
    store.save(&name, &context)?;
    done(format!("context {name:?} changed"))
}

pub(crate) fn inspect(desk: &Desk<'_>) -> Outcome {
    let store = Store::of_environment()?;
    let json = desk.call.switch("json");
    let path = store.directory().display().to_string();
    let Some(name) = desk.call.rest.first() else {
        let default = store.default()?;
        if json {
            return print(&format!("{}\n", json!({"path": path, "default": default})));
        }
        let rows = [vec!["path".into(), path], vec!["default".into(), default.unwrap_or_default()]];
        return print(&desk.style.table(&["CONTEXTS", ""], &rows));
    };
    let Context { workspace, project, application, server } = store.load(name)?;
    if json {
        let value = json!({
            "name": name, "workspace": workspace, "project": project, "application": application,
            "server": {
                "address": server.address, "tls": server.tls,
                "tls_skip_verify": server.tls_skip_verify,
                "address_internal": server.address_internal,
                "require_auth": server.require_auth, "platform": server.platform,
            },
        });
        return print(&format!("{value}\n"));
    }
    let rows = [
        ("workspace", workspace),
        ("project", project),
        ("application", application),
        ("address", server.address),
        ("tls", server.tls.to_string()),
        ("tls_skip_verify", server.tls_skip_verify.to_string()),
        ("address_internal", server.address_internal),
        ("require_auth", server.require_auth.to_string()),
        ("auth_token", if server.auth_token.is_empty() { "" } else { "(stored)" }.into()),
        ("platform", server.platform),
    ];
    let rows: Vec<_> = rows.map(|(key, value)| vec![key.to_owned(), value]).into();
    print(&desk.style.table(&[name, ""], &rows))
}

/// With a call that needs the token: one that asks for the version alone accepts a wrong one.
pub(crate) async fn verify(desk: &Desk<'_>) -> Outcome {
    let (store, name) = meant(desk)?;
    let context = store.load(&name)?;
    let target = desk.target_of(Some(&context))?;
    let mut client = dial(&target).await?.client;
    if target.token.is_none() {
        return done(format!("context {name:?}: {} answers (no token to try)", target.address));
    }
    let answer = client.get_user(GetUserRequest { user: None }).await?.into_inner();
    let user = answer.user.unwrap_or_default().username;
    done(format!("context {name:?}: {} answers, as user {user:?}", target.address))
}

fn first<'a>(desk: &'a Desk<'_>) -> Result<&'a str, Failure> {
    desk.call.rest.first().map(String::as_str).ok_or_else(|| Failure::new("a NAME is needed"))
}

/// The context that the argument names, or the one in use.
fn meant(desk: &Desk<'_>) -> Result<(Store, String), Failure> {
    let store = Store::of_environment()?;
    let name = match desk.call.rest.first() {
        Some(name) => Some(name.clone()),
        None => chosen(variable("WAYPOINT_CONTEXT").as_deref(), store.default()?),
    };
    match name {
        Some(name) => Ok((store, name)),
        None => {
            Err(Failure::new("there is no default context; name one, or `waypoint context use`"))
        }
    }
}

fn done(text: String) -> Outcome {
    tell(&text);
    Ok(0)
}

//! `waypoint server`: our server in this process; and a new server's first token.
use super::login::{context_of, seconds};
use crate::cli::connect::dial;
use crate::cli::context::check_name;
use crate::cli::context::store::Store;
use crate::cli::desk::{Desk, print, tell};
use crate::cli::failure::{Failure, Outcome};
use crate::server::{Advertise, Server, Settings};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Serves until TERM or INT. `listening on ADDR` is the one line on standard output.
pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    // First of all: whoever starts us may stop us as soon as we say that we listen.
    let stop = stop_signal()?;
    let server = Server::bind(settings(desk)?).await.map_err(|it| Failure::new(it.to_string()))?;
    print(&format!("listening on {}\n", server.address()))?;
    server.serve(stop).await.map_err(|it| Failure::new(it.to_string()))?;
    Ok(0)
}

/// The next TERM or INT; both are heard from now on.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))
    };
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

fn settings(desk: &Desk<'_>) -> Result<Settings, Failure> {
    let call = desk.call;
    let file = |name| call.given(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let tls = match (file("tls-cert-file"), file("tls-key-file")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(Failure::new("-tls-cert-file and -tls-key-file need each other")),
    };
    let advertise = call.given("advertise-addr").map(|address| Advertise {
        address: address.to_owned(),
        tls: call.switch("advertise-tls"),
        tls_skip_verify: call.switch("advertise-tls-skip-verify"),
    });
    Ok(Settings { listen: listen_address(call.text("listen-grpc"))?, tls, advertise })
}

/// `HOST:PORT`, or `:PORT` for every address, as Go has it.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, Failure> {
    let wrong = |why: String| Failure::new(format!("flag -listen-grpc: {text:?}: {why}"));
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let mut found = full.to_socket_addrs().map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address".into()))
}

/// The token goes to standard output, before anything can fail that comes after it: there is no
/// second one.
pub(crate) async fn bootstrap(desk: &Desk<'_>) -> Outcome {
    let name = match desk.call.given("context-create") {
        Some(name) => name.to_owned(),
        None => format!("bootstrap-{}", seconds()),
    };
    if !name.is_empty() {
        check_name(&name)?;
    }
    let mut target = desk.target()?;
    target.token = None;
    let mut client = dial(&target).await?.client;
    let token = client.bootstrap_token(()).await?.into_inner().token;
    print(&format!("{token}\n"))?;
    if name.is_empty() {
        return Ok(0);
    }
    target.token = Some(token);
    let store = Store::of_environment()?;
    store.save(&name, &context_of(&target))?;
    if desk.call.switch("context-set-default") {
        store.set_default(&name)?;
    }
    tell(&format!("context {name:?} created"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_has_a_port_and_may_lack_a_host() {
        let address = |text| listen_address(text).map(|it| it.to_string());
        assert_eq!(address("127.0.0.1:0"), Ok("127.0.0.1:0".into()));
        assert_eq!(address(":9701"), Ok("[::]:9701".into()));
        for text in ["127.0.0.1", "x", ""] {
            let said = address(text).expect_err(text).text;
            assert!(said.contains(&format!("{text:?}")), "{said}");
        }
    }
}

//! Obtains OAuth2 access tokens: one HTTP/1.1 request over the link's own way to dial.
use super::call::{Adapter, Credentials, Task, describe};
use super::dial::{Dial, Target};
use super::oauth::{self, Access, Login, OAuth, Proof};
use super::{Lost, run};
use crate::backoff::Backoff;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks with HTTP Basic, and with form fields if that is refused. The caller has the deadline.
///
/// # Errors
/// The endpoint cannot be reached, or refuses both.
pub(super) async fn obtain(dialler: &dyn Dial, login: &Login) -> Result<Access, Lost> {
    let oauth = login.oauth.as_ref().ok_or_else(|| Lost::unavailable("no OAuth2 credentials"))?;
    match ask(dialler, oauth, Proof::Basic).await {
        Err(lost) if lost.code == tonic::Code::Unauthenticated as i32 => {
            ask(dialler, oauth, Proof::Form).await
        }
        answer => answer,
    }
}

/// Keeps the connection's credentials valid until dropped. The token we have stays in use while
/// the endpoint fails: it may be good for longer than it said.
pub(super) async fn renew(
    dialler: Arc<dyn Dial>,
    login: Login,
    mut access: Access,
    credentials: Credentials,
) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    let mut wait = access.renew_after;
    loop {
        sleep(wait).await;
        let renewed = timeout(TIMEOUT, obtain(&*dialler, &login)).await;
        match renewed.unwrap_or_else(|_| Err(Lost::deadline("no answer within 20 s"))) {
            Ok(newer) => {
                backoff.reset();
                access = newer;
                wait = access.renew_after;
                if let Err(lost) = credentials.set(&login.token, Some(&access.authorization)) {
                    tracing::warn!("renewing the OAuth2 access token: {lost}");
                }
            }
            Err(lost) => {
                tracing::warn!("renewing the OAuth2 access token: {lost}");
                wait = backoff.next(run::random()).max(Duration::from_secs(1));
            }
        }
    }
}

async fn ask(dialler: &dyn Dial, oauth: &OAuth, proof: Proof) -> Result<Access, Lost> {
    let endpoint = oauth.endpoint()?;
    let (authorization, form) = oauth.request(proof);
    let host = endpoint.address.to_string();
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut request = Request::post(endpoint.path)
        .header(HOST, host.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, form_type);
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request
        .body(Full::new(Bytes::from(form)))
        .map_err(|error| Lost::unavailable(format!("the OAuth2 request is malformed: {error}")))?;
    let target = Target { address: endpoint.address, tls: endpoint.tls, protocol: b"http/1.1" };
    let named = |text: String| Lost::unavailable(format!("the OAuth2 endpoint {host}: {text}"));
    let io = dialler.dial(&target).await?;
    let sent = send(Adapter(io), request).await;
    let (status, body) = sent.map_err(|error| named(describe(&*error)))?;
    oauth::answer(status, &body)
}

async fn send(
    io: Adapter,
    request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    let _connection = Task(tokio::spawn(connection));
    let response: Response<Incoming> = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), oauth::MAX_ANSWER).collect().await?;
    Ok((status, body.to_bytes()))
}

#[cfg(test)]
mod tests;

//! `waypoint token`: a token alone on standard output, for scripts.
use crate::cli::desk::{Desk, print};
use crate::cli::failure::{Failure, Outcome};
use crate::proto::token::Entrypoint;
use crate::proto::{ConvertInviteTokenRequest, InviteTokenRequest, LoginTokenRequest};

pub(crate) async fn new(desk: &Desk<'_>) -> Outcome {
    let mut client = desk.link().await?.client;
    let answer = client.generate_login_token(LoginTokenRequest::default()).await?;
    print(&format!("{}\n", answer.into_inner().token))
}

pub(crate) async fn invite(desk: &Desk<'_>) -> Outcome {
    let deployment = desk.call.given("deployment");
    // An entrypoint exchanges its token at each start, for as long as the deployment may run.
    let lifetime = if deployment.is_some() { "87600h" } else { "5m" };
    let duration = desk.call.given("lifetime").unwrap_or(lifetime).to_owned();
    let mut client = desk.link().await?.client;
    let unused_entrypoint = deployment.map(|it| Entrypoint { deployment_id: it.to_owned() });
    let request = InviteTokenRequest { duration, unused_entrypoint, ..Default::default() };
    let answer = client.generate_invite_token(request).await?;
    print(&format!("{}\n", answer.into_inner().token))
}

pub(crate) async fn exchange(desk: &Desk<'_>) -> Outcome {
    let token = desk
        .call
        .given("token")
        .ok_or_else(|| Failure::new("`token exchange` needs -token with the invite token"))?;
    let mut client = desk.link().await?.client;
    let request = ConvertInviteTokenRequest { token: token.trim().to_owned() };
    let answer = client.convert_invite_token(request).await?;
    print(&format!("{}\n", answer.into_inner().token))
}

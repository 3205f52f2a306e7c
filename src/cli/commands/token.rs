//! `waypoint token`: a token alone on standard output, for scripts.
use crate::cli::desk::{Desk, print};
use crate::cli::failure::{Failure, Outcome};
use crate::proto::{ConvertInviteTokenRequest, InviteTokenRequest, LoginTokenRequest};

pub(crate) async fn new(desk: &Desk<'_>) -> Outcome {
    let mut client = desk.link().await?.client;
    let answer = client.generate_login_token(LoginTokenRequest::default()).await?;
    print(&format!("{}\n", answer.into_inner().token))
}

pub(crate) async fn invite(desk: &Desk<'_>) -> Outcome {
    let duration = desk.call.text("lifetime").to_owned();
    let mut client = desk.link().await?.client;
    let request = InviteTokenRequest { duration, ..Default::default() };
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

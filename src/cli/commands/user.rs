//! `waypoint user`: tokens for people, and who they are.
use crate::cli::desk::{Desk, print};
use crate::cli::failure::Outcome;
use crate::proto::r#ref::{self, user};
use crate::proto::token::invite::Signup;
use crate::proto::{GetUserRequest, InviteTokenRequest, LoginTokenRequest, User, token};

pub(crate) async fn token(desk: &Desk<'_>) -> Outcome {
    let request = LoginTokenRequest {
        duration: desk.call.text("expires-in").to_owned(),
        user: named(desk),
        trigger: desk.call.switch("trigger-url-token"),
    };
    let answer = desk.link().await?.client.generate_login_token(request).await?;
    print(&format!("{}\n", answer.into_inner().token))
}

pub(crate) async fn invite(desk: &Desk<'_>) -> Outcome {
    let mut client = desk.link().await?.client;
    let mut request = InviteTokenRequest {
        duration: desk.call.text("expires-in").to_owned(),
        ..Default::default()
    };
    match desk.call.given("username") {
        Some(name) => request.signup = Some(Signup { initial_username: name.to_owned() }),
        None => {
            let answer = client.get_user(GetUserRequest { user: None }).await?.into_inner();
            let user_id = answer.user.unwrap_or_default().id;
            request.login = Some(token::Login { user_id, entrypoint: None });
        }
    }
    let answer = client.generate_invite_token(request).await?;
    print(&format!("{}\n", answer.into_inner().token))
}

pub(crate) async fn inspect(desk: &Desk<'_>) -> Outcome {
    let request = GetUserRequest { user: named(desk) };
    let answer = desk.link().await?.client.get_user(request).await?.into_inner();
    let User { id, username, display, email, .. } = answer.user.unwrap_or_default();
    let rows: Vec<_> = [("ID", id), ("Username", username), ("Name", display), ("Email", email)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    print(&desk.style.table(&["User", ""], &rows))
}

fn named(desk: &Desk<'_>) -> Option<r#ref::User> {
    desk.call.given("username").map(|name| r#ref::User {
        r#ref: Some(user::Ref::Username(r#ref::UserUsername { username: name.to_owned() })),
    })
}

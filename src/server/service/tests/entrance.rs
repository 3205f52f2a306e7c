use super::*;

#[tokio::test]
async fn the_server_is_bootstrapped_once() {
    let house = house().await;
    let guest = house.user.with_token(None);
    let again = guest.client.clone().bootstrap_token(guest.request(())).await;
    assert_eq!(code(again), Some(Code::PermissionDenied));
    let mut client = house.user.client.clone();
    let user = client.get_user(house.user.request(GetUserRequest::default())).await;
    let user = user.expect("a user").into_inner().user.expect("it");
    assert_eq!(
        (user.id.as_str(), user.username.as_str()),
        ("00000000000000000000000001", "waypoint")
    );
}

#[tokio::test]
async fn the_version_is_told_to_everybody_and_asked_of_everybody() {
    let house = house().await;
    let mut client = house.user.client.clone();
    let info = client.get_version_info(Request::new(())).await.expect("open").into_inner();
    let features = info.server_features.expect("features").features;
    assert_eq!(features, [i32::from(server_features::Feature::InlineKeepalives)]);

    let mut missing = house.user.request(());
    missing.metadata_mut().remove("client-api-protocol");
    let mut twice = house.user.request(());
    twice.metadata_mut().append("client-api-protocol", "1,1".parse().expect("ASCII"));
    let mut garbled = house.user.request(());
    garbled.metadata_mut().insert("client-api-protocol", "one".parse().expect("ASCII"));
    let mut newer = house.user.request(());
    newer.metadata_mut().insert("client-api-protocol", "2,3".parse().expect("ASCII"));
    // Even without a token it is the version that is wrong.
    let mut both = house.user.with_token(None).request(());
    both.metadata_mut().remove("client-api-protocol");
    for request in [missing, twice, garbled, newer, both] {
        assert_eq!(code(client.list_users(request).await), Some(Code::InvalidArgument));
    }
    let mut entrypoint = house.user.request(EntrypointConfigRequest::default());
    entrypoint.metadata_mut().remove("client-entrypoint-protocol");
    let refused = client.entrypoint_config(entrypoint).await.expect_err("refused");
    assert!(refused.message().contains("client-entrypoint-protocol"), "{refused}");
}

#[tokio::test]
async fn without_a_token_that_we_signed_nothing_is_done() {
    let house = house().await;
    let other = self::house().await;
    for token in [None, Some("nonsense".into()), Some(String::new()), other.user.token] {
        let stranger = house.user.with_token(token);
        let listed = stranger.client.clone().list_users(stranger.request(())).await;
        assert_eq!(code(listed), Some(Code::Unauthenticated));
    }
    let mut elsewhere = house.user.request(());
    let token = elsewhere.metadata_mut().remove("waypoint-token").expect("ours");
    elsewhere.metadata_mut().insert("authorization", token);
    house.user.client.clone().list_users(elsewhere).await.expect("the other header does too");
}

#[tokio::test]
async fn another_servers_cookie_is_refused() {
    let house = house().await;
    let mut client = house.user.client.clone();
    let config = client.get_server_config(house.user.request(())).await.expect("config");
    let cookie = config.into_inner().config.expect("it").cookie;
    for (cookie, refused) in
        [(cookie.to_lowercase(), None), ("WPCother".into(), Some(Code::PermissionDenied))]
    {
        let mut request = house.user.request(());
        request.metadata_mut().insert("wpcookie", cookie.parse().expect("ASCII"));
        assert_eq!(code(client.list_users(request).await), refused);
    }
}

#[tokio::test]
async fn an_entrypoint_may_speak_for_its_deployment_alone() {
    let house = house().await;
    let other = house.another_deployment("other").await;
    let theirs = house.user.register(&other, "THEIRS").await;
    let entrypoint = house.entrypoint(&house.deployment).await;
    let _own = entrypoint.register(&house.deployment, "OWN").await;

    let mut client = entrypoint.client.clone();
    let listed = client.list_instances(entrypoint.request(ListInstancesRequest::default())).await;
    assert_eq!(code(listed), Some(Code::Unauthenticated));
    let foreign = entrypoint.config_stream(&other, "OWN2").await;
    assert_eq!(code(foreign), Some(Code::PermissionDenied));
    // An instance of theirs, said to be of our deployment: now, and after it has left.
    let taken = entrypoint.config_stream(&house.deployment, "theirs").await;
    assert_eq!(code(taken), Some(Code::PermissionDenied));
    let (lines, stream) = writable();
    lines.send(super::logs::batch("THEIRS", &["forged"])).await.expect("open");
    let written = client.entrypoint_log_stream(entrypoint.request(stream)).await;
    assert_eq!(code(written), Some(Code::PermissionDenied));
    drop(theirs);
    let mut gone = house.user.instances(&other).await;
    while !gone.is_empty() {
        gone = house.user.instances(&other).await;
    }
    let taken = entrypoint.config_stream(&house.deployment, "THEIRS").await;
    assert_eq!(code(taken), Some(Code::PermissionDenied));
}

#[tokio::test]
async fn an_invite_is_no_credential_and_a_login_no_invite() {
    let house = house().await;
    let mut client = house.user.client.clone();
    let request = InviteTokenRequest { duration: "5m".into(), ..Default::default() };
    let invite = client.generate_invite_token(house.user.request(request)).await;
    let invite = invite.expect("invited").into_inner().token;
    let guest = house.user.with_token(Some(invite.clone()));
    assert_eq!(code(client.list_users(guest.request(())).await), Some(Code::Unauthenticated));
    let token = house.user.token.clone().expect("ours");
    let convert = client.convert_invite_token(guest.request(ConvertInviteTokenRequest { token }));
    assert_eq!(code(convert.await), Some(Code::InvalidArgument));
    for duration in ["", "soon", "0"] {
        let request = InviteTokenRequest { duration: duration.into(), ..Default::default() };
        let refused = client.generate_invite_token(house.user.request(request)).await;
        assert_eq!(code(refused), Some(Code::InvalidArgument), "{duration}");
    }
    let trigger = LoginTokenRequest { trigger: true, ..Default::default() };
    let trigger = client.generate_login_token(house.user.request(trigger)).await;
    let trigger = house.user.with_token(Some(trigger.expect("made").into_inner().token));
    assert_eq!(code(client.list_users(trigger.request(())).await), Some(Code::PermissionDenied));
}

#[tokio::test]
async fn who_signs_up_becomes_a_user_until_it_is_deleted() {
    let house = house().await;
    let mut client = house.user.client.clone();
    let signup = Some(token::invite::Signup { initial_username: "alice".into() });
    let request = InviteTokenRequest { duration: "5m".into(), signup, ..Default::default() };
    let invite = client.generate_invite_token(house.user.request(request)).await;
    let token = invite.expect("invited").into_inner().token;
    let login =
        client.convert_invite_token(house.user.request(ConvertInviteTokenRequest { token }));
    let alice = house.user.with_token(Some(login.await.expect("converted").into_inner().token));
    let user = client.get_user(alice.request(GetUserRequest::default())).await;
    let user = user.expect("a user").into_inner().user.expect("it");
    assert_eq!(user.username, "alice");
    let id = Some(r#ref::user::Ref::Id(r#ref::UserId { id: user.id }));
    let request = DeleteUserRequest { user: Some(r#ref::User { r#ref: id }) };
    client.delete_user(house.user.request(request)).await.expect("deleted");
    assert_eq!(code(client.list_users(alice.request(())).await), Some(Code::Unauthenticated));
}

#[tokio::test]
async fn an_end_of_the_server_ends_its_streams_and_says_why() {
    let house = house().await;
    let mut registered = house.user.register(&house.deployment, "I").await;
    drop(house.end);
    let end = come(registered.stream.message()).await.expect_err("the end");
    assert_eq!((end.code(), end.message()), (Code::Unavailable, "the server is shutting down"));
    assert_eq!(come(house.serving).await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn an_empty_request_is_refused_by_the_field_it_lacks() {
    let house = house().await;
    let (user, mut client) = (&house.user, house.user.client.clone());
    macro_rules! refused {
        ($($method:ident($request:expr) lacks $field:literal,)*) => {$(
            let refused = client.$method(user.request($request)).await.map(|_| ());
            let refused = refused.expect_err(stringify!($method));
            let text = format!("{}: {}", refused.code() as i32, refused.message());
            assert!(text.contains($field), "{}: {text}", stringify!($method));
        )*};
    }
    refused! {
        set_config(ConfigSetRequest::default()) lacks "3: variables: is required",
        set_config(ConfigSetRequest { variables: vec![ConfigVar::default()] })
            lacks "3: variables.name:",
        delete_config(ConfigDeleteRequest::default()) lacks "3: variables: is required",
        get_config(ConfigGetRequest::default()) lacks "3: scope: is required",
        set_config_source(SetConfigSourceRequest::default()) lacks "3: config_source: is required",
        set_config_source(SetConfigSourceRequest { config_source: Some(ConfigSource::default()) })
            lacks "3: config_source.scope: is required",
        delete_config_source(DeleteConfigSourceRequest::default()) lacks "3: config_source: is",
        get_config_source(GetConfigSourceRequest::default()) lacks "3: scope: is required",
        get_workspace(GetWorkspaceRequest::default()) lacks "3: workspace: is required",
        upsert_workspace(UpsertWorkspaceRequest::default()) lacks "3: workspace: is required",
        upsert_project(UpsertProjectRequest::default()) lacks "3: project: is required",
        get_project(GetProjectRequest::default()) lacks "3: project: is required",
        destroy_project(DestroyProjectRequest::default()) lacks "3: project: is required",
        get_application(GetApplicationRequest::default()) lacks "3: application: is required",
        upsert_application(UpsertApplicationRequest::default()) lacks "3: project: is required",
        upsert_deployment(UpsertDeploymentRequest::default()) lacks "3: deployment: is required",
        upsert_deployment(UpsertDeploymentRequest {
            deployment: Some(Deployment::default()),
            ..Default::default()
        }) lacks "3: deployment.application: is required",
        list_deployments(ListDeploymentsRequest::default()) lacks "3: application: is required",
        get_deployment(GetDeploymentRequest::default()) lacks "3: ref.target: is required",
        get_latest_deployment(GetLatestDeploymentRequest::default()) lacks "3: application: is",
        set_server_config(SetServerConfigRequest::default()) lacks "3: config: is required",
        update_user(UpdateUserRequest::default()) lacks "3: user: is required",
        delete_user(DeleteUserRequest::default()) lacks "3: user: is required",
        get_user(GetUserRequest { user: Some(r#ref::User::default()) }) lacks "3: user.ref: is",
        generate_invite_token(InviteTokenRequest::default()) lacks "3: duration: is required",
        entrypoint_config(EntrypointConfigRequest::default()) lacks "3: deployment_id: is required",
        entrypoint_config(EntrypointConfigRequest {
            deployment_id: house.deployment.clone(),
            ..Default::default()
        }) lacks "3: instance_id:",
        list_instances(ListInstancesRequest::default()) lacks "9: scope: is required",
        get_log_stream(GetLogStreamRequest::default()) lacks "9: scope: is required",
    }
}

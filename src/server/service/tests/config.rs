use super::*;
use std::collections::BTreeMap;

fn variables(config: &EntrypointConfig) -> BTreeMap<String, String> {
    let text = |it: &ConfigVar| match &it.value {
        Some(config_var::Value::Static(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    config.env_vars.iter().map(|it| (it.name.clone(), text(it))).collect()
}

#[tokio::test]
async fn what_is_set_is_pushed_whole_to_who_runs() {
    let house = house().await;
    house.user.set("A", "1").await;
    let entrypoint = house.entrypoint(&house.deployment).await;
    let stream = entrypoint.config_stream(&house.deployment, "I").await.expect("registered");
    let mut registered = Registered { stream };
    let first = registered.snapshot().await.expect("at once");
    assert_eq!(variables(&first), [("A".into(), "1".into())].into());
    let labels = &first.deployment.expect("its deployment").labels;
    assert_eq!(labels["waypoint/workspace"], "default");
    house.user.set("a", "2").await;
    let both = [("A".into(), "1".into()), ("a".into(), "2".into())].into();
    registered.until(|it| variables(it) == both).await;
    house.user.set("A", "").await;
    let one = [("a".into(), "2".into())].into();
    registered.until(|it| variables(it) == one).await;
}

#[tokio::test]
async fn a_changed_signal_alone_is_pushed_and_survives_a_deployment() {
    let house = house().await;
    let mut registered = house.user.register(&house.deployment, "I").await;
    let request = UpsertApplicationRequest {
        project: Some(r#ref::Project { project: "SHOP".into() }),
        name: "Web".into(),
        file_change_signal: "HUP".into(),
    };
    let mut client = house.user.client.clone();
    client.upsert_application(house.user.request(request)).await.expect("changed");
    registered.until(|it| it.file_change_signal == "HUP").await;
    let again = house.another_deployment("web").await;
    let mut other = house.user.config_stream(&again, "J").await.expect("registered");
    let config = come(other.message()).await.expect("fine").expect("one").config.expect("it");
    assert_eq!(config.file_change_signal, "HUP");
}

#[tokio::test]
async fn a_snapshot_comes_only_when_something_of_it_changed() {
    let house = house().await;
    let mut registered = house.user.register(&house.deployment, "I").await;
    house.another_deployment("other").await;
    let mut foreign = ConfigVar { name: "B".into(), ..Default::default() };
    foreign.value = Some(config_var::Value::Static("x".into()));
    let project = r#ref::Project { project: "elsewhere".into() };
    foreign.unused_scope = Some(config_var::UnusedScope::Project(project));
    let request = house.user.request(ConfigSetRequest { variables: vec![foreign] });
    house.user.client.clone().set_config(request).await.expect("set");
    house.user.set("A", "1").await;
    // The very next one has the change that concerns it.
    let next = registered.snapshot().await.expect("a snapshot");
    assert_eq!(variables(&next), [("A".into(), "1".into())].into());
}

#[tokio::test]
async fn sources_are_sent_once_a_variable_needs_them() {
    let house = house().await;
    let mut registered = house.user.register(&house.deployment, "I").await;
    let source = ConfigSource {
        scope: Some(config_source::Scope::Global(r#ref::Global {})),
        r#type: "null".into(),
        ..Default::default()
    };
    let mut client = house.user.client.clone();
    let request = SetConfigSourceRequest { config_source: Some(source) };
    client.set_config_source(house.user.request(request)).await.expect("set");
    let dynamic = config_var::DynamicVal { from: "null".into(), ..Default::default() };
    let value = Some(config_var::Value::Dynamic(dynamic));
    let variable = ConfigVar { name: "D".into(), value, ..Default::default() };
    let request = house.user.request(ConfigSetRequest { variables: vec![variable] });
    client.set_config(request).await.expect("set");
    let next = registered.snapshot().await.expect("a snapshot");
    assert_eq!((next.env_vars.len(), next.config_sources.len()), (1, 1));
}

#[tokio::test]
async fn a_broken_selector_is_refused_and_takes_nobody_down() {
    let house = house().await;
    let mut registered = house.user.register(&house.deployment, "I").await;
    let target = config_var::Target { label_selector: "env ==".into(), ..Default::default() };
    let value = Some(config_var::Value::Static("x".into()));
    let bad = ConfigVar { name: "B".into(), target: Some(target), value, ..Default::default() };
    let request = house.user.request(ConfigSetRequest { variables: vec![bad] });
    let refused = house.user.client.clone().set_config(request).await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("variables.target.label_selector: "), "{refused}");
    house.user.set("A", "1").await;
    assert_eq!(registered.snapshot().await.expect("still linked").env_vars.len(), 1);
}

#[tokio::test]
async fn a_late_end_of_an_old_stream_leaves_the_new_registration() {
    let house = house().await;
    let mut old = house.user.register(&house.deployment, "I").await;
    let mut new = house.user.register(&house.deployment, "I").await;
    let end = come(old.stream.message()).await.expect_err("replaced");
    assert_eq!(end.code(), Code::Aborted);
    drop(old);
    house.user.set("A", "1").await;
    new.until(|it| it.env_vars.len() == 1).await;
    assert_eq!(house.user.instances(&house.deployment).await, ["I"]);
}

#[tokio::test]
async fn who_waits_for_an_instance_is_told_when_it_comes() {
    let house = house().await;
    let scope = list_instances_request::Scope::DeploymentId(house.deployment.clone());
    let request = ListInstancesRequest { scope: Some(scope), wait_timeout: "1m".into() };
    let (user, mut client) = (house.user.clone(), house.user.client.clone());
    let short = ListInstancesRequest { wait_timeout: "1ms".into(), ..request.clone() };
    assert_eq!(
        code(client.list_instances(user.request(short)).await),
        Some(Code::DeadlineExceeded)
    );
    let waiting = tokio::spawn(async move { client.list_instances(user.request(request)).await });
    let _registered = house.user.register(&house.deployment, "I").await;
    let found = come(waiting).await.expect("no panic").expect("found").into_inner();
    assert_eq!(found.instances[0].id, "I");
}

#[tokio::test]
async fn a_destroyed_project_ends_its_instances_streams() {
    let house = house().await;
    let mut registered = house.user.register(&house.deployment, "I").await;
    let request =
        DestroyProjectRequest { project: Some(r#ref::Project { project: "shop".into() }) };
    let destroyed = house.user.client.clone().destroy_project(house.user.request(request)).await;
    destroyed.expect("destroyed");
    let end = come(registered.stream.message()).await.expect_err("the end");
    assert_eq!(end.code(), Code::Unavailable);
    let again = house.user.config_stream(&house.deployment, "I").await;
    assert_eq!(code(again), Some(Code::NotFound));
}

#[tokio::test]
async fn who_asks_for_keepalives_gets_the_first_at_once() {
    let house = house().await;
    let peer = Peer { keepalives: true, ..house.user.clone() };
    let mut stream = peer.config_stream(&house.deployment, "I").await.expect("registered");
    let first = come(stream.message()).await.expect("fine").expect("one");
    assert_eq!((first.inline_keepalive.as_str(), first.config), ("inline_keepalive", None));
    assert!(come(stream.message()).await.expect("fine").expect("one").config.is_some());
}

#[tokio::test]
async fn the_originals_command_line_finds_what_it_asks_for() {
    let house = house().await;
    let (user, mut client) = (&house.user, house.user.client.clone());
    let request = GetProjectRequest { project: Some(r#ref::Project { project: "shop".into() }) };
    let project = client.get_project(user.request(request)).await.expect("there").into_inner();
    let project = project.project.expect("it");
    assert!(project.remote_enabled && project.data_source.is_some());
    assert_eq!(project.applications[0].name, "web");
    let runners = client.list_runners(user.request(ListRunnersRequest {})).await.expect("listed");
    assert!(matches!(runners.into_inner().runners[0].kind, Some(runner::Kind::Remote(_))));
    let profiles = client.list_on_demand_runner_configs(user.request(())).await.expect("listed");
    assert!(profiles.into_inner().configs[0].default);
    let request = ListDeploymentsRequest {
        application: Some(house.web()),
        workspace: Some(r#ref::Workspace { workspace: "default".into() }),
        physical_state: operation::PhysicalState::Created.into(),
        order: Some(OperationOrder {
            order: operation_order::Order::CompleteTime.into(),
            desc: true,
            limit: 1,
        }),
        ..Default::default()
    };
    let listed = client.list_deployments(user.request(request)).await.expect("listed");
    assert_eq!(listed.into_inner().deployments[0].id, house.deployment);
    let (open, stream) = writable();
    let runner = Some(Runner { id: "R".into(), ..Default::default() });
    let event = runner_config_request::Event::Open(runner_config_request::Open { runner });
    open.send(RunnerConfigRequest { event: Some(event) }).await.expect("open");
    let mut config = client.runner_config(user.request(stream)).await.expect("open").into_inner();
    let first = come(config.message()).await.expect("fine").expect("one");
    assert!(first.config.is_some());
}

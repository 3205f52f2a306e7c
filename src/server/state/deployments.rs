//! Deployments: numbered per application, grouped in generations, kept as they came.
use super::catalog::Catalog;
use super::{App, key, shown};
use crate::proto::operation_order::Order;
use crate::proto::r#ref::operation::Target;
use crate::proto::{self, Deployment, Generation, ListDeploymentsRequest, status, status_filter};
use crate::server::moment::Moment;
use crate::server::refusal::Refusal;
use crate::server::wire;
use prost_types::Timestamp;
use std::collections::BTreeMap;

/// More than that, and the oldest destroyed one of the application is forgotten.
const MAX_PER_APPLICATION: usize = 1_000;
/// What plugins store in one; what one message may carry is 4 MiB.
const MAX_DEPLOYMENT: usize = 1 << 20;
const MAX_LABELS: usize = 256;

#[derive(Default)]
pub(super) struct Deployments {
    by_id: BTreeMap<String, Deployment>,
    /// By project and application, then by number: the id.
    by_number: BTreeMap<(String, String), BTreeMap<u64, String>>,
}

impl Catalog {
    pub(crate) fn deployment(&self, id: &str) -> Option<&Deployment> {
        self.deployments.by_id.get(&key(id))
    }

    /// Creates one, with its project, application and workspace; or replaces one that has an id.
    pub(crate) fn upsert_deployment(
        &mut self,
        mut deployment: Deployment,
        moment: &Moment,
    ) -> Result<Deployment, Refusal> {
        let app = wire::app(deployment.application.as_ref(), "deployment.application")?;
        let workspace = wire::workspace(deployment.workspace.as_ref(), "deployment.workspace")?;
        check_size(&deployment)?;
        // Their jobs are a runner's, and we have none: exec and logs are always the instance's.
        (deployment.has_exec_plugin, deployment.has_logs_plugin) = (false, false);
        if deployment.id.is_empty() {
            let app = self.touch(&app, &workspace, moment)?;
            deployment.application = Some(app.reference());
            self.deployments.insert(&app, deployment, moment)
        } else {
            let stored = self
                .deployment(&deployment.id)
                .ok_or_else(|| Refusal::not_found("deployment", shown(&deployment.id)))?;
            let kept = stored.clone();
            // Who it belongs to, and its place in the order, are settled once.
            deployment.id = kept.id;
            deployment.sequence = kept.sequence;
            deployment.generation = kept.generation;
            deployment.application = kept.application;
            deployment.workspace = kept.workspace;
            self.deployments.by_id.insert(key(&deployment.id), deployment.clone());
            Ok(deployment)
        }
    }

    pub(crate) fn find_deployment(
        &self,
        target: Option<&proto::r#ref::Operation>,
    ) -> Result<&Deployment, Refusal> {
        match target.and_then(|it| it.target.as_ref()) {
            None => Err(Refusal::missing("ref.target")),
            Some(Target::Id(id)) => {
                self.deployment(id).ok_or_else(|| Refusal::not_found("deployment", shown(id)))
            }
            Some(Target::Sequence(it)) => {
                let app = wire::app(it.application.as_ref(), "ref.sequence.application")?;
                let number = self.deployments.by_number.get(&app.key());
                number
                    .and_then(|it_| it_.get(&it.number))
                    .and_then(|id| self.deployment(id))
                    .ok_or_else(|| {
                        Refusal::not_found("deployment", format!("{app} v{}", it.number))
                    })
            }
        }
    }

    /// Of one application, newest first.
    pub(crate) fn deployments_of(&self, app: &App) -> impl Iterator<Item = &Deployment> {
        let numbers = self.deployments.by_number.get(&app.key());
        numbers.into_iter().flatten().rev().filter_map(|(_, id)| self.deployment(id))
    }

    pub(crate) fn list_deployments(
        &self,
        request: &ListDeploymentsRequest,
    ) -> Result<Vec<Deployment>, Refusal> {
        let app = wire::app(request.application.as_ref(), "application")?;
        let workspace = wire::some_workspace(request.workspace.as_ref());
        let order = request.order.unwrap_or_default();
        let mut found: Vec<_> = self
            .deployments_of(&app)
            .filter(|it| workspace.as_ref().is_none_or(|name| is_in(it, name)))
            .filter(|it| request.physical_state == 0 || it.state == request.physical_state)
            .filter(|it| {
                request.status.is_empty() || request.status.iter().any(|or| passes(it, or))
            })
            .cloned()
            .collect();
        // Always newest first, whatever `desc` says; without that time last. The sort is stable.
        let complete = order.order() == Order::CompleteTime;
        found.sort_by_key(|it| std::cmp::Reverse(time(it, complete)));
        if order.limit != 0 {
            found.truncate(usize::try_from(order.limit).unwrap_or(usize::MAX));
        }
        Ok(found)
    }

    /// The newest that succeeded.
    pub(crate) fn latest_deployment(
        &self,
        app: &App,
        workspace: Option<&str>,
    ) -> Result<&Deployment, Refusal> {
        self.deployments_of(app)
            .filter(|it| workspace.is_none_or(|name| is_in(it, name)) && succeeded(it))
            .max_by_key(|it| (time(it, true), it.sequence))
            .ok_or_else(|| Refusal::not_found("successful deployment of", shown(&app.to_string())))
    }
}

/// It came up, and was not taken down yet.
pub(crate) fn is_up(deployment: &Deployment) -> bool {
    deployment.state() == proto::operation::PhysicalState::Created && succeeded(deployment)
}

pub(crate) fn is_in(deployment: &Deployment, workspace: &str) -> bool {
    deployment.workspace.as_ref().is_some_and(|it| key(&it.workspace) == key(workspace))
}

impl Deployments {
    fn insert(
        &mut self,
        app: &App,
        mut deployment: Deployment,
        moment: &Moment,
    ) -> Result<Deployment, Refusal> {
        self.make_room(app)?;
        let numbers = self.by_number.entry(app.key()).or_default();
        let sequence = numbers.last_key_value().map_or(1, |(last, _)| last + 1);
        let generation = deployment.generation.take().map(|it| it.id).filter(|it| !it.is_empty());
        let generation = generation.unwrap_or_else(|| moment.ulid(1));
        let first = numbers.values().filter_map(|id| self.by_id.get(id)).find_map(|it| {
            it.generation.as_ref().filter(|it| it.id == generation).map(|it| it.initial_sequence)
        });
        deployment.id = moment.ulid(0);
        deployment.sequence = sequence;
        deployment.generation =
            Some(Generation { id: generation, initial_sequence: first.unwrap_or(sequence) });
        numbers.insert(sequence, key(&deployment.id));
        self.by_id.insert(key(&deployment.id), deployment.clone());
        Ok(deployment)
    }

    /// The newest stays in any case: its number must not be given twice.
    fn make_room(&mut self, app: &App) -> Result<(), Refusal> {
        let Some(numbers) = self.by_number.get_mut(&app.key()) else { return Ok(()) };
        if numbers.len() < MAX_PER_APPLICATION {
            return Ok(());
        }
        let destroyed = |id: &String| {
            let state = self.by_id.get(id).map(Deployment::state);
            state.is_none_or(|it| it == proto::operation::PhysicalState::Destroyed)
        };
        let newest = numbers.len() - 1;
        let oldest = numbers.iter().take(newest).find(|(_, id)| destroyed(id)).map(|it| *it.0);
        let Some(id) = oldest.and_then(|number| numbers.remove(&number)) else {
            let text =
                format!("{app} has {MAX_PER_APPLICATION} deployments, none of them destroyed");
            return Err(Refusal::too_many(text));
        };
        self.by_id.remove(&id);
        Ok(())
    }

    pub(super) fn forget_project(&mut self, name: &str) {
        self.by_number.retain(|(project, _), numbers| {
            let other = *project != key(name);
            if !other {
                numbers.values().for_each(|id| drop(self.by_id.remove(id)));
            }
            other
        });
    }
}

fn check_size(deployment: &Deployment) -> Result<(), Refusal> {
    if prost::Message::encoded_len(deployment) > MAX_DEPLOYMENT {
        return Err(Refusal::invalid("deployment", "is larger than 1 MiB"));
    }
    if deployment.labels.len() > MAX_LABELS || super::weight(&deployment.labels) > 64 * 1024 {
        let why = format!("are more than {MAX_LABELS}, or 64 KiB");
        return Err(Refusal::invalid("deployment.labels", why));
    }
    Ok(())
}

fn succeeded(deployment: &Deployment) -> bool {
    deployment.status.as_ref().is_some_and(|it| it.state() == status::State::Success)
}

fn passes(deployment: &Deployment, all: &proto::StatusFilter) -> bool {
    all.filters.iter().all(|it| match it.filter {
        None => true,
        Some(status_filter::filter::Filter::State(state)) => {
            deployment.status.as_ref().is_some_and(|it| it.state == state)
        }
    })
}

fn time(deployment: &Deployment, complete: bool) -> Option<(i64, i32)> {
    let status = deployment.status.as_ref()?;
    let time = if complete { &status.complete_time } else { &status.start_time };
    time.as_ref().map(|Timestamp { seconds, nanos }| (*seconds, *nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Status, r#ref};
    use std::time::{Duration, UNIX_EPOCH};

    fn wanted(app: &str, generation: &str, state: status::State, completed: i64) -> Deployment {
        Deployment {
            application: Some(r#ref::Application { project: "P".into(), application: app.into() }),
            workspace: Some(r#ref::Workspace { workspace: "default".into() }),
            generation: Some(Generation { id: generation.into(), initial_sequence: 0 }),
            status: Some(Status {
                state: state.into(),
                complete_time: Some(Timestamp { seconds: completed, nanos: 0 }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn upsert(catalog: &mut Catalog, deployment: Deployment, luck: u8) -> Deployment {
        let now = UNIX_EPOCH + Duration::from_secs(1);
        let moment = Moment { now, random: [luck; 32] };
        catalog.upsert_deployment(deployment, &moment).expect("valid")
    }

    #[test]
    fn each_application_counts_for_itself_and_a_generation_begins_once() {
        let mut catalog = Catalog::default();
        for (luck, (app, generation, sequence, initial)) in [
            ("a", "g", 1, 1),
            ("A", "h", 2, 2),
            ("b", "g", 1, 1),
            ("a", "h", 3, 2),
            ("a", "", 4, 4),
        ]
        .into_iter()
        .enumerate()
        {
            let luck = u8::try_from(luck).expect("few");
            let made =
                upsert(&mut catalog, wanted(app, generation, status::State::Success, 1), luck);
            let initially = made.generation.expect("one").initial_sequence;
            assert_eq!((made.sequence, initially), (sequence, initial), "{app} {generation}");
        }
    }

    #[test]
    fn an_update_keeps_what_is_settled_and_an_unknown_id_is_not_found() {
        let mut catalog = Catalog::default();
        let made = upsert(&mut catalog, wanted("a", "g", status::State::Running, 1), 1);
        let mut update = wanted("other", "other", status::State::Success, 2);
        update.id = made.id.to_lowercase();
        update.has_exec_plugin = true;
        let updated = upsert(&mut catalog, update, 2);
        assert_eq!((&updated.id, &updated.generation), (&made.id, &made.generation));
        assert_eq!(updated.application, made.application);
        assert!(succeeded(&updated) && !updated.has_exec_plugin);
        let unknown = Deployment { id: "X".into(), ..made };
        let moment = Moment { now: UNIX_EPOCH, random: [3; 32] };
        let refused = catalog.upsert_deployment(unknown, &moment).map_err(|it| it.code());
        assert_eq!(refused.map(|_| ()), Err(tonic::Code::NotFound));
    }

    #[test]
    fn the_latest_is_the_newest_that_succeeded() {
        let mut catalog = Catalog::default();
        for (luck, (state, completed)) in
            [(status::State::Success, 5), (status::State::Success, 9), (status::State::Error, 20)]
                .into_iter()
                .enumerate()
        {
            let luck = u8::try_from(luck).expect("few");
            upsert(&mut catalog, wanted("a", "", state, completed), luck);
        }
        let app = App { project: "p".into(), name: "a".into() };
        assert_eq!(catalog.latest_deployment(&app, None).map(|it| it.sequence), Ok(2));
        assert!(catalog.latest_deployment(&app, Some("elsewhere")).is_err());
    }
}

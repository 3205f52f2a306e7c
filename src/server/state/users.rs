//! Who there is. The first user has a fixed id, which tokens from before there were users mean.
use super::key;
use crate::proto::r#ref::user::Ref;
use crate::proto::{User, r#ref};
use crate::server::refusal::Refusal;
use crate::server::token::DEFAULT_USER;
use std::collections::BTreeMap;
use tonic::Code;

const MAX_USERS: usize = 10_000;

#[derive(Default)]
pub(crate) struct Users(BTreeMap<String, User>);

impl Users {
    pub(super) fn create_default(&mut self) {
        let user =
            User { id: DEFAULT_USER.into(), username: "waypoint".into(), ..Default::default() };
        self.0.insert(key(DEFAULT_USER), user);
    }

    pub(crate) fn create(&mut self, username: &str, id: String) -> Result<&User, Refusal> {
        check_username(username)?;
        self.check_free(username, "")?;
        if self.0.len() >= MAX_USERS {
            return Err(Refusal::too_many(format!("there are {MAX_USERS} users already")));
        }
        let user = User { id: id.clone(), username: username.into(), ..Default::default() };
        Ok(self.0.entry(key(&id)).or_insert(user))
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&User> {
        self.0.get(&key(id))
    }

    /// # Errors
    /// `InvalidArgument` for a reference to nobody at all, `NotFound` for one to nobody here.
    pub(crate) fn find(&self, user: &r#ref::User) -> Result<&User, Refusal> {
        match &user.r#ref {
            Some(Ref::Id(it)) => {
                self.by_id(&it.id).ok_or_else(|| Refusal::not_found("user", super::shown(&it.id)))
            }
            Some(Ref::Username(it)) => self
                .by_name(&it.username)
                .ok_or_else(|| Refusal::not_found("user", super::shown(&it.username))),
            None => Err(Refusal::missing("user.ref")),
        }
    }

    pub(crate) fn list(&self) -> Vec<User> {
        self.0.values().cloned().collect()
    }

    /// Changes what a user may change: the name, and how it is shown.
    pub(crate) fn update(&mut self, wanted: &User) -> Result<User, Refusal> {
        check_username(&wanted.username)?;
        self.check_free(&wanted.username, &wanted.id)?;
        if wanted.display.len() > 256 {
            return Err(Refusal::invalid("user.display", "is longer than 256 bytes"));
        }
        let user = self
            .0
            .get_mut(&key(&wanted.id))
            .ok_or_else(|| Refusal::not_found("user", super::shown(&wanted.id)))?;
        user.username.clone_from(&wanted.username);
        user.display.clone_from(&wanted.display);
        Ok(user.clone())
    }

    pub(crate) fn delete(&mut self, user: &r#ref::User) -> Result<(), Refusal> {
        let id = self.find(user)?.id.clone();
        if id == DEFAULT_USER {
            let text = "the first user cannot be deleted: old tokens speak for it";
            return Err(Refusal::new(Code::FailedPrecondition, text));
        }
        self.0.remove(&key(&id));
        Ok(())
    }

    fn by_name(&self, username: &str) -> Option<&User> {
        self.0.values().find(|it| key(&it.username) == key(username))
    }

    fn check_free(&self, username: &str, id: &str) -> Result<(), Refusal> {
        match self.by_name(username) {
            Some(user) if key(&user.id) != key(id) => {
                Err(Refusal::new(Code::AlreadyExists, format!("\"{username}\" is another user")))
            }
            _ => Ok(()),
        }
    }
}

fn check_username(name: &str) -> Result<(), Refusal> {
    super::check_name("user.username", name, 38)?;
    let ends = [name.chars().next(), name.chars().last()];
    if name.len() < 2 || ends.iter().flatten().any(|it| !it.is_ascii_alphanumeric()) {
        let why = "must have two characters or more, a letter or digit first and last";
        return Err(Refusal::invalid("user.username", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_one_user_in_any_case() {
        let mut users = Users::default();
        users.create_default();
        users.create("alice", "A".into()).expect("free");
        for (name, code) in [
            ("ALICE", Code::AlreadyExists),
            ("waypoint", Code::AlreadyExists),
            ("a", Code::InvalidArgument),
            ("-ab", Code::InvalidArgument),
            ("ab_", Code::InvalidArgument),
            ("a b", Code::InvalidArgument),
            (&"a".repeat(39), Code::InvalidArgument),
        ] {
            let refused = users.create(name, "B".into()).map(|_| ()).map_err(|it| it.code());
            assert_eq!(refused, Err(code), "{name}");
        }
    }

    #[test]
    fn the_first_user_stays() {
        let mut users = Users::default();
        users.create_default();
        let first = r#ref::User {
            r#ref: Some(Ref::Username(r#ref::UserUsername { username: "Waypoint".into() })),
        };
        assert_eq!(users.delete(&first).map_err(|it| it.code()), Err(Code::FailedPrecondition));
        assert_eq!(
            users.delete(&r#ref::User::default()).map_err(|it| it.code()),
            Err(Code::InvalidArgument)
        );
    }
}

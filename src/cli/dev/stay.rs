//! The context while `waypoint dev` runs: made the default, and all put back at the end, unless
//! somebody changed it meanwhile.
use super::Wanted;
use crate::cli::context::store::Store;
use crate::cli::context::{Context, Server};

const NAME: &str = "dev";
/// How we know a context of ours, of a `dev` that was killed perhaps.
const PLATFORM: &str = "waypoint dev";

pub(crate) struct Stay {
    store: Store,
    name: String,
    context: Context,
    /// What had this name, if another `dev` runs.
    former: Option<Context>,
    default: Option<String>,
}

impl Stay {
    /// # Errors
    /// The context cannot be written; `dev` works without, and says so.
    pub(super) fn begin(address: &str, token: &str, wanted: &Wanted) -> Result<Self, String> {
        Self::begin_in(Store::of_environment()?, address, token, wanted)
    }

    pub(super) fn begin_in(
        store: Store,
        address: &str,
        token: &str,
        wanted: &Wanted,
    ) -> Result<Self, String> {
        let server = Server {
            address: address.to_owned(),
            require_auth: true,
            auth_token: token.to_owned(),
            platform: PLATFORM.into(),
            ..Server::default()
        };
        let context = Context {
            workspace: wanted.workspace.clone(),
            project: wanted.project.clone(),
            application: wanted.application.clone(),
            server,
        };
        let exists = store.names()?.iter().any(|it| it == NAME);
        let former = if exists { store.load(NAME).ok() } else { None };
        let ours = former.as_ref().is_some_and(|it| it.server.platform == PLATFORM);
        // A context that somebody made by hand is theirs, whatever it is called.
        let name = match exists && !ours {
            true => format!("{NAME}-{}", std::process::id()),
            false => NAME.to_owned(),
        };
        let former = former.filter(|_| ours);
        // A default that points nowhere any more is none to come back to.
        let default = store.default()?.filter(|it| store.load(it).is_ok());
        store.save(&name, &context)?;
        store.set_default(&name)?;
        Ok(Self { store, name, context, former, default })
    }

    pub(super) fn end(self) -> Result<(), String> {
        let Self { store, name, context, former, default } = self;
        let is_default = store.default()?.as_deref() == Some(&name);
        if store.load(&name).is_ok_and(|it| it == context) {
            match former.filter(|it| answers(&it.server.address)) {
                Some(former) => store.save(&name, &former)?,
                None => store.delete(&name)?,
            }
        }
        match default.filter(|it| is_default && store.load(it).is_ok()) {
            Some(default) => store.set_default(&default),
            None => Ok(()),
        }
    }
}

/// Whether that `dev` still runs; it is on this machine, so the kernel knows at once.
fn answers(address: &str) -> bool {
    std::net::TcpStream::connect(address).is_ok()
}

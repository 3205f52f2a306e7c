//! What init told us in `Hello`, kept. init has checked it; a value that is here is valid.
use crate::agent::link;
use crate::seam::message::{Child, ExecId, Hello, LogLevel};

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) link: link::Settings,
    pub(crate) log_level: LogLevel,
    /// What the child was doing when we came.
    pub(crate) child: Child,
    /// Sessions that have run before, under us or our predecessors: never again.
    pub(crate) exec_ids: Vec<ExecId>,
}

impl Settings {
    pub(crate) fn of(hello: &Hello<'_>) -> Self {
        Self {
            link: link::Settings {
                server: hello.server.to_owned(),
                tls: hello.tls,
                tls_skip_verify: hello.tls_skip_verify,
                tls_ca_file: hello.tls_ca_file.to_owned(),
                ssl_cert_file: hello.ssl_cert_file.to_owned(),
                ssl_cert_dir: hello.ssl_cert_dir.to_owned(),
                token: hello.token.to_owned(),
                deployment_id: hello.deployment_id.to_owned(),
                instance_id: hello.instance_id.to_owned(),
                disable_exec: hello.disable_exec,
                https_proxy: hello.https_proxy.to_owned(),
                no_proxy: hello.no_proxy.to_owned(),
            },
            log_level: hello.log_level,
            child: hello.child,
            exec_ids: hello.exec_ids.iter().collect(),
        }
    }
}

/// The token stays out of every log.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.link.server)
            .field("deployment_id", &self.link.deployment_id)
            .field("instance_id", &self.link.instance_id)
            .field("child", &self.child)
            .finish_non_exhaustive()
    }
}

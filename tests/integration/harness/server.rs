//! A server of the test's own, spoken to as a CLI speaks to it.
use super::entrypoint::Lines;
use super::{DEADLINE, dist, process};
use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};
use waypoint::proto::waypoint_client::WaypointClient;
use waypoint::proto::{
    ConfigSetRequest, ConfigVar, Deployment, ExecStreamRequest, ExecStreamResponse,
    GetLogStreamRequest, InviteTokenRequest, ListInstancesRequest, LogBatch,
    UpsertDeploymentRequest, config_var, exec_stream_request, exec_stream_response,
    get_log_stream_request, list_instances_request, r#ref, token,
};

/// The user that BootstrapToken makes.
const BOOTSTRAP_USER: &str = "00000000000000000000000001";

pub(crate) struct Server {
    pub(crate) addr: String,
    pub(crate) deployment: String,
    /// What the deployment's entrypoints are given.
    pub(crate) invite: String,
    pub(crate) tls: bool,
    login: String,
    client: WaypointClient<Channel>,
    runtime: Runtime,
    process: Child,
    _output: Lines,
    _home: TempDir,
}

/// The log of a deployment, seen from the client.
pub(crate) struct Log<'a> {
    server: &'a Server,
    stream: Streaming<LogBatch>,
    pub(crate) seen: Vec<String>,
}

/// One exec session, seen from the client.
pub(crate) struct Session<'a> {
    server: &'a Server,
    say: mpsc::Sender<ExecStreamRequest>,
    hear: Streaming<ExecStreamResponse>,
}

/// What a session printed, and its exit code.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) code: i32,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    /// Over TLS, with a certificate that nobody has signed.
    pub(crate) fn start_tls() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        Self::with(Some(rcgen::generate_simple_self_signed(names).expect("a certificate")))
    }

    fn with(certificate: Option<rcgen::CertifiedKey<rcgen::KeyPair>>) -> Self {
        let home = TempDir::new().expect("a directory");
        let mut command = Command::new(dist("waypoint"));
        command.args(["server", "-listen-grpc", "127.0.0.1:0"]);
        if let Some(made) = &certificate {
            for (flag, file, content) in [
                ("-tls-cert-file", "cert.pem", made.cert.pem()),
                ("-tls-key-file", "key.pem", made.signing_key.serialize_pem()),
            ] {
                let path = home.path().join(file);
                std::fs::write(&path, content).expect("a file in a directory of ours");
                command.arg(flag).arg(path);
            }
        }
        command
            .current_dir(home.path())
            .env("HOME", home.path())
            .env_remove("WAYPOINT_SERVER_ADDR");
        // Both streams are one, so that it does not matter where it says that it listens.
        let (read, write) = std::io::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stdout(write.try_clone().expect("a descriptor")).stderr(write);
        let mut process = command.spawn().expect("the server starts");
        drop(command);
        let mut output = Lines::of(read);
        let addr = output.find("listening on ADDR", |line| {
            let (_, addr) = line.split_once("listening on ")?;
            Some(addr.split_whitespace().next()?.to_owned())
        });
        assert!(process.try_wait().expect("it is ours").is_none(), "the server ended at once");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(connect(&addr, certificate.map(|made| made.cert.pem())));
        let mut server = Self {
            addr,
            deployment: String::new(),
            invite: String::new(),
            tls: false,
            login: String::new(),
            client,
            runtime,
            process,
            _output: output,
            _home: home,
        };
        server.tls =
            std::fs::exists(server._home.path().join("cert.pem")).expect("a directory of ours");
        server.login =
            server.call((), async |client, request| client.bootstrap_token(request).await).token;
        (server.deployment, server.invite) = server.deploy();
        server
    }

    /// Another deployment of the same app: its id and the token of its entrypoints.
    pub(crate) fn deploy(&self) -> (String, String) {
        let request = UpsertDeploymentRequest {
            deployment: Some(Deployment {
                application: Some(app()),
                workspace: Some(r#ref::Workspace { workspace: "default".into() }),
                has_entrypoint_config: true,
                ..Default::default()
            }),
            ..Default::default()
        };
        let made =
            self.call(request, async |client, request| client.upsert_deployment(request).await);
        let id = made.deployment.expect("a deployment").id;
        (id.clone(), self.invite_for(&id))
    }

    fn invite_for(&self, deployment: &str) -> String {
        let entrypoint = token::Entrypoint { deployment_id: deployment.into() };
        let request = InviteTokenRequest {
            duration: "1h".into(),
            login: Some(token::Login {
                user_id: BOOTSTRAP_USER.into(),
                entrypoint: Some(entrypoint),
            }),
            ..Default::default()
        };
        self.call(request, async |client, request| client.generate_invite_token(request).await)
            .token
    }

    /// Sets variables of the app.
    pub(crate) fn set(&self, variables: &[(&str, &str)]) {
        let value = |text: &str| config_var::Value::Static(text.into());
        self.set_config(variables.iter().map(|(name, text)| (*name, value(text))).collect());
    }

    pub(crate) fn unset(&self, name: &str) {
        self.set_config(vec![(name, config_var::Value::Unset(()))]);
    }

    fn set_config(&self, variables: Vec<(&str, config_var::Value)>) {
        let target = config_var::Target {
            app_scope: Some(config_var::target::AppScope::Application(app())),
            ..Default::default()
        };
        let variables = variables
            .into_iter()
            .map(|(name, value)| ConfigVar {
                target: Some(target.clone()),
                name: name.into(),
                value: Some(value),
                ..Default::default()
            })
            .collect();
        self.call(ConfigSetRequest { variables }, async |client, request| {
            client.set_config(request).await
        });
    }

    /// The ids of the instances that are linked now; waits until there is one.
    #[track_caller]
    pub(crate) fn instances(&self) -> Vec<String> {
        let scope = list_instances_request::Scope::DeploymentId(self.deployment.clone());
        let request = ListInstancesRequest { scope: Some(scope), wait_timeout: "25s".into() };
        let found =
            self.call(request, async |client, request| client.list_instances(request).await);
        assert!(!found.instances.is_empty(), "no instance is linked");
        found.instances.into_iter().map(|instance| instance.id).collect()
    }

    /// The deployment's log, from its beginning on, as it grows.
    #[track_caller]
    pub(crate) fn log(&self) -> Log<'_> {
        let scope = get_log_stream_request::Scope::DeploymentId(self.deployment.clone());
        let request = GetLogStreamRequest { scope: Some(scope), limit_backlog: -1 };
        let stream =
            self.call(request, async |client, request| client.get_log_stream(request).await);
        Log { server: self, stream, seen: Vec::new() }
    }

    /// Reads the log until a line contains `part`; all lines up to there.
    #[track_caller]
    pub(crate) fn expect_log(&self, part: &str) -> Vec<String> {
        let mut log = self.log();
        log.expect(part);
        log.seen
    }

    /// Opens a session in the deployment; the server picks the instance.
    #[track_caller]
    pub(crate) fn exec(&self, args: &[&str], pty: Option<exec_stream_request::Pty>) -> Session<'_> {
        self.instances();
        let start = self.beginning(args, pty);
        let (say, queue) = mpsc::channel(64);
        say.try_send(exec_request(exec_stream_request::Event::Start(start)))
            .expect("an empty queue");
        let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
        let hear = self
            .wait("a session", async {
                self.client.clone().start_exec_stream(self.request(stream)).await
            })
            .expect("the server takes the session")
            .into_inner();
        Session { server: self, say, hear }
    }

    /// Runs a command to its end without input.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        let mut session = self.exec(args, None);
        session.end_input();
        session.finish()
    }

    /// Whether a session gets through to the instance and back; it may be between two links.
    pub(crate) fn reaches_the_instance(&self) -> bool {
        let start = self.beginning(&["true"], None);
        let (say, queue) = mpsc::channel(2);
        for event in
            [exec_stream_request::Event::Start(start), exec_stream_request::Event::InputEof(())]
        {
            say.try_send(exec_request(event)).expect("an empty queue");
        }
        let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
        let answer = async {
            let mut hear = self
                .client
                .clone()
                .start_exec_stream(self.request(stream))
                .await
                .ok()?
                .into_inner();
            while let Some(message) = hear.message().await.ok()? {
                if let Some(exec_stream_response::Event::Exit(exit)) = message.event {
                    return (exit.code == 0).then_some(());
                }
            }
            None
        };
        let limited = async { tokio::time::timeout(Duration::from_secs(3), answer).await };
        self.runtime.block_on(limited).ok().flatten().is_some()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.id().try_into().expect("a pid is an i32")
    }

    fn beginning(
        &self,
        args: &[&str],
        pty: Option<exec_stream_request::Pty>,
    ) -> exec_stream_request::Start {
        exec_stream_request::Start {
            target: Some(exec_stream_request::start::Target::DeploymentId(self.deployment.clone())),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            pty,
        }
    }

    #[track_caller]
    fn call<I, O>(
        &self,
        message: I,
        method: impl AsyncFnOnce(
            &mut WaypointClient<Channel>,
            Request<I>,
        ) -> Result<tonic::Response<O>, Status>,
    ) -> O {
        let mut client = self.client.clone();
        let request = self.request(message);
        self.wait("an answer of the server", async { method(&mut client, request).await })
            .expect("the server does as it is told")
            .into_inner()
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let both = async { tokio::time::timeout(DEADLINE, future).await };
        self.runtime.block_on(both).unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
    }

    /// With what a CLI says of itself in every call.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("client-api-protocol", MetadataValue::from_static("1,1"));
        metadata.insert("client-version", MetadataValue::from_static("v0.11.4"));
        if !self.login.is_empty() {
            let token: MetadataValue<_> = self.login.parse().expect("a token is ASCII");
            metadata.insert("waypoint-token", token.clone());
            metadata.insert("authorization", token);
        }
        request
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::kill_tree(self.pid());
        super::seen_within(DEADLINE, || self.process.try_wait().ok().flatten());
    }
}

impl Log<'_> {
    /// Reads on until a line contains `part`; it may have been read already.
    #[track_caller]
    pub(crate) fn expect(&mut self, part: &str) {
        while !self.seen.iter().any(|line| line.contains(part)) {
            let what = format!("{part:?} in the log");
            let batch = self.server.wait(&what, self.stream.message());
            let batch =
                batch.unwrap_or_else(|error| panic!("the log ended before {what}: {error}"));
            let Some(batch) = batch else {
                panic!("the log ended before {what}; there was {:?}", self.seen)
            };
            self.seen.extend(batch.lines.into_iter().map(|entry| entry.line.trim_end().to_owned()));
        }
    }
}

impl Session<'_> {
    pub(crate) fn input(&self, data: &[u8]) {
        for piece in data.chunks(16 * 1024) {
            let input = exec_stream_request::Input { data: piece.to_vec() };
            self.tell(exec_stream_request::Event::Input(input));
        }
    }

    pub(crate) fn end_input(&self) {
        self.tell(exec_stream_request::Event::InputEof(()));
    }

    pub(crate) fn resize(&self, rows: i32, cols: i32) {
        self.tell(exec_stream_request::Event::Winch(size(rows, cols)));
    }

    /// Reads until its stdout has said `part`; what came up to there.
    #[track_caller]
    pub(crate) fn expect(&mut self, part: &str) -> String {
        let mut said = Said::default();
        while !String::from_utf8_lossy(&said.stdout).contains(part) {
            assert!(!self.next(&mut said), "the session ended without {part:?}: {said:?}");
        }
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Everything from here to its exit code.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> Said {
        let mut said = Said::default();
        while !self.next(&mut said) {}
        said
    }

    /// Takes one message; whether it was the exit.
    #[track_caller]
    fn next(&mut self, said: &mut Said) -> bool {
        let message = self.server.wait("the session's next word", self.hear.message());
        let message =
            message.expect("the session goes on").expect("an exit before the end of the stream");
        match message.event {
            Some(exec_stream_response::Event::Output(output)) => {
                let stderr = exec_stream_response::output::Channel::Stderr as i32;
                if output.channel == stderr { &mut said.stderr } else { &mut said.stdout }
                    .extend(output.data);
            }
            Some(exec_stream_response::Event::Exit(exit)) => {
                said.code = exit.code;
                return true;
            }
            Some(exec_stream_response::Event::Open(_)) | None => {}
        }
        false
    }

    #[track_caller]
    fn tell(&self, event: exec_stream_request::Event) {
        let sent = self.server.wait("room for input", self.say.send(exec_request(event)));
        sent.expect("the session takes input");
    }
}

impl Said {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).replace('\r', "")
    }
}

/// A terminal of this size.
pub(crate) fn pty(rows: i32, cols: i32) -> Option<exec_stream_request::Pty> {
    Some(exec_stream_request::Pty {
        enable: true,
        term: "xterm".into(),
        window_size: Some(size(rows, cols)),
    })
}

fn size(rows: i32, cols: i32) -> exec_stream_request::WindowSize {
    exec_stream_request::WindowSize { rows, cols, width: 0, height: 0 }
}

fn exec_request(event: exec_stream_request::Event) -> ExecStreamRequest {
    ExecStreamRequest { event: Some(event), ..Default::default() }
}

fn app() -> r#ref::Application {
    r#ref::Application { application: "app".into(), project: "project".into() }
}

async fn connect(addr: &str, certificate: Option<String>) -> WaypointClient<Channel> {
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{addr}")).expect("an address");
    if let Some(pem) = certificate {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(pem))
            .domain_name("localhost");
        endpoint = endpoint.tls_config(tls).expect("settings of TLS");
    }
    let channel = endpoint.connect_timeout(DEADLINE).connect().await.expect("the server answers");
    WaypointClient::new(channel)
}

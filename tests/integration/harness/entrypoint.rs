//! One running entrypoint, and what it is started with. Whatever is left of it goes when the handle does.
use super::server::Server;
use super::{DEADLINE, dist, process, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

pub(crate) struct Entrypoint {
    process: Child,
    stdout: Lines,
    stderr: Lines,
}

/// How it ended, with all that it and its child printed and nobody had asked for yet.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What to start: nothing of ours is in its environment but what is put there.
pub(crate) struct Setup(pub(crate) Command);

impl Entrypoint {
    /// A shell script as the child, no server.
    pub(crate) fn plain(script: &str) -> Self {
        Setup::script(script).spawn()
    }

    /// A shell script as the child, linked to a deployment of its own.
    pub(crate) fn linked(server: &Server, script: &str) -> Self {
        Setup::script(script).linked(server).spawn()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.id().try_into().expect("a pid is an i32")
    }

    /// The next line of the child's real output that is `wanted`; others before it are passed over.
    #[track_caller]
    pub(crate) fn expect_line(&mut self, wanted: &str) {
        self.stdout.find(&format!("the line {wanted:?}"), |line| (line == wanted).then_some(()));
    }

    /// What follows `prefix` in the next line of output that begins so.
    #[track_caller]
    pub(crate) fn expect_prefix(&mut self, prefix: &str) -> String {
        let what = format!("a line that begins with {prefix:?}");
        self.stdout.find(&what, |line| line.strip_prefix(prefix).map(str::to_owned))
    }

    /// The next line on stderr that contains `part`.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, part: &str) -> String {
        let what = format!("an error with {part:?}");
        self.stderr.find(&what, |line| line.contains(part).then(|| line.to_owned()))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it runs");
    }

    /// Also a real-time one, which nix has no name for.
    pub(crate) fn signal_number(&self, number: i32) {
        let order = format!("kill -{number} {}", self.pid());
        let status = Command::new("/bin/bash").args(["-c", &order]).status();
        assert!(status.expect("bash runs").success(), "signal {number} cannot be sent");
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.process.stdin.take().expect("Setup::stdin_piped")
    }

    /// The app: the one child that is not the agent.
    #[track_caller]
    pub(crate) fn child(&self) -> i32 {
        until("the child", || {
            process::children(self.pid())
                .into_iter()
                .find(|pid| !is_agent(*pid) && process::lives(*pid))
        })
    }

    pub(crate) fn running_agent(&self) -> Option<i32> {
        process::children(self.pid()).into_iter().find(|pid| is_agent(*pid) && process::lives(*pid))
    }

    #[track_caller]
    pub(crate) fn agent(&self) -> i32 {
        until("an agent", || self.running_agent())
    }

    /// Kills the agent, and comes back when its successor runs.
    #[track_caller]
    pub(crate) fn kill_agent(&self) {
        let old = self.agent();
        kill(Pid::from_raw(old), Signal::SIGKILL).expect("the agent runs");
        until("another agent", || self.running_agent().filter(|new| *new != old));
    }

    /// Waits for its end and demands this status.
    #[track_caller]
    pub(crate) fn expect_exit(self, code: i32) -> Ended {
        let ended = self.end();
        assert_eq!(ended.code, code, "its status; stderr was:\n{}", ended.stderr);
        ended
    }

    /// Waits for its end, however it ends; 128+n where a signal took it.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        drop(self.process.stdin.take());
        let status =
            until("the end of the entrypoint", || self.process.try_wait().expect("it is ours"));
        Ended { code: code(status), stdout: self.stdout.rest(), stderr: self.stderr.rest() }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("it is ours").is_some()
    }
}

impl Drop for Entrypoint {
    fn drop(&mut self) {
        if !self.has_ended() {
            process::kill_tree(self.pid());
            // Nobody else waits for it, and a killed process ends.
            let _status = self.process.try_wait();
        }
    }
}

impl Setup {
    pub(crate) fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::other(dist("waypoint-entrypoint"), argv)
    }

    /// Another program, who starts the entrypoint.
    pub(crate) fn other<S: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        argv: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(argv);
        Self::of(command)
    }

    pub(crate) fn script(script: &str) -> Self {
        Self::new(["/bin/sh", "-c", script])
    }

    /// Runs `shell`, in which `"$@"` is the entrypoint with its script: a caller with habits of its own.
    pub(crate) fn below(shell: &str, script: &str) -> Self {
        let ours = dist("waypoint-entrypoint");
        let ours = ours.to_str().expect("the project's path is UTF-8");
        Self::other("/bin/bash", ["-c", shell, "caller", ours, "/bin/sh", "-c", script])
    }

    /// Ignores no signal, whatever the one ignores who runs the tests (nohup, a CI).
    pub(crate) fn ignoring_nothing(self) -> Self {
        self.through(["/usr/bin/env", "--default-signal"])
    }

    /// The same, started by this program and its arguments.
    pub(crate) fn through<S: AsRef<OsStr>>(self, starter: impl IntoIterator<Item = S>) -> Self {
        let mut starter = starter.into_iter();
        let mut command = Command::new(starter.next().expect("a program"));
        command.args(starter).arg(self.0.get_program()).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let foreign = name.to_string_lossy().starts_with("WAYPOINT_") || name == "PORT";
            if foreign && !command.get_envs().any(|(known, _)| known == name) {
                command.env_remove(name);
            }
        }
        Self(command)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn only_env(mut self) -> Self {
        self.0.env_clear();
        self
    }

    pub(crate) fn stdin_piped(mut self) -> Self {
        self.0.stdin(Stdio::piped());
        self
    }

    /// With the four variables that a deploy plugin injects.
    pub(crate) fn linked(self, server: &Server) -> Self {
        let setup = self
            .env("WAYPOINT_SERVER_ADDR", &server.addr)
            .env("WAYPOINT_DEPLOYMENT_ID", &server.deployment)
            .env("WAYPOINT_CEB_INVITE_TOKEN", &server.invite);
        if !server.tls {
            return setup;
        }
        setup.env("WAYPOINT_SERVER_TLS", "1").env("WAYPOINT_SERVER_TLS_SKIP_VERIFY", "1")
    }

    #[track_caller]
    pub(crate) fn spawn(mut self) -> Entrypoint {
        let mut process = self.0.spawn().expect("the entrypoint starts");
        let stdout = process.stdout.take().map_or_else(Lines::none, Lines::of);
        let stderr = process.stderr.take().map_or_else(Lines::none, Lines::of);
        Entrypoint { process, stdout, stderr }
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        self.spawn().end()
    }
}

/// Lines as a thread reads them; the last one may lack its newline.
pub(crate) struct Lines {
    coming: Receiver<String>,
    /// For the message of a test that fails.
    passed: Vec<String>,
}

impl Lines {
    pub(crate) fn none() -> Self {
        Self { coming: channel().1, passed: Vec::new() }
    }

    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // An error is an end (EIO of a terminal); so is a test that has gone.
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line);
                if sender.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { coming, passed: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn find<T>(&mut self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.coming.recv_timeout(left) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return found;
                    }
                    self.passed.push(line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("not within {DEADLINE:?}: {what}; there was {:?}", self.passed)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without {what}; there was {:?}", self.passed)
                }
            }
        }
    }

    /// Everything to the end of the stream.
    #[track_caller]
    fn rest(&mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut all = String::new();
        loop {
            match self.coming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => all += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => return all,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("somebody still holds its output; there was {all}")
                }
            }
        }
    }
}

fn is_agent(pid: i32) -> bool {
    process::name(pid) == "waypoint-agent"
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).expect("it ended")
}

//! PID 1 of containers FROM scratch: `make docker`. There is no network and no registry.
use crate::harness::{DEADLINE, Server, dist, installed, skip, until};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const IMAGE: &str = "waypoint-entrypoint-test";
/// As little as a cautious operator grants.
const CONFINED: [&str; 9] = [
    "--user=1000:1000",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=16",
    "--memory=32m",
    "--network=none",
    "--env=HOME=/",
    "--workdir=/",
];

macro_rules! docker_or_skip {
    () => {
        if !installed("docker") || !docker(&["info"]).status.success() {
            skip!("no docker daemon answers (make docker starts one)");
        }
        image();
    };
}

#[test]
fn from_scratch_it_is_pid_one() {
    docker_or_skip!();
    let said = run(&["--network=none"], "echo $PPID; readlink /proc/1/exe; exit 7");
    assert_eq!(
        (said.stdout.as_str(), said.code),
        ("1\n/waypoint-entrypoint\n", 7),
        "{}",
        said.stderr
    );
}

#[test]
fn with_next_to_no_rights_it_runs_all_the_same() {
    docker_or_skip!();
    let said = run(&CONFINED, "id -u; (sleep 0.1 & ); exit 42");
    assert_eq!((said.stdout.as_str(), said.code), ("1000\n", 42), "{}", said.stderr);
}

#[test]
fn each_of_the_confinements_alone_is_bearable() {
    docker_or_skip!();
    for one in &CONFINED[..6] {
        let said = run(&["--network=none", one], "exit 9");
        assert_eq!(said.code, 9, "{one}: {}", said.stderr);
    }
}

#[test]
fn what_is_not_there_is_127_and_what_is_no_program_126() {
    docker_or_skip!();
    for (command, code) in [("/no/such/program", 127), ("/etc/hosts", 126)] {
        let said = said(docker(&["run", "--rm", "--network=none", IMAGE, command]));
        assert_eq!(said.code, code, "{command}: {}", said.stderr);
        assert!(said.stderr.contains(command), "not named: {}", said.stderr);
    }
}

#[test]
fn docker_stop_ends_a_default_program_with_143_and_without_the_kill() {
    docker_or_skip!();
    let container = Container::start(&["--network=none"], "echo ready; exec sleep 1000");
    container.expect_log("ready");
    // Far below the ten seconds after which docker would kill, which would make it 137.
    assert!(docker(&["stop", &container.name]).status.success());
    assert_eq!(container.exit_code(), 143);
}

#[test]
fn orphans_leave_no_zombies() {
    docker_or_skip!();
    let script = "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0.1 & ); done; echo ready; exec sleep 1000";
    let container = Container::start(&CONFINED, script);
    container.expect_log("ready");
    until("nobody but init and the app", || {
        let processes =
            said(docker(&["exec", &container.name, "/bin/sh", "-c", "ls -d /proc/[0-9]*"])).stdout;
        // Those two, and the shell and ls that look.
        (processes.lines().count() <= 4).then_some(())
    });
}

#[test]
fn linked_from_a_container_to_logs_and_exec() {
    docker_or_skip!();
    let server = Server::start();
    server.set(&[("GREETING", "hello")]);
    let variables = [
        format!("--env=WAYPOINT_SERVER_ADDR={}", server.addr),
        format!("--env=WAYPOINT_DEPLOYMENT_ID={}", server.deployment),
        format!("--env=WAYPOINT_CEB_INVITE_TOKEN={}", server.invite),
    ];
    let mut options: Vec<_> = variables.iter().map(String::as_str).collect();
    options.extend(CONFINED.iter().filter(|option| !option.starts_with("--network")));
    options.push("--network=host");
    let container = Container::start(&options, "echo greeting: $GREETING; exec sleep 1000");
    container.expect_log("greeting: hello");
    server.expect_log("greeting: hello");
    let said = server.run(&["/bin/sh", "-c", "readlink /proc/1/exe; id -u; exit 3"]);
    assert_eq!((said.text().as_str(), said.code), ("/waypoint-entrypoint\n1000\n", 3), "{said:?}");
    assert!(docker(&["stop", &container.name]).status.success());
    assert_eq!(container.exit_code(), 143);
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A running container; removed with the handle.
struct Container {
    name: String,
}

impl Container {
    #[track_caller]
    fn start(options: &[&str], script: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{IMAGE}-{}-{number}", std::process::id());
        let begin = ["run", "--detach", "--name", &name];
        let container = Self { name: name.clone() };
        let made = said(docker(&[&begin, options, &[IMAGE, "/bin/sh", "-c", script]].concat()));
        assert_eq!(made.code, 0, "{}", made.stderr);
        container
    }

    #[track_caller]
    fn expect_log(&self, line: &str) {
        until(&format!("{line:?} in the container's output"), || {
            let log = said(docker(&["logs", &self.name]));
            log.stdout.lines().any(|one| one == line).then_some(())
        });
    }

    fn exit_code(&self) -> i32 {
        let shown = said(docker(&["inspect", "--format", "{{.State.ExitCode}}", &self.name]));
        shown.stdout.trim().parse().expect("a number")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", &self.name]);
    }
}

#[track_caller]
fn run(options: &[&str], script: &str) -> Said {
    said(docker(&[&["run", "--rm"], options, &[IMAGE, "/bin/sh", "-c", script]].concat()))
}

/// Builds the image once in this process, from the programs and Dockerfile.test.
fn image() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let context = tempfile::tempdir().expect("a directory");
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|path| std::fs::exists(path).is_ok_and(|is| is));
        let busybox = busybox.expect("busybox-static is installed (tools/install.sh)");
        for (from, to) in
            [(dist("waypoint-entrypoint"), "waypoint-entrypoint"), (busybox.into(), "busybox")]
        {
            std::fs::copy(from, context.path().join(to)).expect("a copy");
        }
        let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile.test");
        let context = context.path().to_str().expect("UTF-8");
        let built =
            said(docker(&["build", "--quiet", "--tag", IMAGE, "--file", dockerfile, context]));
        assert_eq!(built.code, 0, "docker build: {}", built.stderr);
    });
}

fn docker(arguments: &[&str]) -> Output {
    let limit = DEADLINE.as_secs().to_string();
    Command::new("timeout")
        .arg(limit)
        .arg("docker")
        .args(arguments)
        .output()
        .expect("timeout of coreutils runs")
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        code: output.status.code().expect("docker is not killed"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

//! Below a terminal: `script` of util-linux, part of every Debian, is the one who holds it.
use crate::harness::{Server, Setup, dist};

#[test]
fn the_child_is_in_the_foreground_of_the_terminal_we_were_given() {
    // 1 and 2 are `script`'s terminal, and the group of the child is the one in front.
    let said = below_a_terminal(|setup| setup, "tty; ps -o stat= -p $$; exit 3");
    assert!(said.stdout.contains("/dev/pts/"), "{said:?}");
    assert!(said.stdout.lines().any(|line| line.contains('+')), "not in the foreground: {said:?}");
}

#[test]
fn a_linked_child_has_a_terminal_of_the_same_size() {
    let server = Server::start();
    let script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo all three; exit 3";
    let said = below_a_terminal(|setup| setup.linked(&server), script);
    assert!(said.stdout.contains("37 111"), "{said:?}");
    assert!(said.stdout.contains("all three"), "{said:?}");
}

/// Under `script`, in 37 rows of 111 columns; the script's exit code must be 3.
#[track_caller]
fn below_a_terminal(
    link: impl FnOnce(Setup) -> Setup,
    script: &str,
) -> crate::harness::entrypoint::Ended {
    let command = format!(
        "stty rows 37 cols 111; exec '{}' /bin/sh -c '{script}'",
        dist("waypoint-entrypoint").display()
    );
    link(Setup::other("script", ["-q", "-e", "-c", &command, "/dev/null"])).spawn().expect_exit(3)
}

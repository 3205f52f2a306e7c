//! Below a terminal: `script` of util-linux, part of every Debian, is the one who holds it.
use crate::harness::{Setup, dist};

#[test]
fn the_child_is_in_the_foreground_of_the_terminal_we_were_given() {
    // 1 and 2 are `script`'s terminal, and the group of the child is the one in front.
    let said = below_a_terminal("tty; ps -o stat= -p $$; exit 3");
    assert!(said.stdout.contains("/dev/pts/"), "{said:?}");
    assert!(said.stdout.lines().any(|line| line.contains('+')), "not in the foreground: {said:?}");
}

/// Under `script`, in 37 rows of 111 columns; the script's exit code must be 3.
#[track_caller]
fn below_a_terminal(script: &str) -> crate::harness::entrypoint::Ended {
    let command = format!(
        "stty rows 37 cols 111; exec '{}' /bin/sh -c '{script}'",
        dist("waypoint-entrypoint").display()
    );
    Setup::other("script", ["-q", "-e", "-c", &command, "/dev/null"]).spawn().expect_exit(3)
}

//! Which file a command means, and with which environment it runs.
use crate::seam::block::{Env, name};
use crate::sys::{Errno, Exit};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// Where a program is looked for when there is no PATH. Source: execvp(3), _CS_PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The files to try, in order: the program itself if it has a slash, else one for each part of
/// PATH, of which an empty one is the current directory. Source: execvp(3).
pub(crate) fn candidates(program: &CStr, env: &[&CStr]) -> Vec<CString> {
    let bytes = program.to_bytes();
    if bytes.contains(&b'/') || bytes.is_empty() {
        return vec![program.to_owned()];
    }
    let path = env.iter().find_map(|it| it.to_bytes().strip_prefix(b"PATH="));
    let parts = path.unwrap_or(DEFAULT_PATH).split(|it| *it == b':');
    let full = |part: &[u8]| {
        let directory = if part.is_empty() { b"." } else { part };
        CString::new([directory, b"/", bytes].concat()).ok()
    };
    parts.filter_map(full).collect()
}

/// The environment of a program: what we were started with, then what replaces or joins it, the
/// later the stronger. The order of the first stays, and what it has twice it keeps twice.
pub(crate) fn environment<'a>(base: &'a [CString], layers: &[Env<'a>]) -> Vec<&'a CStr> {
    let mut replaced = BTreeSet::new();
    let mut added: Vec<&CStr> = Vec::new();
    for layer in layers.iter().rev() {
        added.extend(
            layer.iter().filter(|it| name(it.to_bytes()).is_some_and(|it| replaced.insert(it))),
        );
    }
    let kept = |it: &&CStr| name(it.to_bytes()).is_none_or(|it| !replaced.contains(it));
    base.iter().map(CString::as_c_str).filter(kept).chain(added).collect()
}

/// Whether a program would run with the same environment below either layer: then nothing has
/// changed for it, although the layers differ (a variable is set to what it was anyway).
pub(crate) fn same(base: &[CString], one: Env<'_>, other: Env<'_>) -> bool {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    fn name_of<'a>(entry: Option<&&'a CStr>) -> Option<&'a [u8]> {
        name(entry?.to_bytes())
    }
    loop {
        // Both are sorted by name: the smaller name stands in one of them alone.
        let alone = match (name_of(one.peek()), name_of(other.peek())) {
            (None, None) => return true,
            (Some(left), Some(right)) if left == right => {
                if one.next() != other.next() {
                    return false;
                }
                continue;
            }
            (Some(left), Some(right)) if right < left => other.next(),
            (None, Some(_)) => other.next(),
            (Some(_), _) => one.next(),
        };
        let in_base = |entry: &CStr| {
            let mut known = base.iter().filter(|it| name(it.to_bytes()) == name(entry.to_bytes()));
            known.next().is_some_and(|it| it.as_c_str() == entry) && known.next().is_none()
        };
        if !alone.is_some_and(in_base) {
            return false;
        }
    }
}

/// What is to be said when no candidate could be run: a file that is there and may not be run
/// tells more than one that is not there.
#[derive(Debug, Default)]
pub(crate) struct Failure(Option<Errno>);

impl Failure {
    /// Notes one candidate's error; `true`: the next may be tried.
    pub(crate) fn note(&mut self, errno: Errno) -> bool {
        let tells_more = self.0.is_none_or(Errno::is_not_found);
        if tells_more {
            self.0 = Some(errno);
        }
        errno.is_not_found() || errno == Errno::ACCESS
    }

    pub(crate) fn errno(&self) -> Errno {
        self.0.unwrap_or(Errno::NOT_FOUND)
    }

    pub(crate) fn exit(&self) -> Exit {
        if self.errno().is_not_found() { Exit::NOT_FOUND } else { Exit::NOT_EXECUTABLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::block::write_env;

    #[test]
    fn a_program_is_looked_for_where_a_shell_would() {
        let found = |program, env: &[&CStr]| candidates(program, env);
        assert_eq!(found(c"./app", &[c"PATH=/bin"]), [c"./app".to_owned()]);
        assert_eq!(
            found(c"app", &[c"PATH=/bin::/x"]),
            [c"/bin/app", c"./app", c"/x/app"].map(CStr::to_owned)
        );
        assert!(found(c"app", &[]).contains(&c"/bin/app".to_owned()));
    }

    #[test]
    fn the_later_layer_is_stronger_and_the_base_keeps_its_order() {
        let pairs = |it: &[(&str, &str)]| {
            write_env(it.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        };
        let (server, own) = (pairs(&[("A", "2"), ("N", "1")]), pairs(&[("A", "3"), ("TERM", "x")]));
        let layers = [Env::parse(&server).expect("valid"), Env::parse(&own).expect("valid")];
        let base = [c"Z=1", c"A=1", c"Z=2", c"odd", c"A=0"].map(CStr::to_owned);
        let merged = environment(&base, &layers);
        assert_eq!(merged, [c"Z=1", c"Z=2", c"odd", c"A=3", c"TERM=x", c"N=1"]);
        assert_eq!(environment(&base, &[]).len(), base.len());
    }

    #[test]
    fn what_is_set_to_what_it_was_anyway_is_no_change() {
        let base = [c"A=1", c"B=2", c"D=1", c"D=2"].map(CStr::to_owned);
        for (one, other, expected) in [
            (&b""[..], &b""[..], true),
            (b"A=1\0", b"", true),
            (b"", b"A=1\0B=2\0", true),
            (b"A=1\0N=1\0", b"B=2\0N=1\0", true),
            (b"A=0\0", b"A=0\0", true),
            (b"A=0\0", b"", false),
            (b"A=0\0", b"A=1\0", false),
            (b"N=1\0", b"", false),
            (b"", b"D=1\0", false),
        ] {
            let parsed = [one, other].map(|it| Env::parse(it).expect("valid"));
            assert_eq!(same(&base, parsed[0], parsed[1]), expected, "{one:?} {other:?}");
            let run = parsed.map(|it| {
                let mut all = environment(&base, &[it]);
                all.sort();
                all
            });
            assert_eq!(run[0] == run[1], expected, "as the programs would see it");
        }
    }

    #[test]
    fn the_status_says_whether_it_was_found() {
        for (errors, tried, status) in [
            (&[Errno::NOT_FOUND][..], 1, 127),
            (&[Errno::NOT_FOUND, Errno::ACCESS, Errno::NOT_FOUND], 3, 126),
            (&[Errno::EXEC_FORMAT, Errno::NOT_FOUND], 1, 126),
            (&[], 0, 127),
        ] {
            let mut failure = Failure::default();
            let mut count = 0;
            for errno in errors {
                count += 1;
                if !failure.note(*errno) {
                    break;
                }
            }
            assert_eq!((count, failure.exit().status()), (tried, status), "{errors:?}");
        }
    }
}

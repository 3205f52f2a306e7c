//! Which lines of a log were shown already, when its stream broke and the server begins again
//! with its backlog. Lines have no number, only a time: of each instance we remember the newest
//! time and how many lines had it, and pass over just these, until something newer comes.
use prost_types::Timestamp;
use std::collections::HashMap;

/// So many instances are remembered; of others some lines may be shown twice.
const MAX_INSTANCES: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Resume {
    instances: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    newest: (i64, i32),
    /// Lines with exactly that time.
    count: u32,
    /// Of these, how many the repetition has passed; `None` while nothing is repeated.
    passed: Option<u32>,
}

impl Resume {
    /// The stream begins again.
    pub(crate) fn again(&mut self) {
        for seen in self.instances.values_mut() {
            seen.passed = Some(0);
        }
    }

    /// Whether the line is to be shown.
    pub(crate) fn is_new(&mut self, instance: &str, at: Timestamp) -> bool {
        let at = (at.seconds, at.nanos);
        let Some(seen) = self.instances.get_mut(instance) else {
            if self.instances.len() < MAX_INSTANCES {
                let seen = Seen { newest: at, count: 1, passed: None };
                self.instances.insert(instance.to_owned(), seen);
            }
            return true;
        };
        match seen.passed {
            Some(_) if at < seen.newest => return false,
            Some(passed) if at == seen.newest && passed < seen.count => {
                seen.passed = Some(passed + 1);
                return false;
            }
            _ => seen.passed = None,
        }
        // A clock may be set back; what is new then has an older time, and counts from there.
        if at == seen.newest {
            seen.count = seen.count.saturating_add(1);
        } else {
            (seen.newest, seen.count) = (at, 1);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these times are shown; `|` is a break.
    fn check(times: &str, shown: &str) {
        let mut resume = Resume::default();
        let got: String = times
            .chars()
            .filter(|&it| match it.to_digit(10) {
                None => {
                    resume.again();
                    false
                }
                Some(second) => resume.is_new("i", Timestamp { seconds: second.into(), nanos: 0 }),
            })
            .collect();
        assert_eq!(got, shown, "{times}");
    }

    #[test]
    fn what_was_shown_before_a_break_is_not_shown_again() {
        check("123|123456", "123456");
        check("123|456", "123456");
        check("123|23", "123");
        check("123||1234", "1234");
        check("123|12|1234", "1234");
    }

    #[test]
    fn lines_of_one_time_are_counted() {
        check("122|122223", "122223");
        check("2|22|222", "222");
    }

    #[test]
    fn a_clock_that_is_set_back_hides_nothing_that_is_live() {
        check("5512", "5512");
        check("55|5561", "5561");
    }

    #[test]
    fn instances_do_not_hide_each_others_lines() {
        let mut resume = Resume::default();
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        assert!(resume.is_new("a", at(5)));
        resume.again();
        assert!(resume.is_new("b", at(1)));
        assert!(!resume.is_new("a", at(5)));
    }
}

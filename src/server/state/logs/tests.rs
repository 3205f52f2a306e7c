use super::*;
use proptest::prelude::*;
use std::time::UNIX_EPOCH;

fn entry(line: &str) -> Entry {
    Entry { line: line.into(), ..Default::default() }
}

fn append(logs: &mut Logs, instance: &str, lines: &[&str]) {
    let lines = lines.iter().map(|it| entry(it)).collect();
    logs.append(instance, lines, None).expect("it writes");
}

fn begun(instances: &[&str]) -> Logs {
    let mut logs = Logs::default();
    instances.iter().for_each(|it| logs.begin(it, "D").expect("free"));
    logs
}

/// All there is for a reader, one word per batch.
fn read(logs: &Logs, cursors: &mut Cursors, last: Option<usize>) -> Vec<String> {
    logs.follow(cursors, |deployment| deployment == "D", last);
    let batches = std::iter::from_fn(|| logs.next(cursors));
    let text = |it: &LogBatch| it.lines.iter().map(|it| it.line.clone()).collect::<Vec<_>>();
    batches.map(|it| format!("{}:{}", it.instance_id, text(&it).join("+"))).collect()
}

#[test]
fn a_backlog_has_exactly_the_last_lines_of_each_in_order_of_arrival() {
    let mut logs = begun(&["a", "b"]);
    append(&mut logs, "a", &["1", "2\n", "3\n\n"]);
    append(&mut logs, "B", &["4"]);
    append(&mut logs, "a", &["5"]);
    assert_eq!(read(&logs, &mut Cursors::default(), Some(2)), ["a:3\n", "b:4", "a:5"]);
    assert_eq!(read(&logs, &mut Cursors::default(), None), ["a:1+2+3\n", "b:4", "a:5"]);
    let mut none = Cursors::default();
    assert!(read(&logs, &mut none, Some(0)).is_empty());
    append(&mut logs, "a", &["6"]);
    assert_eq!(read(&logs, &mut none, Some(0)), ["a:6"]);
}

#[test]
fn a_ring_forgets_one_line_for_each_one_too_many() {
    let mut logs = begun(&["a"]);
    let lines: Vec<String> = (0..MAX_LINES + 5).map(|it| it.to_string()).collect();
    append(&mut logs, "a", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let ring = &logs.rings["a"];
    assert_eq!((ring.lines.len(), ring.first), (MAX_LINES, 5));
    let all = read(&logs, &mut Cursors::default(), None);
    assert!(all[0].starts_with("a:5+6+7"), "{}", &all[0][..20]);
    assert_eq!(all.iter().map(|it| it.split('+').count()).sum::<usize>(), MAX_LINES);
}

#[test]
fn a_reader_that_lags_is_told_how_much_passed_by() {
    let mut logs = begun(&["a"]);
    let mut cursors = Cursors::default();
    assert!(read(&logs, &mut cursors, None).is_empty());
    let lines = vec!["x"; MAX_LINES + 7];
    append(&mut logs, "a", &lines);
    let batches = read(&logs, &mut cursors, None);
    assert!(batches[0].starts_with("a:7 lines passed by unread"), "{}", batches[0]);
    assert_eq!(batches.join("+").matches('x').count(), MAX_LINES);
}

#[test]
fn bytes_are_bounded_as_lines_are_and_a_long_line_is_cut() {
    let mut logs = begun(&["a"]);
    let long = "ä".repeat(MAX_LINE);
    append(&mut logs, "a", &[long.as_str(); 200]);
    let ring = &logs.rings["a"];
    assert!(ring.bytes <= MAX_BYTES && ring.bytes > MAX_BYTES - 2 * MAX_LINE);
    assert_eq!(ring.bytes, logs.bytes);
    let line = &ring.lines[0].entry.line;
    assert!(line.ends_with(&format!("ä [{MAX_LINE} bytes more]")) && line.len() < MAX_LINE + 32);
}

#[test]
fn lines_outlive_their_instance_for_a_while_and_go_on_when_it_returns() {
    let now = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let mut logs = begun(&["a", "b"]);
    append(&mut logs, "a", &["1"]);
    logs.leave("a", now(0));
    append(&mut logs, "a", &["2"]);
    logs.leave("b", UNIX_EPOCH + GRACE);
    assert_eq!(read(&logs, &mut Cursors::default(), None), ["a:1+2"]);
    logs.begin("a", "D").expect("ours");
    logs.leave("b", now(5000));
    assert_eq!(read(&logs, &mut Cursors::default(), None), ["a:1+2"]);
    logs.leave("a", now(5000));
    let mut cursors = Cursors::default();
    assert_eq!(read(&logs, &mut cursors, Some(0)).len(), 0);
    logs.leave("b", now(6000));
    assert!(logs.bytes == 0 && logs.rings.keys().eq(["b"]));
    assert!(read(&logs, &mut cursors, None).is_empty());
    let gone = logs.append("a", vec![entry("3")], None).map_err(|it| it.code());
    assert_eq!(gone, Err(tonic::Code::NotFound));
}

#[test]
fn only_its_own_deployment_writes_and_begins() {
    let mut logs = begun(&["a"]);
    let denied = Err(tonic::Code::PermissionDenied);
    assert_eq!(logs.begin("a", "E").map_err(|it| it.code()), denied);
    let written = logs.append("a", vec![entry("1")], Some("E"));
    assert_eq!(written.map_err(|it| it.code()), denied);
    logs.append("a", vec![entry("1")], Some("d")).expect("its own");
}

proptest! {
    #[test]
    fn a_reader_gets_every_line_once_and_in_order(
        writes in prop::collection::vec((0..3_usize, 1..40_usize, any::<bool>()), 0..40)
    ) {
        let names = ["a", "b", "c"];
        let mut logs = begun(&names);
        let (mut cursors, mut got, mut number) = (Cursors::default(), Vec::new(), 0);
        for (writer, count, reads) in writes {
            let lines: Vec<String> = (number..number + count).map(|it| it.to_string()).collect();
            number += count;
            append(&mut logs, names[writer], &lines.iter().map(String::as_str).collect::<Vec<_>>());
            if reads {
                got.extend(read(&logs, &mut cursors, None));
            }
        }
        got.extend(read(&logs, &mut cursors, None));
        let got: Vec<usize> = got
            .iter()
            .flat_map(|it| it[2..].split('+').map(|it| it.parse().expect("a number")))
            .collect();
        prop_assert_eq!(got, (0..number).collect::<Vec<_>>());
    }
}

use super::*;
use proptest::prelude::*;

fn ips(text: &[&str]) -> Vec<IpAddr> {
    text.iter().map(|it| it.parse().expect("an address")).collect()
}

#[test]
fn a_cluster_s_resolv_conf_is_understood() {
    let it = resolution(
        "# made by the kubelet\n\
         search app.svc.cluster.local svc.cluster.local. cluster.local\n\
         nameserver 10.96.0.10\r\n\
         nameserver fd00::a\n\
         nameserver fe80::1%eth0\n\
         nameserver nonsense\n\
         options ndots:5 timeout:2 attempts:3 rotate edns0 unknown:9\n",
    );
    assert_eq!(it.servers, ips(&["10.96.0.10", "fd00::a"]));
    assert_eq!(it.search, ["app.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
    assert_eq!((it.ndots, it.timeout.as_secs(), it.attempts, it.rotate), (5, 2, 3, true));
}

#[test]
fn an_empty_file_asks_this_machine_and_bounds_are_kept() {
    let it = resolution("");
    assert_eq!(it.servers, ips(&["127.0.0.1"]));
    assert_eq!((it.ndots, it.timeout.as_secs(), it.attempts, it.rotate), (1, 5, 2, false));
    let it = resolution(&format!(
        "{}options ndots:99 timeout:0 attempts:200\nsearch a\nsearch b .",
        "nameserver 1.1.1.1\n".repeat(9)
    ));
    assert_eq!(it.servers.len(), MAX_SERVERS);
    assert_eq!((it.ndots, it.timeout.as_secs(), it.attempts), (15, 1, 5));
    assert_eq!(it.search, ["b"], "the last search line is the one that counts");
}

#[test]
fn names_are_searched_in_the_order_that_their_dots_ask_for() {
    let how = resolution("search one two\noptions ndots:2");
    assert_eq!(candidates("a.b", &how), ["a.b.one", "a.b.two", "a.b"]);
    assert_eq!(candidates("a.b.c", &how), ["a.b.c", "a.b.c.one", "a.b.c.two"]);
    assert_eq!(candidates("a.", &how), ["a"]);
    assert_eq!(candidates("a", &resolution("")), ["a"]);
}

#[test]
fn a_hosts_file_names_by_any_of_its_words() {
    let text = "127.0.0.1 localhost\n\
                10.0.0.1\tServer.example server # waypoint\n\
                ::1 server\n\
                10.0.0.1 server\n\
                nonsense server\n\
                #10.0.0.2 server\n";
    assert_eq!(hosts(text, "server"), ips(&["10.0.0.1", "::1"]));
    assert_eq!(hosts(text, "SERVER.example."), ips(&["10.0.0.1"]));
    assert_eq!(hosts(text, "waypoint"), ips(&[]));
    assert_eq!(hosts(text, "10.0.0.1"), ips(&[]));
}

#[test]
fn a_number_is_itself_and_localhost_is_this_machine() {
    assert_eq!(literal("10.0.0.1"), Some(ips(&["10.0.0.1"])));
    assert_eq!(literal("::1"), Some(ips(&["::1"])));
    for name in ["localhost", "LocalHost.", "app.localhost"] {
        assert_eq!(literal(name), Some(ips(&["127.0.0.1", "::1"])), "{name}");
    }
    assert_eq!(literal("localhost.example"), None);
}

#[test]
fn both_kinds_of_address_are_tried_in_turn() {
    let sorted = interleave(ips(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]));
    assert_eq!(sorted, ips(&["10.0.0.1", "::1", "10.0.0.2", "::2", "::3"]));
    assert_eq!(interleave(vec![IpAddr::V6(Ipv6Addr::LOCALHOST); 99]).len(), MAX_ADDRESSES);
}

proptest! {
    #[test]
    fn any_text_is_a_file(text in "(nameserver|search|options|ndots:|10\\.0|[ \t\n#:.a-z0-9%])*") {
        let how = resolution(&text);
        prop_assert!(!how.servers.is_empty() && how.servers.len() <= MAX_SERVERS);
        prop_assert!(candidates("a.b", &how).len() <= MAX_SEARCH + 1);
        prop_assert!(hosts(&text, "a").len() <= MAX_ADDRESSES);
    }
}

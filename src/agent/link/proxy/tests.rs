use super::*;
use proptest::prelude::*;

fn to(text: &str) -> Address {
    Address::parse(text, 9701).expect("an address")
}

fn is_direct(no_proxy: &str, host: &str) -> bool {
    choose("http://proxy:3128", no_proxy, &to(host)).expect("a proxy").is_none()
}

#[test]
fn a_proxy_s_url_says_where_it_is_and_who_we_are() {
    let request = |url: &str| {
        let proxy = choose(url, "", &to("server:9701")).ok()??;
        Some((proxy.address.to_string(), proxy.tls, proxy.request(&to("[fd00::1]:9701"))))
    };
    let head = "CONNECT [fd00::1]:9701 HTTP/1.1\r\nHost: [fd00::1]:9701\r\n";
    let plain = format!("{head}\r\n");
    let basic = format!("{head}Proxy-Authorization: Basic bWU6cEB3\r\n\r\n"); // me:p@w
    for (url, address, tls, text) in [
        ("http://proxy:3128", "proxy:3128", false, &plain),
        (" proxy:3128/ ", "proxy:3128", false, &plain),
        ("http://proxy", "proxy:80", false, &plain),
        ("HTTPS://proxy", "proxy:443", true, &plain),
        ("http://me:p%40w@[::1]:1/x", "[::1]:1", false, &basic),
    ] {
        assert_eq!(request(url), Some((address.into(), tls, text.clone())), "{url}");
    }
    for url in ["socks5://proxy:1080", "http://", "http://a:b:c", "http://me:%ff@proxy"] {
        assert!(choose(url, "", &to("server")).is_err(), "{url}");
    }
    assert_eq!(request(""), None);
}

#[test]
fn who_is_exempt_is_reached_straight() {
    for (no_proxy, host, direct) in [
        ("", "server", false),
        ("*", "server", true),
        ("other, server ", "server", true),
        ("SERVER", "server", true),
        ("example.org", "example.org", true),
        ("example.org", "a.example.org", true),
        ("example.org", "badexample.org", false),
        (".example.org", "a.example.org", true),
        (".example.org", "example.org", false),
        ("*.example.org", "a.example.org", true),
        ("*.example.org", "example.org", false),
        ("example.org:9701", "example.org:9701", true),
        ("example.org:80", "example.org:9701", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.11", false),
        ("10.0.0.1:80", "10.0.0.1:9701", false),
        ("10.0.0.0/8", "10.9.9.9", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "server", false),
        ("0.0.0.0/0", "11.0.0.1", true),
        ("10.0.0.0/33", "10.0.0.0", false),
        ("fd00::/8", "[fd12::1]:1", true),
        ("fd00::/8", "10.0.0.1", false),
        ("::1", "[fd12::1]:1", false),
        ("/8", "10.0.0.1", false),
        (",,", "server", false),
        // This machine needs no exemption.
        ("", "localhost", true),
        ("", "127.0.0.2", true),
        ("", "[::1]:1", true),
    ] {
        assert_eq!(is_direct(no_proxy, host), direct, "{no_proxy:?} for {host}");
    }
}

#[test]
fn only_a_whole_head_with_a_2xx_opens_the_tunnel() {
    for (bytes, expected) in [
        ("", Reply::Incomplete),
        ("HTTP/1.1 200 OK\r\n", Reply::Incomplete),
        ("HTTP/1.1 200 OK\r\nVia: x\r\n\r\n", Reply::Open),
        ("HTTP/1.0 200\r\n\r\n", Reply::Open),
        ("HTTP/1.1 407 Who\r\n\r\n", Reply::Refused("HTTP/1.1 407 Who".into())),
        ("HTTP/1.1 2000 OK\r\n\r\n", Reply::Refused("HTTP/1.1 2000 OK".into())),
        ("SSH-2.0\r\n\r\n", Reply::Refused("SSH-2.0".into())),
    ] {
        assert_eq!(reply(bytes.as_bytes()), expected, "{bytes:?}");
    }
    assert!(matches!(reply(&[b'x'; MAX_REPLY]), Reply::Refused(_)));
}

proptest! {
    #[test]
    fn any_text_is_harmless(proxy in ".{0,60}", no_proxy in "[a-z0-9.:/,*\\[\\] -]{0,60}", bytes: Vec<u8>) {
        let _ = choose(&proxy, &no_proxy, &to("server"));
        is_direct(&no_proxy, "10.0.0.1");
        reply(&bytes);
    }
}

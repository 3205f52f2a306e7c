//! `host:port`, and where a connection goes to.
use std::net::{IpAddr, Ipv6Addr};

/// Where a real server listens for gRPC. Source: protocol.md 3.1.
pub(super) const DEFAULT_PORT: u16 = 9701;

/// A host, by name or number, and a port. An IPv6 host is without its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare v6; `None` for anything else.
    pub(super) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => default_port,
        };
        let allowed = |it: u8| it.is_ascii_graphic() && !b"/@?#[]\\\"".contains(&it);
        let valid = !host.is_empty() && host.len() <= 255 && host.bytes().all(allowed) && port != 0;
        valid.then(|| Self { host: host.into(), port })
    }

    /// Of a gRPC target: `dns:///host:port` is host and port, as Go's library has it.
    pub(super) fn parse_server(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = ["dns:///", "passthrough:///"].iter().find_map(|it| text.strip_prefix(it));
        Self::parse(bare.unwrap_or(text), DEFAULT_PORT)
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_has_a_host_and_a_port_or_is_none() {
        for (text, expected) in [
            ("server:9701", Some("server:9701")),
            ("server", Some("server:9701")),
            (" 10.0.0.1:80 ", Some("10.0.0.1:80")),
            ("[::1]:80", Some("[::1]:80")),
            ("[::1]", Some("[::1]:9701")),
            ("::1", Some("[::1]:9701")),
            ("dns:///server:1", Some("server:1")),
            ("passthrough:///server:1", Some("server:1")),
            ("", None),
            (":80", None),
            ("server:", None),
            ("server:0", None),
            ("server:65536", None),
            ("server:+80", None),
            ("a:b:80", None),
            ("[server]:80", None),
            ("http://server", None),
            ("me@server:80", None),
            ("ser ver:80", None),
        ] {
            let parsed = Address::parse_server(text).map(|it| it.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_an_address_is_read_back_as_it_is_written(text in "[a-z0-9:.\\[\\]/-]{0,40}") {
            if let Some(address) = Address::parse(&text, 1) {
                prop_assert_eq!(Address::parse(&address.to_string(), 2), Some(address));
            }
        }
    }
}

//! `HTTPS_PROXY` and `NO_PROXY`: whether a connection goes through a proxy, and what is said to it.
//! Source: RFC 9110 9.3.6 (CONNECT); the variables have no standard, the rules are Go's
//! (golang.org/x/net/http/httpproxy), which the original follows.
use super::address::Address;
use super::basic;
use std::net::IpAddr;

/// A proxy's answer to CONNECT is shorter.
pub(super) const MAX_REPLY: usize = 8 * 1024;

/// Where the proxy is, and how it lets us in. No Debug: there may be a password in it.
#[derive(Clone, PartialEq)]
pub(super) struct Proxy {
    pub(super) address: Address,
    pub(super) tls: bool,
    authorization: Option<String>,
}

/// What has been read of the reply so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Incomplete,
    /// The tunnel begins after the last of these bytes.
    Open,
    /// The status line, or what came in its place.
    Refused(String),
}

/// The proxy for `to`; `None` for straight.
///
/// # Errors
/// `HTTPS_PROXY` is no URL of a proxy. It is not quoted: there may be a password in it.
pub(super) fn choose(
    https_proxy: &str,
    no_proxy: &str,
    to: &Address,
) -> Result<Option<Proxy>, &'static str> {
    let https_proxy = https_proxy.trim();
    if https_proxy.is_empty() || is_local(to) || no_proxy.split(',').any(|it| exempts(it, to)) {
        return Ok(None);
    }
    parse(https_proxy).map(Some).ok_or("HTTPS_PROXY is no http:// or https:// URL of a proxy")
}

impl Proxy {
    pub(super) fn request(&self, to: &Address) -> String {
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request + "\r\n"
    }
}

/// Reads the head of the reply; any 2xx opens the tunnel.
pub(super) fn reply(bytes: &[u8]) -> Reply {
    if !bytes.ends_with(b"\r\n\r\n") {
        return if bytes.len() < MAX_REPLY {
            Reply::Incomplete
        } else {
            Reply::Refused("an answer without an end".into())
        };
    }
    let line = bytes.split(|&it| it == b'\r').next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(line).chars().take(120).collect();
    let status = text.strip_prefix("HTTP/1.").and_then(|it| it.split(' ').nth(1));
    match status.map(|it| it.len() == 3 && it.starts_with('2')) {
        Some(true) => Reply::Open,
        _ => Reply::Refused(text),
    }
}

fn parse(url: &str) -> Option<Proxy> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    let authorization = match login {
        Some(login) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            let (user, password) = (basic::percent_decode(user)?, basic::percent_decode(password)?);
            Some(basic::authorization(&user, &password))
        }
        None => None,
    };
    Some(Proxy { address: Address::parse(host, port)?, tls, authorization })
}

/// This machine is never reached through a proxy.
fn is_local(to: &Address) -> bool {
    to.host.eq_ignore_ascii_case("localhost") || to.ip().is_some_and(|it| it.is_loopback())
}

/// Whether one entry of `NO_PROXY` (`*`, an address, a network, a domain; perhaps a port) is `to`.
fn exempts(entry: &str, to: &Address) -> bool {
    let entry = entry.trim().to_ascii_lowercase();
    if entry.is_empty() {
        return false;
    }
    if entry == "*" {
        return true;
    }
    if let (Some((network, bits)), Some(ip)) = (entry.split_once('/'), to.ip()) {
        return bits.parse().is_ok_and(|bits| contains(network, bits, ip));
    }
    let (name, port) = match Address::parse(entry.trim_start_matches("*."), u16::MAX) {
        Some(Address { host, port }) if entry.ends_with(&format!(":{port}")) => (host, Some(port)),
        Some(Address { host, .. }) => (host, None),
        None => return false,
    };
    if port.is_some_and(|it| it != to.port) {
        return false;
    }
    if let (Ok(name), Some(ip)) = (name.parse::<IpAddr>(), to.ip()) {
        return name == ip;
    }
    let host = to.host.to_ascii_lowercase();
    let host = host.trim_end_matches('.');
    let domain = name.trim_start_matches('.');
    // `.example.org` and `*.example.org` are the names below it, `example.org` is that one too.
    let below_only = entry.starts_with('.') || entry.starts_with("*.");
    match host.strip_suffix(domain) {
        Some("") => !below_only,
        Some(rest) => rest.ends_with('.'),
        None => false,
    }
}

fn contains(network: &str, bits: u32, ip: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        bits <= width && (bits == 0 || a >> (width - bits) == b >> (width - bits))
    };
    match (network.parse(), ip) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(ip)) => {
            same(u32::from(net).into(), u32::from(ip).into(), 32)
        }
        (Ok(IpAddr::V6(net)), IpAddr::V6(ip)) => same(net.into(), ip.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests;

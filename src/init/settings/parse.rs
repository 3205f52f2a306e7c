//! Values from text.
use std::time::Duration;

/// Waypoint's rule: empty is false; else one of six words in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "" | "0" | "f" | "false" => Some(false),
        "1" | "t" | "true" => Some(true),
        _ => None,
    }
}

/// Numbers with units, as Go writes them: `500ms`, `5s`, `1m30s`, `2h`. A day at most.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest == "0" {
        return Some(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let number: u32 = number.parse().ok()?;
        let units = [
            ("ms", Duration::from_millis(1)),
            ("s", Duration::from_secs(1)),
            ("m", Duration::from_secs(60)),
            ("h", Duration::from_secs(3600)),
        ];
        let (unit, length) =
            units.iter().find_map(|(name, unit)| Some((*unit, tail.strip_prefix(name)?)))?;
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = length;
    }
    (!text.is_empty() && total <= Duration::from_secs(86_400)).then_some(total)
}

/// `host:port`, `[v6]:port`, or a host alone (then the server's own port, 9701). A `dns:///`
/// before it, which Go's targets may have, is dropped.
pub(super) fn server_address(text: &str) -> Result<String, &'static str> {
    const DEFAULT_PORT: u16 = 9701;
    let text = text.strip_prefix("dns:///").unwrap_or(text);
    if text.contains("://") {
        return Err("a host:port is wanted, not a URL");
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        Some(_) if text.starts_with('[') => (text, None),
        Some(_) => return Err("an IPv6 address needs brackets, as in [::1]:9701"),
        None => (text, None),
    };
    let port = match port {
        Some(port) => {
            port.parse().ok().filter(|it| *it > 0).ok_or("its port is no number from 1 to 65535")?
        }
        None => DEFAULT_PORT,
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let valid = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let part = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
            !host.is_empty() && host.len() <= 253 && host.chars().all(part)
        }
    };
    if valid { Ok(format!("{host}:{port}")) } else { Err("its host is no name and no address") }
}

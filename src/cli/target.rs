//! Which server, how, with which token: the context, over it the environment, over it the flags.
use super::args::truth;
use super::context::{Context, Server};

pub(crate) const DEFAULT_PORT: u16 = 9701;
/// A host name has at most 253 characters. Source: RFC 1035, 2.3.4, as text.
const MAX_HOST: usize = 253;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) tls: Tls,
    pub(crate) token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    Off,
    Verify,
    SkipVerify,
}

/// A host without brackets, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What a scheme said of TLS.
    pub(crate) tls: Option<bool>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The connection flags that were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags<'a> {
    pub(crate) address: Option<&'a str>,
    pub(crate) tls: Option<bool>,
    pub(crate) skip_verify: Option<bool>,
}

/// Puts the three together. `variable` reads the environment.
///
/// # Errors
/// Names the variable, the flag or the context setting that is wrong, or says that nothing names
/// a server.
pub(crate) fn resolve(
    flags: &Flags<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
    context: Option<&Context>,
) -> Result<Target, String> {
    let of_context = context.map(|it| &it.server).filter(|it| !it.address.is_empty());
    let variable = |name: &str| variable(name).filter(|it| !it.is_empty());
    let of_environment = variable("WAYPOINT_SERVER_ADDR");
    let boolean = |name: &str| match variable(name) {
        None => Ok(false),
        Some(text) => truth(&text).ok_or_else(|| format!("{name}: {text:?} is not true or false")),
    };
    let (text, tls, skip) = if let Some(address) = flags.address {
        (address.to_owned(), true, false)
    } else if let Some(address) = &of_environment {
        let skip = boolean("WAYPOINT_SERVER_TLS_SKIP_VERIFY")?;
        (address.clone(), boolean("WAYPOINT_SERVER_TLS")?, skip)
    } else if let Some(Server { address, tls, tls_skip_verify, .. }) = of_context {
        (address.clone(), *tls, *tls_skip_verify)
    } else {
        return Err("no server is configured: use -server-addr, WAYPOINT_SERVER_ADDR, \
                    or `waypoint context create`"
            .into());
    };
    let address = parse_address(&text)?;
    let tls = flags.tls.unwrap_or_else(|| address.tls.unwrap_or(tls));
    let tls = match (tls, flags.skip_verify.unwrap_or(skip)) {
        (false, _) => Tls::Off,
        (true, false) => Tls::Verify,
        (true, true) => Tls::SkipVerify,
    };
    // A stored token is for the server it was stored with, and shown to no other.
    let stored = of_context
        .filter(|it| it.require_auth && !it.auth_token.is_empty())
        .filter(|it| parse_address(&it.address).is_ok_and(|it| it.same_place(&address)))
        .filter(|_| of_environment.is_none() || flags.address.is_some())
        .map(|it| it.auth_token.clone());
    let token = match variable("WAYPOINT_SERVER_TOKEN") {
        Some(guest) if guest == "-" => None,
        Some(token) => Some(token),
        None => stored,
    };
    Ok(Target { address, tls, token })
}

impl Address {
    fn same_place(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }
}

/// `HOST`, `HOST:PORT`, `[::1]:PORT`, or a URL of these with http or https; a path is not looked at.
///
/// # Errors
/// One line that quotes the address.
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    let wrong = |why: &str| format!("server address {text:?}: {why}");
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (Some(false), rest),
        Some(("https", rest)) => (Some(true), rest),
        Some(_) => return Err(wrong("the scheme is neither http nor https")),
        None => (None, text),
    };
    let rest = if tls.is_some() { rest.split('/').next().unwrap_or("") } else { rest };
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) =
            rest.split_once(']').ok_or_else(|| wrong("the bracket is not closed"))?;
        let port = after.strip_prefix(':');
        if port.is_none() && !after.is_empty() {
            return Err(wrong("something else than a port after the bracket"));
        }
        (host, port)
    } else if rest.matches(':').count() > 1 {
        (rest, None)
    } else {
        rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
    };
    let fit = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(fit) {
        return Err(wrong("that is no host"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => {
            port.parse().ok().filter(|it| *it > 0).ok_or_else(|| wrong("that is no port"))?
        }
    };
    Ok(Address { host: host.to_owned(), port, tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(address: &str, auth: bool) -> Context {
        let server = Server {
            address: address.into(),
            tls: true,
            tls_skip_verify: true,
            require_auth: auth,
            auth_token: "stored".into(),
            ..Server::default()
        };
        Context { server, ..Context::default() }
    }

    /// Address, TLS and token of what came out.
    fn check(
        flags: &Flags<'_>,
        variables: &[(&str, &str)],
        context: Option<&Context>,
        wanted: (&str, Tls, Option<&str>),
    ) {
        let target = resolve(flags, &lookup(variables), context).expect("a target");
        let got = (target.address.to_string(), target.tls, target.token);
        assert_eq!((got.0.as_str(), got.1, got.2.as_deref()), wanted);
    }

    fn lookup(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let owned: Vec<_> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        move |name| owned.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_environment_goes_over_the_context_and_flags_over_both() {
        let none = Flags::default();
        let stored = context("ctx:1", true);
        check(&none, &[], Some(&stored), ("ctx:1", Tls::SkipVerify, Some("stored")));
        let env = [("WAYPOINT_SERVER_ADDR", "env:2")];
        check(&none, &env, Some(&stored), ("env:2", Tls::Off, None));
        let env = [
            ("WAYPOINT_SERVER_ADDR", "env:2"),
            ("WAYPOINT_SERVER_TLS", "1"),
            ("WAYPOINT_SERVER_TOKEN", "t"),
        ];
        check(&none, &env, Some(&stored), ("env:2", Tls::Verify, Some("t")));
        let flags = Flags { address: Some("flag"), ..none.clone() };
        check(&flags, &env, Some(&stored), ("flag:9701", Tls::Verify, Some("t")));
        let flags = Flags { tls: Some(false), ..none };
        check(&flags, &[], Some(&stored), ("ctx:1", Tls::Off, Some("stored")));
    }

    #[test]
    fn a_stored_token_is_shown_to_the_server_it_was_stored_for_only() {
        let stored = context("ctx:1", true);
        let to = |address| Flags { address: Some(address), ..Flags::default() };
        check(&to("CTX:1"), &[], Some(&stored), ("CTX:1", Tls::Verify, Some("stored")));
        check(&to("other:1"), &[], Some(&stored), ("other:1", Tls::Verify, None));
        check(&to("http://ctx:2"), &[], Some(&stored), ("ctx:2", Tls::Off, None));
        let guest = [("WAYPOINT_SERVER_TOKEN", "-")];
        check(&Flags::default(), &guest, Some(&stored), ("ctx:1", Tls::SkipVerify, None));
        let open = context("ctx:1", false);
        check(&Flags::default(), &[], Some(&open), ("ctx:1", Tls::SkipVerify, None));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let none = Flags::default();
        let said = |variables: &[(&str, &str)]| {
            resolve(&none, &lookup(variables), None).expect_err("refused")
        };
        assert!(said(&[]).contains("-server-addr"));
        let env = [("WAYPOINT_SERVER_ADDR", "a"), ("WAYPOINT_SERVER_TLS", "yes")];
        assert!(said(&env).contains("WAYPOINT_SERVER_TLS: \"yes\""));
    }

    #[test]
    fn an_address_is_a_host_or_a_url() {
        for (text, shown, tls) in [
            ("a.example", "a.example:9701", None),
            ("a:1", "a:1", None),
            ("http://a", "a:9701", Some(false)),
            ("https://a:443/path", "a:443", Some(true)),
            ("[::1]:5", "[::1]:5", None),
            ("[::1]", "[::1]:9701", None),
            ("::1", "[::1]:9701", None),
        ] {
            let address = parse_address(text).expect(text);
            assert_eq!((address.to_string().as_str(), address.tls), (shown, tls), "{text}");
        }
        for text in ["", ":1", "a:0", "a:x", "a:65536", "a b", "ftp://a", "[::1", "[::1]x", "a/b"] {
            assert!(parse_address(text).expect_err(text).contains(&format!("{text:?}")));
        }
    }
}

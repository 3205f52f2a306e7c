//! Every command and every flag, as one table: parser, help and tests read it.
use super::Verb::*;
use std::fmt;

/// What a command does; the shell that does it is `commands/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Server,
    ServerBootstrap,
    Dev,
    Exec,
    Logs,
    ConfigSet,
    ConfigGet,
    ConfigDelete,
    InstanceList,
    DeploymentList,
    DeploymentCreate,
    ContextCreate,
    ContextList,
    ContextUse,
    ContextClear,
    ContextDelete,
    ContextRename,
    ContextSet,
    ContextInspect,
    ContextVerify,
    Login,
    TokenNew,
    TokenInvite,
    TokenExchange,
    UserToken,
    UserInvite,
    UserInspect,
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `-x` or `-x=false`
    Switch,
    /// `-x VALUE` or `-x=VALUE`
    Text,
    /// `-x KEY=VALUE`, any number of times
    Map,
}

#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

/// What follows the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    None,
    One(&'static str),
    Two(&'static str),
    Maybe(&'static str),
    Many(&'static str),
    /// A command with its arguments: nothing after its first word is ours.
    Command(&'static str),
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::One(name) | Self::Two(name) | Self::Command(name) => f.write_str(name),
            Self::Maybe(name) | Self::Many(name) => write!(f, "[{name}]"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) verb: Verb,
    /// Its words, and those of its aliases.
    pub(crate) names: &'static [&'static [&'static str]],
    pub(crate) tail: Tail,
    pub(crate) summary: &'static str,
    pub(crate) flags: &'static [&'static [Flag]],
}

impl Command {
    pub(crate) fn path(&self) -> String {
        self.names[0].join(" ")
    }

    pub(crate) fn is(&self, words: &[&str]) -> bool {
        self.names.contains(&words)
    }

    pub(crate) fn begins_with(&self, words: &[&str]) -> bool {
        !words.is_empty() && self.names.iter().any(|it| it.starts_with(words))
    }

    pub(crate) fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.all_flags().find(|it| it.name == name || (it.short == name && !name.is_empty()))
    }

    pub(crate) fn all_flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().flat_map(|it| it.iter())
    }
}

const fn flag(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Flag {
    Flag { name, short: "", kind, default, help }
}

const fn short(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { name, short, kind: Kind::Text, default: "", help }
}

const fn text(name: &'static str, help: &'static str) -> Flag {
    flag(name, Kind::Text, "", help)
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    flag(name, Kind::Switch, "false", help)
}

const PLAIN: &[Flag] = &[switch("plain", "no colours, no drawing (also WAYPOINT_PLAIN, NO_COLOR)")];
const TARGET: &[Flag] = &[
    short("app", "a", "the application"),
    short("project", "p", "the project"),
    short("workspace", "w", "the workspace (also WAYPOINT_WORKSPACE)"),
];
const CONNECTION: &[Flag] = &[
    text("server-addr", "the server, HOST[:PORT] (also WAYPOINT_SERVER_ADDR)"),
    flag("server-tls", Kind::Switch, "true", "speak TLS with -server-addr"),
    switch("server-tls-skip-verify", "accept any certificate"),
];
const OPERATION: &[Flag] = &[
    flag("label", Kind::Map, "", "accepted, has no effect here"),
    flag("local", Kind::Switch, "true", "accepted, has no effect here: no runner is needed"),
    flag("remote-source", Kind::Map, "", "accepted, has no effect here"),
    flag("var", Kind::Map, "", "accepted, has no effect here"),
    text("var-file", "accepted, has no effect here"),
];
const JSON: Flag = switch("json", "print JSON");
const DEPLOYMENT_SEQ: Flag = text("deployment-seq", "of the deployment with this number");
const USERNAME: Flag = text("username", "the user, by name");
const CONFIG_SCOPE: &[Flag] = &[
    flag("scope", Kind::Text, "project", "global, project or app"),
    text("label-scope", "only where this selector matches the deployment's labels"),
    switch("runner", "for runners, not for apps"),
];
const SERVER: &[Flag] = &[
    flag(
        "listen-grpc",
        Kind::Text,
        "127.0.0.1:9701",
        "the address to serve on; port 0 takes a free one",
    ),
    text("tls-cert-file", "the certificate chain, PEM"),
    text("tls-key-file", "its private key, PEM"),
    text("advertise-addr", "the address that entrypoints are given"),
    flag("advertise-tls", Kind::Switch, "true", "whether they shall speak TLS to it"),
    switch("advertise-tls-skip-verify", "whether they shall accept any certificate"),
    flag("listen-http", Kind::Text, "", "accepted, has no effect here: there is no HTTP interface"),
    switch("disable-ui", "accepted, has no effect here"),
    switch("accept-tos", "accepted, has no effect here"),
    switch("url-enabled", "accepted, has no effect here"),
];

const fn command(
    verb: Verb,
    names: &'static [&'static [&'static str]],
    tail: Tail,
    summary: &'static str,
    flags: &'static [&'static [Flag]],
) -> Command {
    Command { verb, names, tail, summary, flags }
}

use Tail::{Many, Maybe, None, One, Two};

/// In the order of the help.
pub(crate) static COMMANDS: &[Command] = &[
    command(
        Dev,
        &[&["dev"]],
        Tail::Command("CMD [ARG...]"),
        "run CMD below a real PID 1, linked to a server of its own",
        &[
            &[
                short("port", "p", "sets PORT for CMD; may repeat, the first counts"),
                short("app", "a", "the application's name (app)"),
                text("project", "the project's name (dev)"),
                short("workspace", "w", "the workspace's name (default)"),
                flag("listen-grpc", Kind::Text, "127.0.0.1:0", "where the server listens"),
                flag("isolate", Kind::Switch, "true", "namespaces of its own, where permitted"),
            ],
            PLAIN,
        ],
    ),
    command(
        Exec,
        &[&["exec"]],
        Tail::Command("CMD [ARG...]"),
        "run CMD beside the app, in one of its instances",
        &[
            &[text("instance", "in this instance"), DEPLOYMENT_SEQ],
            TARGET,
            PLAIN,
            CONNECTION,
            OPERATION,
        ],
    ),
    command(
        Logs,
        &[&["logs"]],
        None,
        "show what the app writes",
        &[
            &[
                Flag {
                    name: "follow",
                    short: "f",
                    kind: Kind::Switch,
                    default: "true",
                    help: "go on with what comes",
                },
                text("n", "so many older lines of each instance, or all (100)"),
                text("instance", "of this instance, by its id or the end of it"),
                DEPLOYMENT_SEQ,
                JSON,
                switch("raw", "the lines alone, byte for byte"),
            ],
            TARGET,
            PLAIN,
            CONNECTION,
            OPERATION,
        ],
    ),
    command(
        ConfigSet,
        &[&["config", "set"]],
        Many("NAME=VALUE..."),
        "set the app's variables; an empty VALUE deletes; also from a pipe, one a line",
        &[CONFIG_SCOPE, TARGET, PLAIN, CONNECTION],
    ),
    command(
        ConfigGet,
        &[&["config", "get"]],
        Maybe("PREFIX"),
        "show the app's variables",
        &[
            &[
                JSON,
                switch("raw", "NAME=VALUE lines, or the bare value of the one called PREFIX"),
                switch("runner", "those for runners"),
                flag("label", Kind::Map, "", "as a deployment with this label sees them"),
            ],
            TARGET,
            PLAIN,
            CONNECTION,
        ],
    ),
    command(
        ConfigDelete,
        &[&["config", "delete"]],
        Many("NAME..."),
        "delete variables of the app; also from a pipe, one a line",
        &[CONFIG_SCOPE, TARGET, PLAIN, CONNECTION],
    ),
    command(
        InstanceList,
        &[&["instance", "list"], &["instances"]],
        None,
        "list the app's instances",
        &[
            &[DEPLOYMENT_SEQ, JSON, text("wait", "wait so long for the first, like 30s")],
            TARGET,
            PLAIN,
            CONNECTION,
        ],
    ),
    command(
        DeploymentList,
        &[&["deployment", "list"]],
        None,
        "list the app's deployments",
        &[&[JSON], TARGET, PLAIN, CONNECTION],
    ),
    command(
        DeploymentCreate,
        &[&["deployment", "create"]],
        None,
        "make a deployment and print its id",
        &[&[flag("label", Kind::Map, "", "a label of the deployment")], TARGET, PLAIN, CONNECTION],
    ),
    command(
        ContextCreate,
        &[&["context", "create"]],
        One("NAME"),
        "store how to reach a server",
        &[&[
            text("server-addr", "the server, HOST[:PORT]"),
            text("server-auth-token", "the token"),
            flag("server-platform", Kind::Text, "n/a", "where the server runs"),
            flag("server-tls", Kind::Switch, "true", "speak TLS"),
            switch("server-tls-skip-verify", "accept any certificate"),
            switch("server-require-auth", "send the token (implied by -server-auth-token)"),
            flag("set-default", Kind::Switch, "true", "use it from now on"),
        ]],
    ),
    command(ContextList, &[&["context", "list"]], None, "list the contexts", &[PLAIN]),
    command(ContextUse, &[&["context", "use"]], One("NAME"), "use it from now on", &[]),
    command(ContextClear, &[&["context", "clear"]], None, "use none by default", &[]),
    command(
        ContextDelete,
        &[&["context", "delete"]],
        Maybe("NAME"),
        "delete a context",
        &[&[switch("all", "delete every context")]],
    ),
    command(ContextRename, &[&["context", "rename"]], Two("FROM TO"), "rename a context", &[]),
    command(
        ContextSet,
        &[&["context", "set"]],
        Maybe("NAME"),
        "change a context",
        &[&[
            short("workspace", "w", "its workspace"),
            short("project", "p", "its project"),
            short("app", "a", "its application"),
        ]],
    ),
    command(
        ContextInspect,
        &[&["context", "inspect"]],
        Maybe("NAME"),
        "show a context, or where they are kept",
        &[&[JSON]],
    ),
    command(
        ContextVerify,
        &[&["context", "verify"]],
        Maybe("NAME"),
        "try a context, its token too",
        &[CONNECTION],
    ),
    command(
        Login,
        &[&["login"]],
        Maybe("ADDRESS"),
        "store a context for a server and a token, and use it from now on",
        &[&[text("token", "a login or an invite token")], CONNECTION],
    ),
    command(TokenNew, &[&["token", "new"]], None, "print a new login token", &[CONNECTION]),
    command(
        TokenInvite,
        &[&["token", "invite"]],
        None,
        "print an invite token",
        &[
            &[
                text("deployment", "for the entrypoints of this deployment alone, by its id"),
                text("lifetime", "how long it can be exchanged (5m; 10 years with -deployment)"),
            ],
            CONNECTION,
        ],
    ),
    command(
        TokenExchange,
        &[&["token", "exchange"]],
        None,
        "print the login token that an invite token is good for",
        &[&[text("token", "the invite token")], CONNECTION],
    ),
    command(
        UserToken,
        &[&["user", "token"]],
        None,
        "print a login token for a user",
        &[
            &[
                flag("expires-in", Kind::Text, "720h", "how long it is valid"),
                USERNAME,
                switch("trigger-url-token", "for trigger URLs only"),
            ],
            CONNECTION,
        ],
    ),
    command(
        UserInvite,
        &[&["user", "invite"]],
        None,
        "print an invite token for oneself, or for a new user",
        &[
            &[
                flag("expires-in", Kind::Text, "24h", "how long it can be exchanged"),
                text("username", "the name that the new user gets"),
            ],
            CONNECTION,
        ],
    ),
    command(
        UserInspect,
        &[&["user", "inspect"]],
        None,
        "show a user",
        &[&[USERNAME], PLAIN, CONNECTION],
    ),
    command(Server, &[&["server", "run"], &["server"]], None, "run the server", &[SERVER]),
    command(
        ServerBootstrap,
        &[&["server", "bootstrap"]],
        None,
        "print a new server's first token, and store a context",
        &[
            &[
                text("context-create", "the context's name (bootstrap-TIME); empty stores none"),
                flag("context-set-default", Kind::Switch, "true", "use it from now on"),
            ],
            CONNECTION,
        ],
    ),
    command(Version, &[&["version"]], None, "print our version, and the server's", &[CONNECTION]),
];

//! The command line of `waypoint`: `args` says what is asked for, one shell of `commands/` does
//! it, `render` says how it looks. Results go to standard output, everything else to standard
//! error; the exit status is 0, 1, or what a remote command left.
mod args;
mod commands;
mod connect;
mod context;
mod desk;
mod dev;
mod escape;
mod failure;
mod project;
mod render;
mod resume;
mod target;
mod terminal;

use args::{Call, Request, Verb};
use desk::Desk;
use failure::{Failure, Outcome};
use std::process::ExitCode;

/// Runs what the arguments ask for; the program's exit status.
pub fn main() -> ExitCode {
    let mut arguments = Vec::new();
    for argument in std::env::args_os().skip(1) {
        match argument.into_string() {
            Ok(text) => arguments.push(text),
            Err(bytes) => return end(Err(Failure::new(format!("{bytes:?} is not UTF-8")))),
        }
    }
    if let Some((first, rest)) = arguments.split_first()
        && first == dev::isolate::STAGE
    {
        return end(dev::isolate::run(rest));
    }
    end(match args::parse(&arguments) {
        Ok(Request::Run(call)) => run(&call),
        Ok(Request::Help { text, wanted }) => desk::print(&text).map(|_| u8::from(!wanted)),
        Err(wrong) => Err(Failure::new(wrong)),
    })
}

fn end(outcome: Outcome) -> ExitCode {
    let status = outcome.unwrap_or_else(|failure| {
        if !failure.text.is_empty() {
            desk::tell(&format!("! {}", failure.text));
        }
        failure.status
    });
    ExitCode::from(status)
}

fn run(call: &Call) -> Outcome {
    listen_to_ourselves(call)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(perform(&Desk::new(call)?));
    // A thread may still stand in a read of standard input, and nobody can wake it.
    runtime.shutdown_background();
    outcome
}

async fn perform(desk: &Desk<'_>) -> Outcome {
    use commands::{config, context, deployment, exec, instance, login, logs, server, token, user};
    match desk.call.command.verb {
        Verb::Server => server::run(desk).await,
        Verb::ServerBootstrap => server::bootstrap(desk).await,
        Verb::Dev => dev::run(desk).await,
        Verb::Exec => exec::run(desk).await,
        Verb::Logs => logs::run(desk).await,
        Verb::ConfigSet => config::set(desk).await,
        Verb::ConfigGet => config::get(desk).await,
        Verb::ConfigDelete => config::delete(desk).await,
        Verb::InstanceList => instance::list(desk).await,
        Verb::DeploymentList => deployment::list(desk).await,
        Verb::DeploymentCreate => deployment::create(desk).await,
        Verb::ContextCreate => context::create(desk),
        Verb::ContextList => context::list(desk),
        Verb::ContextUse => context::choose(desk),
        Verb::ContextClear => context::clear(desk),
        Verb::ContextDelete => context::delete(desk),
        Verb::ContextRename => context::rename(desk),
        Verb::ContextSet => context::set(desk),
        Verb::ContextInspect => context::inspect(desk),
        Verb::ContextVerify => context::verify(desk).await,
        Verb::Login => login::run(desk).await,
        Verb::TokenNew => token::new(desk).await,
        Verb::TokenInvite => token::invite(desk).await,
        Verb::TokenExchange => token::exchange(desk).await,
        Verb::UserToken => user::token(desk).await,
        Verb::UserInvite => user::invite(desk).await,
        Verb::UserInspect => user::inspect(desk).await,
        Verb::Version => commands::version::run(desk).await,
    }
}

/// Our own log on standard error: warnings, or what `-v` and `WAYPOINT_LOG_LEVEL` ask for.
fn listen_to_ourselves(call: &Call) -> Result<(), Failure> {
    use tracing_subscriber::filter::LevelFilter;
    let quiet = match call.command.verb {
        Verb::Server => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    };
    let level = match (call.verbosity, std::env::var("WAYPOINT_LOG_LEVEL")) {
        (0, Ok(word)) if !word.trim().is_empty() => word.trim().parse().map_err(|_| {
            Failure::new(format!(
                "WAYPOINT_LOG_LEVEL: {word:?} is no level (trace, debug, info, warn, error, off)"
            ))
        })?,
        (0, _) => quiet,
        (1, _) => LevelFilter::INFO,
        (2, _) => LevelFilter::DEBUG,
        (_, _) => LevelFilter::TRACE,
    };
    let colours = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(colours && std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    Ok(())
}

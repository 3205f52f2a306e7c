//! The roof: hardens, greets init, starts the two pillars and the rooms on them, and says goodbye.
use super::first::{First, first};
use super::harden::harden;
use super::log::Log;
use super::memory::{self, Pulse};
use super::seam::{Ended, Greeting, Socket};
use super::{appconfig, exec, link, logs, seam};
use crate::sys::Exit;
use crate::sys::entry::inherited;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Where init has put our end of the seam.
const SEAM: i32 = 3;

/// The process "waypoint-agent".
pub(crate) fn main() -> Exit {
    let log = Log::install();
    if let Err(error) = harden() {
        tracing::error!("the agent ends: it cannot give up its capabilities: {error}");
        return Exit::FAILURE;
    }
    let Some(seam) = inherited(SEAM) else {
        tracing::error!("the agent ends: nobody is at the other end; init starts it");
        return Exit::FAILURE;
    };
    let pulse = Arc::new(Pulse::default());
    let beat = pulse.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(move || beat.beat())
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(live(seam, log, pulse)),
        Err(error) => {
            tracing::error!("the agent ends: no event loop: {error}");
            Exit::FAILURE
        }
    }
}

/// From the first word to init to the last; every task ends with the runtime.
async fn live(seam: OwnedFd, log: Log, pulse: Arc<Pulse>) -> Exit {
    let greeted = async {
        let socket = Socket::new(seam)?;
        let greeting = socket.greet().await?;
        Ok::<_, Ended>((socket, greeting))
    };
    let (socket, greeting) = match greeted.await {
        Ok(greeted) => greeted,
        Err(ended) => return leave(ended),
    };
    let (seam, serving) = socket.serve();
    let house = match House::start(greeting, &seam, &log) {
        Ok(house) => house,
        Err(error) => {
            tracing::error!("the agent ends: the child's output cannot be read: {error}");
            return Exit::FAILURE;
        }
    };
    let mut serving = pin!(serving);
    let mut shutdown = seam.shutdown();
    let told = async {
        match shutdown.wait_for(Option::is_some).await {
            Ok(time) => (*time).unwrap_or_default(),
            Err(_) => Duration::ZERO,
        }
    };
    let too_much = memory::watch(pulse, || house.logs.give_up());
    let time = match first(serving.as_mut(), first(told, too_much)).await {
        First::Left(ended) => return leave(ended),
        First::Right(First::Right(bytes)) => {
            tracing::error!(bytes, "the agent ends: it holds too much memory");
            return Exit::FAILURE;
        }
        First::Right(First::Left(time)) => time,
    };
    if !time.is_zero() && house.link.connection().borrow().is_some() {
        // Whoever is cut short here was told so by the deadline, which is init's.
        first(serving, timeout(time, house.goodbye())).await;
    }
    Exit::SUCCESS
}

fn leave(ended: Ended) -> Exit {
    if ended == Ended::Closed {
        return Exit::SUCCESS;
    }
    tracing::error!("the agent ends: {ended}");
    Exit::FAILURE
}

/// The pillars' handles and the rooms' tasks.
struct House {
    link: link::Handle,
    logs: logs::Logs,
    exec: JoinHandle<()>,
    /// They end with the runtime: nothing of theirs is worth waiting for.
    others: [JoinHandle<()>; 2],
}

impl House {
    fn start(greeting: Greeting, seam: &seam::Handle, log: &Log) -> std::io::Result<Self> {
        let Greeting { settings, stdout, stderr, deposit } = greeting;
        log.set_level(settings.log_level);
        tracing::debug!("greeted by init: {settings:?}");
        let disabled = settings.link.disable_exec;
        let link = link::start(settings.link);
        let logs = logs::start(stdout, stderr, seam.gaps(), link.connection())?;
        log.relay(logs.relay());
        let exec = tokio::spawn(exec::run(
            exec::Settings { disabled, ran: settings.exec_ids },
            link.config(),
            link.connection(),
            seam.clone(),
        ));
        let appconfig = tokio::spawn(appconfig::run(
            appconfig::Settings { log_level: settings.log_level, child: settings.child },
            deposit,
            link.config(),
            seam.clone(),
            log.clone(),
        ));
        let linked = tokio::spawn(linked(link.connection(), seam.clone()));
        Ok(Self { link, logs, exec, others: [appconfig, linked] })
    }

    /// The last words of the sessions and the log reach the server, and then we hang up.
    async fn goodbye(self) {
        // At the same time: a client that does not read must not cost the log its end.
        let logs = tokio::spawn(self.logs.finish());
        let _ = self.exec.await;
        let _ = logs.await;
        self.others.iter().for_each(JoinHandle::abort);
        self.link.close().await;
    }
}

/// Tells init whether there is a link.
async fn linked(mut connection: watch::Receiver<Option<link::Connection>>, seam: seam::Handle) {
    let mut said = false;
    loop {
        let is_up = connection.borrow_and_update().is_some();
        if is_up != said {
            seam.linked(is_up).await;
            said = is_up;
        }
        if connection.changed().await.is_err() {
            return;
        }
    }
}

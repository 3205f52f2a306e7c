//! What init tells the agent: facts, the newest of each, sent when there is room and never queued.
use super::registry::Registry;
use super::settings::Link;
use crate::seam::message::{Child, ExecIds, Hello, LogLevel, MAX_PACKET, Stream, ToAgent};
use crate::sys::{Errno, seqpacket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the agent has yet to be told. Sessions and refusals stand in the registry.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    pub(crate) hello: bool,
    pub(crate) child: bool,
    pub(crate) gaps: [bool; 2],
    pub(crate) shutdown: Option<u32>,
}

/// All there is to tell.
pub(crate) struct Facts<'a> {
    pub(crate) link: &'a Link,
    pub(crate) instance_id: &'a str,
    pub(crate) log_level: LogLevel,
    pub(crate) child: Child,
    pub(crate) copies: [BorrowedFd<'a>; 2],
    pub(crate) missing: [u64; 2],
    pub(crate) deposit: Option<&'a OwnedFd>,
}

/// Where it is told, and the room in which packets are made.
pub(crate) struct Teller<'a> {
    pub(crate) socket: &'a OwnedFd,
    pub(crate) buffer: &'a mut [u8; MAX_PACKET],
}

impl Teller<'_> {
    /// Tells everything that is untold, in an order that makes sense. EAGAIN: the rest when there
    /// is room again. Anything else: this agent is lost. Answers whether anything was told.
    pub(crate) fn tell(
        &mut self,
        untold: &mut Untold,
        registry: &mut Registry,
        stdio: &mut [[Option<OwnedFd>; 3]],
        facts: &Facts<'_>,
    ) -> Result<bool, Errno> {
        let mut told = false;
        if untold.hello {
            self.hello(registry, facts)?;
            (untold.hello, untold.child, told) = (false, false, true);
        }
        if untold.child {
            self.send(&ToAgent::Child(facts.child), &[])?;
            (untold.child, told) = (false, true);
        }
        told |= self.sessions(registry, stdio)?;
        for (stream, (gap, bytes)) in [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .zip(untold.gaps.iter_mut().zip(facts.missing))
        {
            if *gap {
                self.send(&ToAgent::LogGap { stream, bytes }, &[])?;
                (*gap, told) = (false, true);
            }
        }
        if let Some(milliseconds) = untold.shutdown {
            self.send(&ToAgent::Shutdown { milliseconds }, &[])?;
            (untold.shutdown, told) = (None, true);
        }
        Ok(told)
    }

    fn hello(&mut self, registry: &Registry, facts: &Facts<'_>) -> Result<(), Errno> {
        let link = facts.link;
        let hello = Hello {
            server: &link.server,
            tls: link.tls,
            tls_skip_verify: link.tls_skip_verify,
            tls_ca_file: &link.tls_ca_file,
            ssl_cert_file: &link.ssl_cert_file,
            ssl_cert_dir: &link.ssl_cert_dir,
            token: &link.token,
            deployment_id: &link.deployment_id,
            instance_id: facts.instance_id,
            disable_exec: link.disable_exec,
            port: link.port,
            log_level: facts.log_level,
            https_proxy: &link.https_proxy,
            no_proxy: &link.no_proxy,
            child: facts.child,
            has_deposit: facts.deposit.is_some(),
            exec_ids: ExecIds::new(registry.recent_ids()).unwrap_or_default(),
        };
        let [stdout, stderr] = facts.copies;
        match facts.deposit {
            Some(deposit) => self.send(&ToAgent::Hello(hello), &[stdout, stderr, deposit.as_fd()]),
            None => self.send(&ToAgent::Hello(hello), &[stdout, stderr]),
        }
    }

    /// Who was refused, who has started, who has ended; a start always before its end.
    fn sessions(
        &mut self,
        registry: &mut Registry,
        stdio: &mut [[Option<OwnedFd>; 3]],
    ) -> Result<bool, Errno> {
        let mut told = false;
        while let Some(refusal) = registry.refusal() {
            let failed =
                ToAgent::ExecFailed { id: refusal.id, step: refusal.step, errno: refusal.errno };
            self.send(&failed, &[])?;
            registry.told(refusal);
            told = true;
        }
        for (slot, stdio) in stdio.iter_mut().enumerate() {
            let Some(session) = registry.session(slot).filter(|it| !it.is_abandoned()) else {
                continue;
            };
            if session.running && !session.announced {
                self.started(&ToAgent::ExecStarted { id: session.id, pid: session.pid }, stdio)?;
                *stdio = [const { None }; 3];
                (session.announced, told) = (true, true);
            }
            if let (true, Some(exit)) = (session.announced, session.exit) {
                self.send(&ToAgent::ExecExited { id: session.id, exit }, &[])?;
                registry.forget(slot);
                told = true;
            }
        }
        Ok(told)
    }

    fn started(
        &mut self,
        message: &ToAgent<'_>,
        stdio: &[Option<OwnedFd>; 3],
    ) -> Result<(), Errno> {
        match stdio {
            [Some(one), Some(two), Some(three)] => {
                self.send(message, &[one.as_fd(), two.as_fd(), three.as_fd()])
            }
            [Some(terminal), ..] => self.send(message, &[terminal.as_fd()]),
            _ => self.send(message, &[]),
        }
    }

    fn send(&mut self, message: &ToAgent<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let packet = message.encode(self.buffer.as_mut_slice()).ok_or(Errno::INVALID)?;
        seqpacket::send(self.socket.as_fd(), packet, descriptors)
    }
}

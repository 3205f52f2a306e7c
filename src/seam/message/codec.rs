//! Fields to bytes and back: big-endian numbers, strings with their length before them.
use super::{Child, ExecIds, Hello, LogLevel, WindowSize};
use crate::sys::{Exit, Pid, Signal};

/// Writes into a buffer that stands ready; what does not fit makes `finish` answer `None`.
pub(super) struct Writer<'b> {
    buffer: &'b mut [u8],
    /// How much is written; `None` once something did not fit.
    length: Option<usize>,
}

impl<'b> Writer<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: Some(0) }
    }

    pub(super) fn finish(self) -> Option<&'b [u8]> {
        self.buffer.get(..self.length?)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length = self.length.and_then(|start| {
            let end = start.checked_add(bytes.len())?;
            self.buffer.get_mut(start..end)?.copy_from_slice(bytes);
            Some(end)
        });
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn pid(&mut self, pid: Pid) {
        self.i32(pid.raw());
    }

    pub(super) fn exit(&mut self, exit: Exit) {
        let (signalled, number) = match exit {
            Exit::Code(code) => (false, code),
            Exit::Signal(signal) => (true, signal.number()),
        };
        self.bool(signalled);
        self.u8(number);
    }

    pub(super) fn window_size(&mut self, size: WindowSize) {
        for value in [size.rows, size.columns, size.x_pixels, size.y_pixels] {
            self.u16(value);
        }
    }

    pub(super) fn child(&mut self, child: Child) {
        match child {
            Child::Waiting => self.u8(0),
            Child::Running(pid) => {
                self.u8(1);
                self.pid(pid);
            }
            Child::Stopping(pid) => {
                self.u8(2);
                self.pid(pid);
            }
            Child::Ended(exit) => {
                self.u8(3);
                self.exit(exit);
            }
        }
    }

    fn string(&mut self, text: &str) {
        match u16::try_from(text.len()) {
            Ok(length) => {
                self.u16(length);
                self.bytes(text.as_bytes());
            }
            Err(_) => self.length = None,
        }
    }

    pub(super) fn hello(&mut self, hello: &Hello<'_>) {
        for text in hello.strings() {
            self.string(text);
        }
        for flag in [hello.tls, hello.tls_skip_verify, hello.disable_exec, hello.has_deposit] {
            self.bool(flag);
        }
        self.u16(hello.port);
        self.u8(hello.log_level as u8);
        self.child(hello.child);
        self.bytes(hello.exec_ids.0);
    }
}

impl<'a> Hello<'a> {
    /// The texts, in the order in which they lie in a packet.
    fn strings(&self) -> [&'a str; 9] {
        [
            self.server,
            self.tls_ca_file,
            self.ssl_cert_file,
            self.ssl_cert_dir,
            self.token,
            self.deployment_id,
            self.instance_id,
            self.https_proxy,
            self.no_proxy,
        ]
    }
}

/// Takes a packet apart; every field answers `None` when it is not there or not valid.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Self(packet)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// 0 or 1; another byte is not a second spelling of true.
    pub(super) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn signal(&mut self) -> Option<Signal> {
        Signal::new(self.u8()?)
    }

    pub(super) fn pid(&mut self) -> Option<Pid> {
        Pid::new(self.i32()?)
    }

    pub(super) fn exit(&mut self) -> Option<Exit> {
        Some(if self.bool()? { Exit::Signal(self.signal()?) } else { Exit::Code(self.u8()?) })
    }

    pub(super) fn window_size(&mut self) -> Option<WindowSize> {
        Some(WindowSize {
            rows: self.u16()?,
            columns: self.u16()?,
            x_pixels: self.u16()?,
            y_pixels: self.u16()?,
        })
    }

    pub(super) fn child(&mut self) -> Option<Child> {
        Some(match self.u8()? {
            0 => Child::Waiting,
            1 => Child::Running(self.pid()?),
            2 => Child::Stopping(self.pid()?),
            3 => Child::Ended(self.exit()?),
            _ => return None,
        })
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }

    fn log_level(&mut self) -> Option<LogLevel> {
        use LogLevel::*;
        [Off, Error, Warn, Info, Debug, Trace].get(usize::from(self.u8()?)).copied()
    }

    pub(super) fn hello(&mut self) -> Option<Hello<'a>> {
        Some(Hello {
            server: self.string()?,
            tls_ca_file: self.string()?,
            ssl_cert_file: self.string()?,
            ssl_cert_dir: self.string()?,
            token: self.string()?,
            deployment_id: self.string()?,
            instance_id: self.string()?,
            https_proxy: self.string()?,
            no_proxy: self.string()?,
            tls: self.bool()?,
            tls_skip_verify: self.bool()?,
            disable_exec: self.bool()?,
            has_deposit: self.bool()?,
            port: self.u16()?,
            log_level: self.log_level()?,
            child: self.child()?,
            exec_ids: ExecIds::new(std::mem::take(&mut self.0))?,
        })
    }
}

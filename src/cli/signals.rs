//! SIGINT, SIGTERM and SIGHUP: the first asks for a drain, the second ends at once.
//!
//! SIGHUP has `run` read its pipeline files again; other commands, which have nothing to read again, drain: a closed terminal does not kill them.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, caught from the moment this exists.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    ignores_hang_up: bool,
}

/// Which one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caught {
    Interrupt,
    Terminate,
    HangUp,
}

impl Caught {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
        }
    }

    /// 128 plus the signal's number, as shells count.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }
}

impl Signals {
    /// To be called before anything is started.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            ignores_hang_up: false,
        })
    }

    /// Whether SIGHUP is passed over: who is still starting has only just read its files.
    pub(super) fn ignore_hang_up(&mut self, ignores: bool) {
        self.ignores_hang_up = ignores;
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Caught {
        loop {
            tokio::select! {
                Some(()) = self.interrupt.recv() => return Caught::Interrupt,
                Some(()) = self.terminate.recv() => return Caught::Terminate,
                Some(()) = self.hang_up.recv() => if !self.ignores_hang_up {
                    return Caught::HangUp;
                },
                else => std::future::pending().await,
            }
        }
    }
}

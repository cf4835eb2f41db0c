//! Calls that are not made, and what is said to the program instead.

use std::collections::HashSet;

use nix::{errno::Errno, libc, unistd::Pid};

use super::{kind, memory, regs::Regs};

/// A fault in what the system does for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meddling {
    /// The disk is full: from this one on, from 1, every write to a regular file fails, counted over all processes.
    DiskFull(u32),
    /// After the first [`Trace::aim`](super::Trace::aim), what is sent over connections that the program has opened goes nowhere.
    /// `sendmmsg`, which a name server is asked by, and `splice` send as ever.
    SilentPeer,
}

#[derive(Default)]
pub(super) struct Meddler {
    full_from: Option<u32>,
    silent: bool,
    writes: u32,
    /// The sockets that the program has connected to somebody in a network.
    connected: HashSet<u64>,
}

impl Meddler {
    pub(super) fn new(wanted: &[Meddling]) -> Self {
        let mut meddler = Self::default();
        for meddling in wanted {
            match meddling {
                Meddling::DiskFull(from) => meddler.full_from = Some(*from),
                Meddling::SilentPeer => meddler.silent = true,
            }
        }
        meddler
    }

    /// What a call is to return without being made, if it is not.
    pub(super) fn instead(&mut self, pid: Pid, call: &str, regs: &Regs, epoch: u32) -> Option<i64> {
        self.full(pid, call, regs).or_else(|| self.swallowed(pid, call, regs, epoch))
    }

    fn full(&mut self, pid: Pid, call: &str, regs: &Regs) -> Option<i64> {
        let from = self.full_from?;
        if call == "ftruncate" || !kind::is_regular(pid, regs.argument(kind::written(call)?)) {
            return None;
        }
        self.writes = self.writes.saturating_add(1);
        (self.writes >= from).then_some(-i64::from(Errno::ENOSPC as i32))
    }

    fn swallowed(&mut self, pid: Pid, call: &str, regs: &Regs, epoch: u32) -> Option<i64> {
        if !self.silent {
            return None;
        }
        if call == "connect" {
            let family = memory::read(pid, regs.argument(1), 2).first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
            if family.is_some_and(|family| [libc::AF_INET, libc::AF_INET6].contains(&i32::from(family))) {
                self.connected.extend(kind::socket(pid, regs.argument(0)));
            }
            return None;
        }
        if epoch == 0 || self.connected.is_empty() {
            return None;
        }
        let length = match call {
            "write" | "sendto" => regs.argument(2),
            "writev" => memory::total(pid, regs.argument(1), regs.argument(2)),
            "sendmsg" => {
                // The list of buffers and its length stand behind name and its length (sendmsg(2)).
                let message = regs.argument(1);
                let (buffers, count) = (memory::word(pid, message + 16)?, memory::word(pid, message + 24)?);
                memory::total(pid, buffers, count)
            }
            "sendfile" => regs.argument(3),
            _ => return None,
        };
        let length = i64::try_from(length).ok()?;
        kind::socket(pid, regs.argument(0)).filter(|socket| self.connected.contains(socket)).map(|_| length)
    }
}

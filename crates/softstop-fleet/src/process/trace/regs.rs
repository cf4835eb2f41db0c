//! The registers of a thread that stands at a system call (syscall(2)).

use nix::{libc::user_regs_struct, sys::ptrace, unistd::Pid};

/// The registers of a stopped thread.
pub(super) struct Regs {
    pid: Pid,
    raw: user_regs_struct,
}

#[cfg(target_arch = "x86_64")]
impl Regs {
    /// The number of the call; none in code of 32 bits, which numbers them otherwise.
    pub(super) fn call(&self) -> Option<usize> {
        /// The code segment of 64 bits.
        const LONG: u64 = 0x33;
        if self.raw.cs == LONG { usize::try_from(self.raw.orig_rax).ok() } else { None }
    }

    pub(super) fn argument(&self, at: usize) -> u64 {
        let raw = &self.raw;
        [raw.rdi, raw.rsi, raw.rdx, raw.r10, raw.r8, raw.r9].get(at).copied().unwrap_or_default()
    }

    pub(super) fn set_first_argument(&mut self, value: u64) {
        self.raw.rdi = value;
    }

    pub(super) fn set_result(&mut self, value: i64) {
        self.raw.rax = value.cast_unsigned();
    }

    /// Where the program is, and the top of its stack.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.raw.rip, self.raw.rsp)
    }
}

#[cfg(target_arch = "aarch64")]
impl Regs {
    pub(super) fn call(&self) -> Option<usize> {
        usize::try_from(self.raw.regs[8]).ok()
    }

    pub(super) fn argument(&self, at: usize) -> u64 {
        self.raw.regs.get(at).copied().unwrap_or_default()
    }

    pub(super) fn set_first_argument(&mut self, value: u64) {
        self.raw.regs[0] = value;
    }

    /// Where the first argument was; so that is set before.
    pub(super) fn set_result(&mut self, value: i64) {
        self.raw.regs[0] = value.cast_unsigned();
    }

    pub(super) fn place(&self) -> (u64, u64) {
        (self.raw.pc, self.raw.sp)
    }
}

impl Regs {
    pub(super) fn of(pid: Pid) -> nix::Result<Self> {
        ptrace::getregs(pid).map(|raw| Self { pid, raw })
    }

    pub(super) fn write(self) -> nix::Result<()> {
        ptrace::setregs(self.pid, self.raw)
    }
}

//! The only file that knows the signals of the operating system.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1},
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
};

use crate::machine::Stop;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To stop, in one of three ways.
    Stop(Stop),
    /// To say what is running.
    Dump,
}

pub(crate) fn asks(number: i32) -> Asked {
    match number {
        SIGINT => Asked::Stop(Stop::Int),
        SIGQUIT => Asked::Stop(Stop::Quit),
        SIGUSR1 => Asked::Dump,
        _ => Asked::Stop(Stop::Term),
    }
}

/// The registered signals, to be waited for by one plain thread.
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

/// Wakes the thread that waits for [`Signals`].
pub(crate) struct Waker(UnixStream);

impl Waker {
    pub(crate) fn wake(&self) {
        // A full pipe has woken it already.
        let _ = (&self.0).write(&[0]);
    }
}

impl Signals {
    /// Registers all signals at once; from the return on none of them ends the process by itself.
    /// SIGHUP and SIGINT that were inherited as ignored (`nohup`, `&`) stay ignored. One that was inherited as blocked is not: a parent
    /// that waits for signals by sigwait(3) seldom means its children, and nothing but SIGKILL would end them.
    ///
    /// signal-hook first gives the kernel its handler and then tells the handler what to do: a signal between the two would do nothing at
    /// all. So they are blocked until all is said; only a thread that the program has started before this one can still take one.
    pub(crate) fn register() -> io::Result<(Self, Waker)> {
        let ignored = inherited_as_ignored();
        let kept = |number: &i32| [SIGHUP, SIGINT].contains(number) && ignored >> (*number - 1) & 1 == 1;
        let wanted = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1].into_iter().filter(|number| !kept(number));
        let (read, write) = UnixStream::pair()?;
        write.set_nonblocking(true)?;
        let waker = Waker(write.try_clone()?);
        let blocked: SigSet = wanted.clone().filter_map(|number| Signal::try_from(number).ok()).collect();
        blocked.thread_block()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, wanted);
        blocked.thread_unblock()?;
        Ok((Self { delivery: delivery? }, waker))
    }

    /// Waits for a signal or a wake-up, at most for `timeout`; without one for ever.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Vec<i32> {
        let mut buffer = [0; 64];
        let mut read = self.delivery.get_read();
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        // Neither can fail on our own socket; if they did, the loop would only turn faster.
        let _ = read.set_read_timeout(timeout);
        let _ = read.read(&mut buffer);
        self.delivery.pending().collect()
    }
}

/// Bit n-1 stands for signal n. Linux shows them in procfs (proc(5), `SigIgn`); elsewhere none count.
fn inherited_as_ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Ends the process at once: no destructors, no `atexit`.
pub(crate) fn exit_now(status: u8) -> ! {
    signal_hook::low_level::exit(i32::from(status))
}

/// Ends the process as `number` would have ended it without a handler. The kernel spares process 1
/// from that (pid_namespaces(7)): it leaves with the status that a shell would show.
pub(crate) fn die_by(number: i32) {
    if std::process::id() == 1 {
        signal_hook::low_level::exit(128 + number);
    }
    let _ = signal_hook::low_level::emulate_default_handler(number);
}

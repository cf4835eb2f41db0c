//! The process that becomes the program: the last thing of ours that runs in it.
//!
//! A new process inherits ignored signals and the mask of blocked ones, and exec keeps both; `nohup`, a shell's `&`
//! and many service managers leave them so, and then a program cannot be stopped, or Python installs no handler for
//! Ctrl+C. Exec resets *handled* signals to their default (execve(2)), so here everything ignored gets a handler.

use std::{
    fs,
    io::{self, Read},
    os::unix::{net::UnixStream, process::CommandExt},
    process::Command,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use nix::sys::signal::SigSet;
use rustix::{
    process::{chdir, ioctl_tiocsctty, setsid},
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid},
    time::{ClockId, clock_gettime},
};

use super::{
    namespaces::drop_capabilities,
    wire::{Failure, Launched, Order, Step},
};

/// Takes the order from `keeper` and becomes its program. Returns only if that failed, and has said so then.
pub(super) fn run(keeper: &UnixStream) {
    let failure = match Order::receive(keeper) {
        Ok(order) => become_program(order, keeper),
        Err(error) => Failure { step: Step::Keeper, what: "the order".into(), error },
    };
    // If nobody listens any more, nobody wants to know.
    let _ = Launched::Failed(failure).send(keeper);
}

fn become_program(order: Order, keeper: &UnixStream) -> Failure {
    match prepare(&order) {
        Ok(()) => {}
        Err(failure) => return failure,
    }
    let mut command = Command::new(&order.program);
    command.args(&order.args).env_clear().envs(order.env.iter().map(|(name, value)| (name, value)));
    if order.hold
        && let Err(error) = wait_for_word(keeper)
    {
        return Failure { step: Step::Keeper, what: "the word to go on".into(), error };
    }
    if let Err(error) = Launched::At(monotonic()).send(keeper) {
        return Failure { step: Step::Keeper, what: "the keeper".into(), error };
    }
    // All else that is open here closes on exec, the socket to the keeper too: by that it knows.
    let error = command.exec();
    Failure { step: Step::Exec, what: order.program, error }
}

fn wait_for_word(mut keeper: &UnixStream) -> io::Result<()> {
    Launched::Held.send(keeper)?;
    keeper.read_exact(&mut [0])
}

fn prepare(order: &Order) -> Result<(), Failure> {
    let io = io::Error::from;
    if let Some((procs, _)) = &order.fds.cgroup {
        // "0" is whoever writes.
        rustix::io::write(procs, b"0").map_err(io).map_err(Failure::new(Step::Cgroup, "cgroup.procs"))?;
    }
    setsid().map_err(io).map_err(Failure::new(Step::Keeper, "setsid"))?;
    reset_signals()?;
    if let Some(cwd) = &order.cwd {
        chdir(cwd).map_err(io).map_err(Failure::new(Step::Directory, cwd))?;
    }
    let streams = dup2_stdin(&order.fds.stdin)
        .and_then(|()| dup2_stdout(&order.fds.stdout))
        .and_then(|()| dup2_stderr(&order.fds.stderr));
    streams.map_err(io).map_err(Failure::new(Step::Keeper, "the standard streams"))?;
    if order.terminal {
        // From here on its hang-up is a SIGHUP to this process (tty_ioctl(4)).
        ioctl_tiocsctty(std::io::stdin()).map_err(io).map_err(Failure::new(Step::Keeper, "the terminal"))?;
    }
    if let Some((uid, gid)) = order.user {
        become_user(uid, gid).map_err(Failure::new(Step::User, format!("{uid}:{gid}")))?;
    }
    if !order.namespaces.is_none() && order.user.is_none() {
        drop_capabilities().map_err(Failure::new(Step::Namespaces, "giving up capabilities"))?;
    }
    Ok(())
}

/// Nothing stays ignored or blocked.
fn reset_signals() -> Result<(), Failure> {
    let status = fs::read_to_string("/proc/self/status").map_err(Failure::new(Step::Signals, "/proc/self/status"))?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    for number in (1..=64).filter(|number| ignored >> (number - 1) & 1 == 1) {
        // The flag is never read. 32 and 33, and 34 where it is musl, are the C library's own: it registers nothing for them, so they
        // stay ignored, and nobody can do without them.
        let registered = signal_hook::flag::register(number, Arc::new(AtomicBool::new(false)));
        if !matches!(number, 32..=34) {
            registered.map_err(Failure::new(Step::Signals, format!("signal {number}")))?;
        }
    }
    let unblocked = SigSet::empty().thread_set_mask();
    unblocked.map_err(io::Error::from).map_err(Failure::new(Step::Signals, "the mask of blocked signals"))
}

/// Groups first: afterwards we may no longer. This process has one thread, so what is the thread's is the process's.
fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(gid))?;
    Ok(set_thread_uid(Uid::from_raw(uid))?)
}

pub(super) fn monotonic() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().unwrap_or_default()
}

//! The thread that follows a program: it waits for whoever stops, looks, and lets him go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    libc,
    sys::{
        ptrace::{self, Options},
        signal::Signal,
    },
    unistd::Pid,
};
use rustix::process::{WaitOptions, WaitStatus, wait};
use syscalls::Sysno;

use super::{
    Denied, Recorded, Shared, Tracing, kind,
    meddle::Meddler,
    memory::Code,
    regs::Regs,
    threads::{Threads, Within},
};

/// What is recorded at most; who calls more often repeats himself.
const MOST_CALLS: usize = 100_000;
const MOST_DENIED: usize = 100;
/// How often who was stopped by a signal is asked whether he may go on.
const STOPPED_LOOK: Duration = Duration::from_millis(2);
/// Added to the number of the signal in a stop at a call (`PTRACE_O_TRACESYSGOOD`).
const AT_CALL: i32 = libc::SIGTRAP | 0x80;

/// A stop by a signal, or the first one of who is new (`PTRACE_EVENT_STOP`, which not every libc names).
const EVENT_STOP: i32 = 128;

pub(super) struct Tracer {
    tracing: Tracing,
    shared: Arc<Shared>,
    threads: Threads,
    meddler: Meddler,
    code: BTreeMap<Pid, Code>,
    /// Whether the process has become the program.
    begun: bool,
    /// Who was stopped by a signal, and waits for SIGCONT.
    stopped: Vec<Pid>,
    /// The processes whose latest stop is over: SIGCONT was delivered to one of their threads.
    continued: BTreeSet<Pid>,
}

impl Tracer {
    /// Attaches to a process. It goes on meanwhile, and stops at its next exec.
    pub(super) fn seize(pid: u32, tracing: Tracing, shared: Arc<Shared>) -> io::Result<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?);
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK;
        ptrace::seize(pid, options)?;
        let mut threads = Threads::default();
        threads.add(pid);
        let meddler = Meddler::new(&tracing.meddling);
        Ok(Self {
            tracing,
            shared,
            threads,
            meddler,
            code: BTreeMap::new(),
            begun: false,
            stopped: Vec::new(),
            continued: BTreeSet::new(),
        })
    }

    /// Follows until nobody is left who could be.
    pub(super) fn run(mut self) {
        while let Some((pid, status)) = self.wait() {
            self.take(pid, status);
        }
    }

    /// Who is next; none once nobody is left.
    fn wait(&mut self) -> Option<(Pid, i32)> {
        // Children of other threads are not ours to wait for; threads and what was cloned oddly are (waitpid(2)).
        let ours = WaitOptions::from_bits_retain((libc::__WALL | libc::__WNOTHREAD).cast_unsigned());
        loop {
            let options = if self.stopped.is_empty() { ours } else { ours | WaitOptions::NOHANG };
            match wait(options) {
                Ok(Some((pid, status))) => return Some((Pid::from_raw(pid.as_raw_nonzero().get()), raw(status))),
                Ok(None) => {
                    self.look_at_stopped();
                    let state = self.shared.lock();
                    let _ = self.shared.changed.wait_timeout(state, STOPPED_LOOK);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    fn take(&mut self, pid: Pid, status: i32) {
        if !libc::WIFSTOPPED(status) {
            self.threads.gone(pid);
            self.code.remove(&pid);
            self.continued.remove(&pid);
            self.stopped.retain(|stopped| *stopped != pid);
            return;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        match event {
            0 if signal == AT_CALL => {
                self.threads.came(pid);
                // Fails only if it was killed meanwhile; its end comes next.
                let _ = self.at_call(pid);
                self.go_on(pid, None);
            }
            0 => self.deliver(pid, signal),
            libc::PTRACE_EVENT_EXEC => {
                self.renew(pid);
                self.go_on(pid, None);
            }
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                if let Some(made) = message(pid).filter(|_| !self.shared.lock().leaving) {
                    self.threads.announced(made);
                }
                self.go_on(pid, None);
            }
            EVENT_STOP if signal != libc::SIGTRAP => {
                self.threads.came(pid);
                // What is told late is of a stop that was over before.
                if self.group(pid).is_some_and(|group| self.continued.contains(&group)) {
                    self.go_on(pid, None);
                } else {
                    self.stopped.push(pid);
                    self.look_at_stopped();
                }
            }
            _ => {
                self.threads.came(pid);
                self.go_on(pid, None);
            }
        }
    }

    /// Lets somebody go on to his next stop, or for good.
    fn go_on(&mut self, pid: Pid, signal: Option<Signal>) {
        let denied = self.threads.known(pid).is_some_and(|thread| matches!(thread.within, Within::Denied { .. }));
        let leaving = !denied && self.shared.lock().leaving;
        // Each fails only if he was killed meanwhile; his end comes next.
        let _ = if leaving {
            self.threads.gone(pid);
            ptrace::detach(pid, signal)
        } else if self.begun {
            ptrace::syscall(pid, signal)
        } else {
            ptrace::cont(pid, signal)
        };
    }

    /// Hands a signal on, which every process that is followed receives through us.
    fn deliver(&mut self, pid: Pid, number: i32) {
        self.threads.came(pid);
        let signal = Signal::try_from(number).ok();
        if let Some(group) = self.group(pid) {
            match signal {
                Some(Signal::SIGCONT) => {
                    self.continued.insert(group);
                    self.let_go_all(&[group]);
                }
                Some(Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) => {
                    self.continued.remove(&group);
                }
                _ => {}
            }
        }
        if signal.is_none() {
            self.shared.change(|state| {
                state.lost.get_or_insert("it uses real-time signals, which cannot be handed on");
                state.leaving = true;
            });
        }
        self.go_on(pid, signal);
    }

    fn renew(&mut self, pid: Pid) {
        self.begun = true;
        let former = message(pid).unwrap_or(pid);
        self.threads.came(pid);
        self.threads.renewed(pid, former);
        self.code.remove(&pid);
    }

    /// Who was stopped by a signal has to be let go on by us once SIGCONT came, which waits to be delivered to him then.
    ///
    /// `PTRACE_LISTEN` would do it, and has no safe wrapper.
    fn look_at_stopped(&mut self) {
        let leaving = self.shared.lock().leaving;
        let may_go: Vec<Pid> = self.stopped.iter().copied().filter(|pid| leaving || is_continued(*pid)).collect();
        // One of its threads takes the signal, so the others are not asked.
        let groups: Vec<Pid> = may_go.iter().filter_map(|pid| self.group(*pid)).collect();
        self.let_go_all(&groups);
    }

    /// Lets whoever of these processes was stopped by a signal go on.
    fn let_go_all(&mut self, groups: &[Pid]) {
        let stopped = std::mem::take(&mut self.stopped);
        let is_meant = |pid: &Pid| self.threads.known(*pid).is_none_or(|thread| groups.contains(&thread.group));
        let (going, staying) = stopped.into_iter().partition::<Vec<_>, _>(is_meant);
        self.stopped = staying;
        for pid in going {
            self.go_on(pid, None);
        }
    }

    fn group(&self, pid: Pid) -> Option<Pid> {
        self.threads.known(pid).map(|thread| thread.group)
    }

    fn at_call(&mut self, pid: Pid) -> nix::Result<()> {
        let Some(thread) = self.threads.known_mut(pid) else { return Ok(()) };
        match thread.within {
            Within::Program => {
                thread.within = Within::Call;
                self.enter(pid)
            }
            Within::Call => {
                thread.within = Within::Program;
                Ok(())
            }
            Within::Denied { result, argument } => {
                thread.within = Within::Program;
                let mut regs = Regs::of(pid)?;
                regs.set_first_argument(argument);
                regs.set_result(result);
                regs.write()
            }
        }
    }

    fn enter(&mut self, pid: Pid) -> nix::Result<()> {
        let regs = Regs::of(pid)?;
        let Some((call, number)) = regs.call().and_then(|number| Some((Sysno::new(number)?, number))) else {
            return Ok(());
        };
        let call = call.name();
        if self.count(pid, call, number, &regs) {
            self.shared.hold();
        }
        let epoch = self.shared.lock().epoch;
        if let Some(result) = self.meddler.instead(pid, call, &regs, epoch) {
            let argument = regs.argument(0);
            if let Some(thread) = self.threads.known_mut(pid) {
                thread.within = Within::Denied { result, argument };
            }
            let file = kind::named(pid, call, &regs);
            self.note_denied(Denied { call, file, disk_full: result < 0, epoch });
            // On no file the kernel does nothing. That its number is changed to none is not possible everywhere.
            let mut regs = regs;
            regs.set_first_argument(u64::MAX);
            regs.write()?;
        }
        Ok(())
    }

    fn note_denied(&self, denied: Denied) {
        let mut state = self.shared.lock();
        if state.denied.iter().filter(|other| other.epoch == denied.epoch).count() < MOST_DENIED {
            state.denied.push(denied);
        }
    }

    /// Counts a call, and writes it down; whether it is the one that was aimed at.
    fn count(&mut self, pid: Pid, call: &'static str, number: usize, regs: &Regs) -> bool {
        let Some(thread) = self.threads.known_mut(pid) else { return false };
        let (process, in_process, group) = (thread.process, thread.number, thread.group);
        let mut state = self.shared.lock();
        state.made += 1;
        let at = Instant::now();
        state.last = Some(at);
        let epoch = state.epoch;
        if thread.epoch != epoch {
            thread.counts.clear();
            thread.epoch = epoch;
        }
        let nth = thread.counts.entry(number).or_insert(0);
        *nth += 1;
        let nth = *nth;
        let is_aim = state.aim.as_ref().is_some_and(|aim| {
            aim.nth == nth && aim.process == process && aim.thread == in_process && aim.call == call
        });
        let full = state.calls.len() >= MOST_CALLS;
        drop(state);
        if self.tracing.record && !full {
            let telling = kind::telling(pid, call, regs);
            let mut site = self.code.entry(group).or_insert_with(|| Code::of(pid)).place(pid, regs.place());
            if telling {
                site ^= kind::object(pid, call, regs).rotate_left(1);
            }
            let maps_code = matches!(call, "mmap" | "mprotect") && regs.argument(2) & libc::PROT_EXEC as u64 != 0;
            if maps_code {
                self.code.remove(&group);
            }
            let file = (telling && kind::written(call).is_some()).then(|| kind::named(pid, call, regs));
            let made = Recorded { call, nth, process, thread: in_process, site, telling, file, epoch, at };
            self.shared.lock().calls.push(made);
        }
        is_aim
    }
}

fn raw(status: WaitStatus) -> i32 {
    status.as_raw()
}

fn message(pid: Pid) -> Option<Pid> {
    ptrace::getevent(pid).ok().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}

/// Whether SIGCONT is pending, of the thread or of its process.
fn is_continued(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        u64::from_str_radix(mask.trim(), 16).unwrap_or_default()
    };
    (pending("SigPnd:") | pending("ShdPnd:")) >> (libc::SIGCONT - 1) & 1 == 1
}

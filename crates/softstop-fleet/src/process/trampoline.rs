//! Ourselves again: the roles that a binary plays when it is started by its own library.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    os::unix::{net::UnixStream, process::CommandExt},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{io::fcntl_dupfd_cloexec, stdio::dup2_stdin};

use super::{keeper, launch};

/// The running binary, even where its file was replaced, deleted or covered since.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// The first argument of who plays a role; the second is the role.
const MARK: &str = "--softstop-trampoline";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// See [`keeper`].
    Keeper,
    /// See [`launch`].
    Launch,
    /// Ends at once, well: to see whether a start works.
    Nothing,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Launch => "launch",
            Self::Nothing => "nothing",
        }
    }

    fn of(name: &OsStr) -> Option<Self> {
        [Self::Keeper, Self::Launch, Self::Nothing].into_iter().find(|role| name == role.name())
    }

    pub(super) fn arguments(self) -> [&'static str; 2] {
        [MARK, self.name()]
    }

    pub(super) fn give(self, command: &mut Command) {
        command.arg0("softstop").args(self.arguments());
    }
}

static CALLED: AtomicBool = AtomicBool::new(false);

/// Whether ourselves again would play a role. Else it would do what we do: start itself again, and so on without end.
pub(super) fn was_called() -> bool {
    CALLED.load(Ordering::Relaxed)
}

/// Plays the role that this process was started for; returns if it was started for none.
///
/// # Panics
///
/// If the role is unknown: another binary of ours started this one.
pub(crate) fn run() {
    CALLED.store(true, Ordering::Relaxed);
    let mut args = env::args_os().skip(1);
    if args.next().is_none_or(|first| first != MARK) {
        return;
    }
    let name = args.next().unwrap_or_default();
    match Role::of(&name) {
        Some(Role::Keeper) => with_socket(keeper::run),
        Some(Role::Launch) => with_socket(|socket| launch::run(&socket)),
        Some(Role::Nothing) => {}
        None => panic!("{MARK} {}: no such role", name.display()),
    }
    leave();
}

/// Hands on the socket that is our standard input; that stream is empty from then on.
fn with_socket(play: impl FnOnce(UnixStream)) {
    let socket = fcntl_dupfd_cloexec(std::io::stdin(), 3);
    let emptied = File::open("/dev/null").map(dup2_stdin);
    if let (Ok(socket), Ok(Ok(()))) = (socket, emptied) {
        play(socket.into());
    }
}

/// Ends this process well.
#[expect(clippy::disallowed_methods, reason = "who plays a role never comes to the main of the binary")]
pub(crate) fn leave() -> ! {
    std::process::exit(0);
}

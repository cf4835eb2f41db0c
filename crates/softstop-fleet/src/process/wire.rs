//! What we and our helper processes say to each other: frames with file descriptors on a socket.
//!
//! Both ends are the same binary, so there is no version. A frame is one `sendmsg` as long as it is small;
//! everything the keeper says is.

mod body;

use std::{
    ffi::{OsStr, OsString},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use self::body::{Reader, Writer};
use super::{Level, Namespaces, Usage};

/// A frame carries no more descriptors than this.
const MOST_FDS: usize = 7;
/// Length of the body, number of descriptors.
const HEAD: usize = 5;

/// What is to be run, and in what.
pub(super) struct Order {
    pub(super) level: Level,
    /// To be made, unless `joins`.
    pub(super) namespaces: Namespaces,
    /// The namespaces are those of another program.
    pub(super) joins: bool,
    /// The three streams are a terminal, which becomes the controlling one.
    pub(super) terminal: bool,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) user: Option<(u32, u32)>,
    pub(super) cgroup: Option<PathBuf>,
    /// Whether its process waits for a word before it becomes the program.
    pub(super) hold: bool,
    pub(super) fds: Fds,
}

/// The descriptors that travel with an [`Order`].
pub(super) struct Fds {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// `cgroup.procs` and `cgroup.kill`, open for writing.
    pub(super) cgroup: Option<(OwnedFd, OwnedFd)>,
    /// A pidfd of the keeper whose namespaces are to be joined; none once that is done.
    pub(super) joined: Option<OwnedFd>,
    /// The socket to whoever gave the order, where that is not the socket the order came on.
    pub(super) control: Option<OwnedFd>,
}

/// What the keeper tells whoever gave it the order.
pub(super) enum Told {
    /// The containment stands. With it come a pidfd of the keeper itself, and a socket to ask its network, if there is such.
    Ready { keeper: OwnedFd, network: Option<OwnedFd> },
    /// The process that becomes the program waits for a word, as ordered. With it comes its pidfd.
    Held(OwnedFd),
    /// The program was executed at this time of the monotonic clock. With it comes a pidfd of the main process.
    Started { at: Duration, main: OwnedFd },
    /// This step failed; nothing of the program is running.
    Failed(Failure),
    /// The main process has ended with this wait status.
    Exited { status: i32, usage: Usage },
    /// No process of the tree is left.
    Gone { usage: Usage },
}

/// A step of the start that failed.
pub(super) struct Failure {
    pub(super) step: Step,
    /// What it was tried on.
    pub(super) what: OsString,
    pub(super) error: io::Error,
}

/// The steps of a start that happen in other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Keeper,
    Namespaces,
    Mount,
    Loopback,
    Cgroup,
    Signals,
    Directory,
    User,
    Exec,
}

const STEPS: [Step; 9] = [
    Step::Keeper,
    Step::Namespaces,
    Step::Mount,
    Step::Loopback,
    Step::Cgroup,
    Step::Signals,
    Step::Directory,
    Step::User,
    Step::Exec,
];

impl Failure {
    pub(super) fn new(step: Step, what: impl AsRef<OsStr>) -> impl FnOnce(io::Error) -> Self {
        let what = what.as_ref().to_owned();
        move |error| Self { step, what, error }
    }
}

impl Order {
    pub(super) fn send(&self, socket: &UnixStream) -> io::Result<()> {
        let mut body = Writer::default();
        body.byte(self.level as u8);
        let ns = &self.namespaces;
        body.flags(&[ns.network, ns.ipc, ns.pid, ns.user, self.joins, self.terminal, self.hold]);
        body.list(ns.private.iter().map(|path| path.as_os_str()));
        body.list(ns.keep.iter().map(|path| path.as_os_str()));
        body.text(&self.program);
        body.list(self.args.iter().map(OsString::as_os_str));
        body.list(self.env.iter().flat_map(|(name, value)| [name.as_os_str(), value.as_os_str()]));
        body.list(self.cwd.iter().map(|path| path.as_os_str()));
        body.list(self.cgroup.iter().map(|path| path.as_os_str()));
        let (uid, gid) = self.user.unwrap_or_default();
        let Fds { cgroup, joined, control, .. } = &self.fds;
        body.flags(&[self.user.is_some(), cgroup.is_some(), joined.is_some(), control.is_some()]);
        body.number(uid.into());
        body.number(gid.into());
        let mut fds = vec![self.fds.stdin.as_fd(), self.fds.stdout.as_fd(), self.fds.stderr.as_fd()];
        fds.extend(cgroup.iter().flat_map(|(procs, kill)| [procs.as_fd(), kill.as_fd()]));
        fds.extend(joined.iter().chain(control).map(AsFd::as_fd));
        send(socket, &body.0, &fds)
    }

    pub(super) fn receive(socket: &UnixStream) -> io::Result<Self> {
        let (body, fds) = receive(socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Self::read(&mut Reader(&body), fds).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn read(body: &mut Reader<'_>, fds: Vec<OwnedFd>) -> Option<Self> {
        let level = Level::ALL.into_iter().find(|level| *level as u8 == body.0.first().copied().unwrap_or(u8::MAX))?;
        body.byte()?;
        let [network, ipc, pid, user, joins, terminal, hold] = body.flags()?;
        let private = body.list()?.into_iter().map(PathBuf::from).collect();
        let keep = body.list()?.into_iter().map(PathBuf::from).collect();
        let namespaces = Namespaces { network, private, keep, ipc, pid, user };
        let program = body.text()?;
        let args = body.list()?;
        let env: Option<Vec<_>> =
            body.list()?.chunks(2).map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone()))).collect();
        let cwd = body.list()?.pop().map(PathBuf::from);
        let cgroup = body.list()?.pop().map(PathBuf::from);
        let [has_user, has_cgroup, has_joined, has_control] = body.flags()?;
        let ids = (u32::try_from(body.number()?).ok()?, u32::try_from(body.number()?).ok()?);
        let mut fds = fds.into_iter();
        let fds = Fds {
            stdin: fds.next()?,
            stdout: fds.next()?,
            stderr: fds.next()?,
            cgroup: if has_cgroup { Some((fds.next()?, fds.next()?)) } else { None },
            joined: if has_joined { Some(fds.next()?) } else { None },
            control: if has_control { Some(fds.next()?) } else { None },
        };
        let user = has_user.then_some(ids);
        let env = env?;
        Some(Self { level, namespaces, joins, terminal, program, args, env, cwd, user, cgroup, hold, fds })
    }
}

impl Told {
    pub(super) fn send(&self, socket: &UnixStream) -> io::Result<()> {
        let mut body = Writer::default();
        let mut fds = Vec::new();
        match self {
            Self::Ready { keeper, network } => {
                body.byte(0);
                fds.push(keeper.as_fd());
                fds.extend(network.iter().map(AsFd::as_fd));
            }
            Self::Started { at, main } => {
                body.byte(1);
                body.duration(*at);
                fds.push(main.as_fd());
            }
            Self::Failed(failure) => {
                body.byte(2);
                failure.write(&mut body);
            }
            Self::Exited { status, usage } => {
                body.byte(3);
                body.number(i64::from(*status).cast_unsigned());
                usage.write(&mut body);
            }
            Self::Gone { usage } => {
                body.byte(4);
                usage.write(&mut body);
            }
            Self::Held(main) => {
                body.byte(5);
                fds.push(main.as_fd());
            }
        }
        send(socket, &body.0, &fds)
    }

    /// Waits for the next word; `None` once the other end is closed.
    pub(super) fn receive(socket: &UnixStream) -> io::Result<Option<Self>> {
        let Some((body, fds)) = receive(socket)? else { return Ok(None) };
        Self::read(&mut Reader(&body), fds).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn read(body: &mut Reader<'_>, fds: Vec<OwnedFd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        Some(match body.byte()? {
            0 => Self::Ready { keeper: fds.next()?, network: fds.next() },
            1 => Self::Started { at: body.duration()?, main: fds.next()? },
            2 => Self::Failed(Failure::read(body)?),
            3 => Self::Exited { status: i32::try_from(body.number()?.cast_signed()).ok()?, usage: Usage::read(body)? },
            4 => Self::Gone { usage: Usage::read(body)? },
            5 => Self::Held(fds.next()?),
            _ => return None,
        })
    }
}

/// What the program's process says before it becomes the program.
pub(super) enum Launched {
    /// The program is executed now, unless a failure follows.
    At(Duration),
    /// All is prepared, and a byte is waited for.
    Held,
    Failed(Failure),
}

impl Launched {
    pub(super) fn send(&self, socket: &UnixStream) -> io::Result<()> {
        let mut body = Writer::default();
        match self {
            Self::At(at) => {
                body.byte(0);
                body.duration(*at);
            }
            Self::Failed(failure) => {
                body.byte(1);
                failure.write(&mut body);
            }
            Self::Held => body.byte(2),
        }
        send(socket, &body.0, &[])
    }

    /// Waits for the next word; `None` once the program runs, or its process is gone.
    pub(super) fn receive(socket: &UnixStream) -> io::Result<Option<Self>> {
        let Some((body, _)) = receive(socket)? else { return Ok(None) };
        let mut body = Reader(&body);
        let word = match body.byte() {
            Some(0) => body.duration().map(Self::At),
            Some(1) => Failure::read(&mut body).map(Self::Failed),
            Some(2) => Some(Self::Held),
            _ => None,
        };
        word.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Failure {
    fn write(&self, body: &mut Writer) {
        body.byte(self.step as u8);
        body.text(&self.what);
        body.number(self.error.raw_os_error().unwrap_or(rustix::io::Errno::INVAL.raw_os_error()).unsigned_abs().into());
    }

    fn read(body: &mut Reader<'_>) -> Option<Self> {
        let step = body.byte()?;
        let step = STEPS.into_iter().find(|known| *known as u8 == step)?;
        let what = body.text()?;
        let error = io::Error::from_raw_os_error(i32::try_from(body.number()?).ok()?);
        Some(Self { step, what, error })
    }
}

impl Usage {
    fn write(self, body: &mut Writer) {
        body.duration(self.user);
        body.duration(self.system);
        body.number(self.largest_rss_kib);
    }

    fn read(body: &mut Reader<'_>) -> Option<Self> {
        Some(Self { user: body.duration()?, system: body.duration()?, largest_rss_kib: body.number()? })
    }
}

fn send(socket: &UnixStream, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut frame = Vec::with_capacity(HEAD + body.len());
    frame.extend(length.to_ne_bytes());
    frame.push(u8::try_from(fds.len()).map_err(|_| io::ErrorKind::InvalidInput)?);
    frame.extend(body);

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = retry(|| sendmsg(socket, &[IoSlice::new(&frame)], &mut control, SendFlags::NOSIGNAL))?;
    let mut socket = socket;
    socket.write_all(frame.get(sent..).unwrap_or_default())
}

fn receive(socket: &UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut head = [0; HEAD];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut head)];
    let got = retry(|| recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC))?.bytes;
    if got == 0 {
        return Ok(None);
    }
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds: Vec<OwnedFd> = fds.flatten().collect();
    let mut socket = socket;
    socket.read_exact(head.get_mut(got..).unwrap_or_default())?;
    let [a, b, c, d, count] = head;
    if fds.len() != usize::from(count) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(Some((body, fds)))
}

/// Calls again what a signal has interrupted.
pub(super) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    rustix::io::retry_on_intr(&mut call).map_err(io::Error::from)
}

//! A terminal of a program's own (pty(7)): it has one end, we have the other, and closing ours is a hang-up.

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::ioctl_fionbio,
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

/// Our end, and the other one for each of the three streams. The size is in columns and rows.
pub(super) fn open((columns, rows): (u16, u16)) -> io::Result<(OwnedFd, [OwnedFd; 3])> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    unlockpt(&ours)?;
    // By handle, as the file system that its name is in may be another's.
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    tcsetwinsize(&theirs, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    // What it writes comes as it was written: no carriage return before a line feed.
    let mut settings = tcgetattr(&theirs)?;
    settings.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&theirs, OptionalActions::Now, &settings)?;
    ioctl_fionbio(&ours, true)?;
    let streams = [theirs.try_clone()?, theirs.try_clone()?, theirs];
    Ok((ours, streams))
}

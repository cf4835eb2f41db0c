//! The signals that a program can be sent, by name.

use std::{fmt, str::FromStr};

use rustix::process::Signal as Raw;

/// A standard signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(Raw);

const NAMES: [(&str, Raw); 14] = [
    ("HUP", Raw::HUP),
    ("INT", Raw::INT),
    ("QUIT", Raw::QUIT),
    ("TERM", Raw::TERM),
    ("KILL", Raw::KILL),
    ("USR1", Raw::USR1),
    ("USR2", Raw::USR2),
    ("STOP", Raw::STOP),
    ("CONT", Raw::CONT),
    ("TSTP", Raw::TSTP),
    ("ALRM", Raw::ALARM),
    ("ABRT", Raw::ABORT),
    ("PIPE", Raw::PIPE),
    ("WINCH", Raw::WINCH),
];

impl Signal {
    /// The terminal has gone.
    pub const HUP: Self = Self(Raw::HUP);
    /// Ctrl+C.
    pub const INT: Self = Self(Raw::INT);
    /// Ctrl+\.
    pub const QUIT: Self = Self(Raw::QUIT);
    /// What supervisors send first.
    pub const TERM: Self = Self(Raw::TERM);
    /// Cannot be handled.
    pub const KILL: Self = Self(Raw::KILL);
    /// For the program's own use.
    pub const USR1: Self = Self(Raw::USR1);
    /// Freezes a process; cannot be handled.
    pub const STOP: Self = Self(Raw::STOP);
    /// Thaws it.
    pub const CONT: Self = Self(Raw::CONT);

    /// The number that the kernel of this machine has for it.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0.as_raw()
    }

    pub(super) fn raw(self) -> Raw {
        self.0
    }
}

impl fmt::Display for Signal {
    /// Without `SIG`, as `kill -l` lists it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, raw)| *raw == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.number()),
        }
    }
}

/// The text names no standard signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSignal(String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no signal: a name such as TERM or SIGTERM, or a number from 1 to 31", self.0)
    }
}

impl std::error::Error for UnknownSignal {}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Takes `TERM`, `SIGTERM`, `term` and `15`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, raw)| *raw);
        let numbered = || text.parse().ok().and_then(Raw::from_named_raw);
        named.or_else(numbered).map(Self).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

//! What is to be done, as data, and its words.

use std::{fmt, time::Duration};

use super::Tries;
use crate::{
    address::Address,
    check::Found,
    pace::{Load, Time, Why},
};

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// For the tile.
    pub fate: Fate,
    /// For host and job.
    pub order: Option<Order>,
    /// For [`Pace::answered`](crate::pace::Pace::answered).
    pub load: Load,
}

/// What becomes of a tile.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Its body is stored.
    Store(Found),
    /// What is stored is still good; only its expiry is new.
    Unchanged,
    /// There is nothing to see; that is remembered.
    Empty,
    /// It is asked for again at the end of the queue.
    Again {
        /// Not before this.
        at: Time,
        /// What to keep with it.
        tries: Tries,
        /// What went wrong.
        failure: Failure,
    },
    /// It is asked for there, now.
    Redirect {
        /// Where.
        to: Address,
        /// What to keep with it.
        tries: Tries,
        /// Whether it is the same server: credentials and cookies go to no other.
        same_origin: bool,
        /// Whether the server has moved for good: see [`Template::moved`](crate::template::Template::moved).
        for_good: bool,
    },
    /// It is not asked for again in this run; that is remembered.
    Failed(Failure),
}

/// What went wrong with a tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub class: Class,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// More, such as the beginning of what came instead of a tile; may be empty, and may hold a secret of the request.
    pub text: String,
}

/// The kinds of failure, as they stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The server refused the tile, or us.
    Refused,
    /// The server asked for fewer requests.
    Busy,
    /// The server failed.
    Server,
    /// The server did not understand or like the request.
    Request,
    /// Redirects led nowhere.
    Redirect,
    /// What came is no tile.
    NotATile,
    /// What came is a tile of another format.
    Format,
    /// Not all of it came.
    Cut,
    /// Its encoding could not be undone.
    Encoding,
    /// Nothing came in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// There was no connection.
    Unreachable,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Refused,
        Self::Busy,
        Self::Server,
        Self::Request,
        Self::Redirect,
        Self::NotATile,
        Self::Format,
        Self::Cut,
        Self::Encoding,
        Self::Timeout,
        Self::Reset,
        Self::Unreachable,
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::Server => "server-error",
            Self::Request => "bad-request",
            Self::Redirect => "redirect",
            Self::NotATile => "not-a-tile",
            Self::Format => "wrong-format",
            Self::Cut => "cut",
            Self::Encoding => "encoding",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether it may well go another time. Others stay until somebody asks for the failed ones.
    pub fn is_passing(self) -> bool {
        match self {
            Self::Busy
            | Self::Server
            | Self::Cut
            | Self::Encoding
            | Self::Timeout
            | Self::Reset
            | Self::Unreachable => true,
            Self::Refused | Self::Request | Self::Redirect | Self::NotATile | Self::Format => false,
        }
    }

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What the host or the job has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// All requests to the host wait: for [`Pace::pause`](crate::pace::Pace::pause).
    Pause {
        /// Until then.
        until: Time,
        /// Why.
        why: Why,
    },
    /// The job ends, and can go on after this time.
    ComeBack {
        /// How long the host wants to be left alone.
        after: Duration,
        /// Why.
        why: Why,
    },
    /// The job ends: the host does not want it.
    Blocked {
        /// The last status.
        status: u16,
        /// How many of the last answers were so.
        refused: u32,
        /// How many these are.
        of: u32,
    },
    /// The job ends: there was never a connection.
    Unreachable,
    /// The job goes on, and whoever watches is told: hardly any of the first results is a tile.
    FewTiles {
        /// How many are empty.
        empty: u64,
        /// How many failed.
        failed: u64,
        /// How many there are.
        of: u64,
    },
}

impl Order {
    /// Whether the job ends.
    pub fn ends(&self) -> bool {
        !matches!(self, Self::Pause { .. } | Self::FewTiles { .. })
    }

    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "nothing: it goes on by itself",
            Self::ComeBack { .. } => "run the same command again then: it goes on where it is",
            Self::Blocked { .. } => {
                "the operator does not allow this: read the terms of use, name yourself with --user-agent, or use another source"
            }
            Self::Unreachable => "look at the host's name, the port and the network",
            Self::FewTiles { .. } => {
                "is the template right, with {-y} for {y} perhaps? are there tiles at these zooms?"
            }
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |why: &Why| match why {
            Why::Refused(status) => format!("the server answers {status}"),
            Why::Unreachable => "the server cannot be reached".to_owned(),
        };
        match self {
            Self::Pause { why, .. } => write!(f, "{}: waiting", because(why)),
            Self::ComeBack { after, why } => {
                write!(f, "{}: come back in {} minutes", because(why), after.as_secs().div_ceil(60))
            }
            Self::Blocked { status, refused, of } => {
                write!(f, "the server refuses us: status {status}, {refused} of the last {of} answers")
            }
            Self::Unreachable => write!(f, "the server could never be reached"),
            Self::FewTiles { empty, failed, of } => {
                write!(f, "hardly any tiles: of the first {of} answers {empty} are empty and {failed} failed")
            }
        }
    }
}

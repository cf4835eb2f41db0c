//! Whether a program stops well: scenario, trials, measurements, verdict.
//!
//! All of it is pure but for [`run`](run()): it reads texts that it is given and makes texts and values. In reading order:
//!
//! - [`scenario`]: what a program is put through and what is demanded of it; the file `prove.yaml`.
//! - [`replay`]: what is done to one trial, as a value and as the line that replays it.
//! - [`moments`]: plans the trials.
//! - [`packs`]: lines that may not be written once a program was asked to stop.
//! - [`trial`]: what was seen in one trial; [`judge`]: held against what is demanded.
//! - [`stats`]: times and counts of many trials.
//! - [`shrink`]: makes a failing trial as short as possible.
//! - [`run`](run()): makes the trials, one by `stage`, which looks at the program by `watch`.
//! - [`verdict`]: all trials together; as JSON, JUnit XML, text and, from `page`, HTML.

mod draw;
pub mod judge;
mod markup;
pub mod moments;
pub mod packs;
mod page;
pub mod replay;
mod run;
pub mod scenario;
pub mod shrink;
mod stage;
pub mod stats;
mod time;
pub mod trial;
pub mod verdict;
mod watch;

pub(crate) use self::stage::play;
pub use self::{
    replay::{Replay, ReplayError},
    run::{Options, Progress, run},
    scenario::{Scenario, ScenarioError},
    verdict::{Tally, Verdict},
};

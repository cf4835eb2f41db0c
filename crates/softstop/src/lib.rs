#![doc = include_str!("front.md")]

// In reading order: the way in, the decisions, the hands, the records, the edges.
mod alarm;
mod answer;
mod bell;
mod busy;
mod console;
mod driver;
mod emergency;
mod entry;
mod error;
mod events;
mod health;
mod hooks;
mod inner;
mod ledger;
mod machine;
mod nested;
#[cfg_attr(not(any(feature = "metrics", feature = "tracing")), path = "outlet_off.rs")]
mod outlet;
mod place;
mod plan;
mod probe;
mod report;
mod scope;
mod service;
mod shared;
mod signal;
mod stage;
mod steps;
mod stream;
mod supervise;
mod sync;
#[cfg_attr(not(feature = "systemd"), path = "systemd_off.rs")]
mod systemd;
mod task;
mod timeline;
mod wait;
mod watchdog;

#[cfg(feature = "serde")]
mod config;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tracing")]
mod trace;

pub use busy::Doing;
#[cfg(feature = "serde")]
pub use config::{ConfigError, Shutdown};
pub use console::ReportTo;
pub use entry::main;
pub use error::{BoxError, Refused, Result, ScopeClosed, Stopping, TaskError};
pub use events::{Event, Events};
pub use ledger::Held;
pub use machine::{Level, Reason, ServiceState, State};
pub use nested::{Nested, NestedEnd};
pub use plan::{Limits, Plan, PlanError};
pub use report::{
    Blocker, ComponentReport, Exit, Failure, Leak, Loss, Report, ResourceGroup, SCHEMA_VERSION, Saved, SignalReport,
    Status, StepReport, StillOpen, TaskGroup,
};
pub use scope::{End, Flag, Scope};
pub use service::{Dep, Handle, Needs, Options, Service};
pub use stream::Until;
pub use supervise::{Policy, Restart};
pub use task::{Name, Outcome, Task};

/// Compiles the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

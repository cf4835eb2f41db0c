//! What the program wants called when a stop begins and when it is over.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, Location, catch_unwind},
};

use crate::{
    machine::Reason,
    report::{Failure, Report},
    shared::{Shared, lock},
    task::{Outcome, panic_text},
};

type Before = Box<dyn FnOnce(&Reason) + Send>;
type After = Box<dyn FnOnce(&Report) + Send>;

/// The hooks of one service, each with the place that registered it.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) before: Vec<(&'static Location<'static>, Before)>,
    pub(crate) after: Vec<(&'static Location<'static>, After)>,
}

impl Hooks {
    /// In order of registration. A panic is a failure of the service and keeps no other hook from running.
    pub(crate) fn run_before(&mut self, shared: &Shared, reason: &Reason) {
        for (site, hook) in std::mem::take(&mut self.before) {
            if let Err(message) = caught(|| hook(reason)) {
                let component = lock(&shared.record).service.clone();
                shared.note_failure(Failure {
                    component,
                    task: Some("before_stop".to_owned()),
                    site: Some(site.to_string()),
                    outcome: Outcome::Panicked,
                    message,
                    at: shared.now(),
                });
            }
        }
    }

    /// In reverse order. The outcome is decided: a panic is a note in the report.
    pub(crate) fn run_after(&mut self, report: &mut Report) {
        for (site, hook) in std::mem::take(&mut self.after).into_iter().rev() {
            if let Err(message) = caught(|| hook(report)) {
                report.notes.push(format!("the after_stop hook registered at {site} panicked: {message}"));
            }
        }
    }
}

fn caught(hook: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(hook)).map_err(|panic: Box<dyn Any + Send>| panic_text(&*panic))
}

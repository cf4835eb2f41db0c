//! What the tests of the shell share.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use softstop::{ComponentReport, Outcome, Reason, Report, Service};

/// A list of words that any task may add to.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, word: impl Into<String>) {
        self.0.lock().unwrap().push(word.into());
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Adds its word when it is dropped.
    pub(crate) fn on_drop(&self, word: &str) -> OnDrop {
        OnDrop(self.clone(), word.to_owned())
    }
}

pub(crate) struct OnDrop(Log, String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(self.1.clone());
    }
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn test_reason() -> Reason {
    Reason::Requested("test".into())
}

/// Runs the service and asks it to stop after `after` of the clock.
pub(crate) async fn run_for(service: Service, after: Duration) -> Report {
    service
        .run(async move {
            tokio::time::sleep(after).await;
            test_reason()
        })
        .await
}

/// Runs a service that ends by itself.
pub(crate) async fn run(service: Service) -> Report {
    service.run(std::future::pending()).await
}

pub(crate) fn component<'a>(report: &'a Report, name: &str) -> &'a ComponentReport {
    report.components.iter().find(|c| c.name == name).unwrap()
}

/// How many tasks called `task` ended so.
pub(crate) fn count(report: &Report, task: &str, outcome: Outcome) -> u64 {
    let tasks = report.components.iter().flat_map(|c| &c.tasks);
    tasks.filter(|t| t.name == task && t.outcome == Some(outcome)).map(|t| t.count).sum()
}

/// Never returns, and knows nothing of stopping.
pub(crate) async fn forever() -> softstop::Result {
    std::future::pending().await
}

/// A service of one component, `c`, with this start.
pub(crate) fn with<F, Fut>(start: F) -> Service
where
    F: FnOnce(softstop::Scope) -> Fut + Send + 'static,
    Fut: Future<Output = softstop::Result> + Send + 'static,
{
    let mut service = Service::new("test");
    service.component("c", (), move |scope, ()| start(scope));
    service
}

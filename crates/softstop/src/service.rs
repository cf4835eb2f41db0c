//! The service: its components, what they need of one another, and how it is run.

use std::{
    any::Any,
    fmt,
    marker::PhantomData,
    panic::Location,
    slice,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    console::{ReportTo, StatusLine},
    driver::{Driver, Message},
    error::Result,
    events::{Event, Events},
    hooks::Hooks,
    machine::{Level, Reason},
    plan::{Budget, Limits, Node, Plan, PlanError, plan},
    report::{Report, Status},
    scope::{BoxFuture, Scope},
    shared::{Life, Shared, lock, nanos},
};

pub(crate) type Value = Arc<dyn Any + Send + Sync>;
/// Where the program describes a component.
pub(crate) type Site = &'static Location<'static>;
pub(crate) type Start = Box<dyn FnOnce(Scope, Vec<Value>) -> BoxFuture<Result<Value>> + Send>;

/// What a component produced, for those that need it. A copyable index with a type.
pub struct Dep<T> {
    at: usize,
    service: usize,
    _type: PhantomData<fn() -> T>,
}

impl<T> Clone for Dep<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Dep<T> {}

impl<T> fmt::Debug for Dep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dep({})", self.at)
    }
}

/// A set of dependencies: `()`, one [`Dep`], an `Option` of a set, or a tuple of up to eight.
///
/// An `Option` is for what is not always part of the program: the start function is given `None` where there is none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of dependencies",
    label = "pass `()`, one `Dep<T>`, an `Option` of it, or a tuple of up to eight",
    note = "a `Dep<T>` is what `Service::component` returned; T must be Clone + Send + Sync"
)]
pub trait Needs {
    /// What the start function is given: a clone of each product.
    type Given: Send + 'static;
    #[doc(hidden)]
    fn places(&self) -> Vec<(usize, usize)>;
    #[doc(hidden)]
    fn given(&self, values: &mut slice::Iter<'_, Value>) -> Option<Self::Given>;
}

impl Needs for () {
    type Given = ();

    fn places(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    fn given(&self, _: &mut slice::Iter<'_, Value>) -> Option<()> {
        Some(())
    }
}

impl<T: Clone + Send + Sync + 'static> Needs for Dep<T> {
    type Given = T;

    fn places(&self) -> Vec<(usize, usize)> {
        vec![(self.service, self.at)]
    }

    fn given(&self, values: &mut slice::Iter<'_, Value>) -> Option<T> {
        values.next()?.downcast_ref::<T>().cloned()
    }
}

impl<N: Needs> Needs for Option<N> {
    type Given = Option<N::Given>;

    fn places(&self) -> Vec<(usize, usize)> {
        self.as_ref().map(N::places).unwrap_or_default()
    }

    fn given(&self, values: &mut slice::Iter<'_, Value>) -> Option<Self::Given> {
        self.as_ref().map_or(Some(None), |needs| needs.given(values).map(Some))
    }
}

macro_rules! needs {
    ($($type:ident $at:tt),*) => {
        impl<$($type: Needs),*> Needs for ($($type,)*) {
            type Given = ($($type::Given,)*);

            fn places(&self) -> Vec<(usize, usize)> {
                [$(self.$at.places()),*].concat()
            }

            fn given(&self, values: &mut slice::Iter<'_, Value>) -> Option<Self::Given> {
                Some(($(self.$at.given(values)?,)*))
            }
        }
    };
}
needs!(A 0);
needs!(A 0, B 1);
needs!(A 0, B 1, C 2);
needs!(A 0, B 1, C 2, D 3);
needs!(A 0, B 1, C 2, D 3, E 4);
needs!(A 0, B 1, C 2, D 3, E 4, F 5);
needs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
needs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// The whole program as one lifecycle: components, their order, their budgets.
pub struct Service {
    nodes: Vec<Node>,
    /// The same as the nodes' `needs`, in the order of the start function's arguments.
    handles: Vec<Vec<usize>>,
    starts: Vec<Start>,
    sites: Vec<Site>,
    pub(crate) budget: Budget,
    pub(crate) report_to: Option<ReportTo>,
    pub(crate) dies_by_signal: bool,
    pub(crate) current_thread: bool,
    pub(crate) quiet: bool,
    pub(crate) status_line: Option<StatusLine>,
    pub(crate) shared: Arc<Shared>,
    messages: UnboundedReceiver<Message>,
    hooks: Hooks,
    life: Life,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        f.debug_struct("Service").field("components", &names).finish_non_exhaustive()
    }
}

impl Service {
    /// An empty service; `name` stands in reports.
    pub fn new(name: impl Into<String>) -> Self {
        let (sender, messages) = unbounded_channel();
        let shared = Arc::new(Shared::new(sender));
        lock(&shared.record).service = name.into();
        Self {
            nodes: Vec::new(),
            handles: Vec::new(),
            starts: Vec::new(),
            sites: Vec::new(),
            budget: Budget::default(),
            report_to: None,
            dies_by_signal: false,
            current_thread: false,
            quiet: false,
            status_line: None,
            life: Life(Arc::clone(&shared)),
            shared,
            messages,
            hooks: Hooks::default(),
        }
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.shared) as usize
    }

    /// Renames the service.
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        lock(&self.shared.record).service = name.into();
        self
    }

    /// States how long a stop may take in all; 25 s unless stated, under the 30 s that
    /// orchestrators give.
    pub fn total(&mut self, total: Duration) -> &mut Self {
        self.budget.total = total;
        self.shared.total.store(nanos(total), Ordering::Release);
        self
    }

    /// States what the systemd unit of this program gives it to stop (`TimeoutStopSec=`) and to start
    /// (`TimeoutStartSec=`), the shorter of the two; 90 s unless stated, which is systemd's default. A
    /// process is not told. [`main`](crate::main) asks systemd for more where the total, or the stated
    /// limits of the components that are starting, go beyond it; starts without a limit are not extended.
    #[cfg(feature = "systemd")]
    pub fn unit_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.shared.unit.set_timeout(timeout);
        self
    }

    /// Makes a resource that its task left open a reason for exit status 84.
    pub fn strict(&mut self) -> &mut Self {
        lock(&self.shared.record).strict = true;
        self
    }

    /// Says where [`main`](crate::main) writes the report besides its last line. The environment
    /// variable `SOFTSTOP_REPORT` comes before it.
    pub fn report_to(&mut self, to: ReportTo) -> &mut Self {
        self.report_to = Some(to);
        self
    }

    /// After a clean stop by a signal, [`main`](crate::main) dies by the same signal (a shell
    /// shows 130 for SIGINT and 143 for SIGTERM) instead of returning 0.
    pub fn dies_by_signal(&mut self) -> &mut Self {
        self.dies_by_signal = true;
        self
    }

    /// Lets [`main`](crate::main) run everything on one thread, besides blocking jobs: for a program that waits more than it
    /// computes, less processor time than with a worker for each processor. A task that holds that thread holds up all
    /// others, and the stop; signals, the total and the report do not need it.
    pub fn current_thread(&mut self) -> &mut Self {
        self.current_thread = true;
        self
    }

    /// Leaves it to the program to say how it ended, as a command does: after a clean stop [`main`](crate::main) prints no last line,
    /// and where something failed `error: ` and its message. A stop that was asked for is told of all the same: whoever pressed Ctrl+C
    /// wants to see that it was heard.
    pub fn quiet(&mut self) -> &mut Self {
        self.quiet = true;
        self
    }

    /// Lets [`main`](crate::main) draw a line of the program at the bottom of the terminal, ten times a second and until the end,
    /// such as a progress bar; what else is printed goes above it. It is given the columns there are and may return nothing.
    /// Where stderr is no terminal nothing is drawn.
    ///
    /// It is called on the thread that prints: it must not block, and ends the line if it panics.
    pub fn status_line(&mut self, line: impl Fn(usize) -> String + Send + 'static) -> &mut Self {
        self.status_line = Some(Box::new(line));
        self
    }

    /// Registers what is called once when a stop has begun, whatever began it, and before any component
    /// is told of it. Several are called in the order of registration.
    ///
    /// A hook is synchronous and must return soon: the stop waits for it, and its time is taken from the
    /// total. What has to wait for something belongs into a component. Its panic is a failure in the
    /// report, status 81, and keeps nothing else from running. One that hangs cannot be ended:
    /// [`main`](crate::main) leaves without it when the total is over, status 82;
    /// [`run`](Self::run) waits for it.
    ///
    /// Not called where nothing was started because the graph cannot be run, where the run is dropped,
    /// and where a person or the total gives the service up before its runtime has taken notice.
    #[track_caller]
    pub fn before_stop(&mut self, hook: impl FnOnce(&Reason) + Send + 'static) -> &mut Self {
        self.hooks.before.push((Location::caller(), Box::new(hook)));
        self
    }

    /// Registers what is called once when everything has ended and the report is made, before
    /// [`run`](Self::run) returns it or [`main`](crate::main) prints its last line. Several are called in
    /// reverse order of registration: what was set up first, as a log, is taken down last.
    ///
    /// The rules of [`before_stop`](Self::before_stop) hold, with one difference: the outcome is decided, so
    /// a panic is a note in the report and nothing else.
    ///
    /// Not called where nothing was started because the graph cannot be run, where the run is dropped,
    /// and where [`main`](crate::main) gives the service up: [`Scope::emergency`] is for that.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut service = softstop::Service::new("test");
    /// service.before_stop(|reason| println!("about to stop: {reason}"));
    /// service.after_stop(|report| assert_eq!(report.status, softstop::Status::Clean));
    /// service.run(async { softstop::Reason::Requested("test".into()) }).await;
    /// # }
    /// ```
    #[track_caller]
    pub fn after_stop(&mut self, hook: impl FnOnce(&Report) + Send + 'static) -> &mut Self {
        self.hooks.after.push((Location::caller(), Box::new(hook)));
        self
    }

    /// Adds a component.
    ///
    /// `start` is called once all that it `needs` is ready, with a scope and a clone of what each
    /// of them produced. When it returns `Ok` the component is ready, and what it returned is kept
    /// only until the last dependent has received it: a channel's sender handed out here closes
    /// the channel by itself when the dependents have gone.
    #[track_caller]
    pub fn component<N, T, F, Fut>(&mut self, name: impl Into<String>, needs: N, start: F) -> Dep<T>
    where
        N: Needs + Send + 'static,
        T: Send + Sync + 'static,
        F: FnOnce(Scope, N::Given) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send + 'static,
    {
        let (at, service) = (self.nodes.len(), self.id());
        let own = |(of, at): (usize, usize)| (of == service).then_some(at);
        let places: Vec<Option<usize>> = needs.places().into_iter().map(own).collect();
        self.handles.push(places.iter().flatten().copied().collect());
        self.nodes.push(Node { name: name.into(), needs: places, ..Node::default() });
        self.sites.push(Location::caller());
        self.starts.push(Box::new(move |scope, values| {
            Box::pin(async move {
                let given =
                    needs.given(&mut values.iter()).ok_or("a dependency produced another type than its handle says")?;
                drop(values);
                Ok(Arc::new(start(scope, given).await?) as Value)
            })
        }));
        Dep { at, service, _type: PhantomData }
    }

    /// What else can be said of a component: `s.options(feed).main_job().drain(d)`.
    ///
    /// # Panics
    ///
    /// If another service returned `of`.
    pub fn options<T>(&mut self, of: Dep<T>) -> Options<'_> {
        assert!(of.service == self.id(), "this `Dep` was returned by another service");
        Options { node: &mut self.nodes[of.at] }
    }

    #[cfg(feature = "serde")]
    pub(crate) fn node_named(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    #[cfg(feature = "serde")]
    pub(crate) fn component_names(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    /// Finds what is wrong with the graph or its budgets, and says how the total is divided.
    /// Starts nothing; [`run`](Self::run) does the same first.
    ///
    /// # Errors
    ///
    /// [`PlanError`]: a cycle, an unknown or duplicate name, reserves that do not fit the total.
    pub fn check(&self) -> Result<Plan, PlanError> {
        plan(&self.nodes, &self.budget)
    }

    /// A handle to stop and to watch the service from anywhere.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Runs the service in the caller's runtime until it has stopped. `stop` is the wish to stop;
    /// [`std::future::pending`] for a service that ends by itself or by its [`Handle`].
    ///
    /// It touches no signals, prints nothing, reads no environment and does not end the process;
    /// a graph that cannot be run is a report with status 78.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping it aborts all tasks and runs no `on_stop`. What is open is
    /// dropped without its closing act.
    pub async fn run(self, stop: impl Future<Output = Reason>) -> Report {
        self.run_with(stop, false).await
    }

    pub(crate) async fn run_with(self, stop: impl Future<Output = Reason>, leaves: bool) -> Report {
        let _life = self.life;
        let plan = match plan(&self.nodes, &self.budget) {
            Ok(plan) => plan,
            Err(error) => {
                let mut report = self.shared.report();
                (report.status, report.why) = (Status::Configuration, error.to_string());
                self.shared.tell_end(&report);
                self.shared.outlet.drain(&self.shared);
                return report;
            }
        };
        let _ = self.shared.runtime.set(tokio::runtime::Handle::current());
        let driver = Driver::new(self.shared, plan, self.handles, self.starts, &self.sites, self.hooks);
        driver.run(self.messages, stop, leaves).await
    }
}

/// Settings of one component; see [`Service::options`].
#[derive(Debug)]
pub struct Options<'a> {
    node: &'a mut Node,
}

impl Options<'_> {
    /// When this component's last task has ended, the service stops with status 0.
    pub fn main_job(self) -> Self {
        self.node.main_job = true;
        self
    }

    /// When one of its tasks fails, the others are cancelled at once instead of serving the
    /// component's dependents until these have gone.
    pub fn together(self) -> Self {
        self.node.together = true;
        self
    }

    /// Also starts after the component with this name, and stops before it. For graphs made from
    /// configuration; a [`Dep`] is better where the program knows.
    pub fn after(self, name: impl Into<String>) -> Self {
        self.node.after.push(name.into());
        self
    }

    /// How long it goes on accepting from outside after the stop was announced: the first part of
    /// its drain, ended by hurry. For components behind a balancer that needs time to notice.
    pub fn unready_delay(self, delay: Duration) -> Self {
        self.node.unready = delay;
        self
    }

    /// States all limits at once.
    pub fn limits(self, limits: Limits) -> Self {
        self.node.limits = limits;
        self
    }

    /// Limits the start.
    pub fn start(self, limit: Duration) -> Self {
        self.node.limits.start = Some(limit);
        self
    }

    /// Limits the drain.
    pub fn drain(self, limit: Duration) -> Self {
        self.node.limits.drain = Some(limit);
        self
    }

    /// Limits the time to return after being cancelled.
    pub fn cancel(self, limit: Duration) -> Self {
        self.node.limits.cancel = Some(limit);
        self
    }

    /// Limits `on_stop`.
    pub fn save(self, limit: Duration) -> Self {
        self.node.limits.save = Some(limit);
        self
    }

    /// Limits the closing of its resources.
    pub fn close(self, limit: Duration) -> Self {
        self.node.limits.close = Some(limit);
        self
    }
}

/// Stops and watches a service from anywhere; cheap to clone, harmless after the end.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("ready", &self.is_ready()).field("level", &self.level()).finish()
    }
}

impl Handle {
    /// Asks for a graceful stop and returns at once. Asking twice is harmless: the first reason
    /// wins.
    pub fn stop(&self, reason: Reason) {
        self.shared.send(Message::Stop(reason));
    }

    /// Shortens the waiting of a stop that has begun; before one it does nothing.
    pub fn hurry(&self) {
        self.shared.send(Message::Hurry);
    }

    /// Tells whoever watches, as [`Scope::say`](crate::Scope::say) does, in the name of the service.
    pub fn say(&self, text: impl Into<String>) {
        let component = lock(&self.shared.record).service.clone();
        self.shared.tell(&Event::Said { component, text: text.into(), at: self.shared.now() });
    }

    /// How hard the service is being stopped.
    pub fn level(&self) -> Level {
        self.shared.level()
    }

    /// The report as of now, while the service runs or stops.
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// What happens from now on, one event after the other, to the end of the run. Who comes after it
    /// gets an empty stream that has ended.
    ///
    /// Nothing waits for a reader: an unread stream costs the service nothing but the memory of 1,024
    /// events. Further ones push the oldest out, so that the end is never what is missing, and
    /// [`Events::missed`] says how many.
    pub fn events(&self) -> Events {
        self.shared.read_events()
    }
}

//! Every order of the threads, for the parts of softstop that do without a lock or have wakers of their own.
//!
//! The files are those that ship. Only what they are made of is another: [`sync`] is loom's here, and
//! [`inner`] and [`machine`] stand in for the rest of a scope. A model runs its threads in all orders, and
//! lets every load see every value that the memory model allows it to see; a wake-up that is lost is a
//! deadlock, which loom reports. `mutants.sh` shows that the models fail where the files are wrong.

#[path = "../src/alarm.rs"]
mod alarm;
#[path = "../src/bell.rs"]
mod bell;
#[path = "../src/place.rs"]
mod place;
#[path = "../src/stage.rs"]
mod stage;
#[path = "../src/wait.rs"]
mod wait;

mod inner;
mod sync;

mod machine {
    #[derive(Debug)]
    pub(crate) struct Reason;
}

mod alarms;
mod bells;
mod drains;
mod places;
mod waits;

/// Runs `model` in all orders, or in those with few preemptions where all are too many, and says how many.
fn check(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let orders = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = std::sync::Arc::clone(&orders);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{} orders", orders.load(std::sync::atomic::Ordering::Relaxed));
}

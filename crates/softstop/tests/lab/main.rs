//! The program that the process tests start, signal and watch: `lab SCENARIO [key=value | flag]…`.
//!
//! What the tests must know it appends, line by line, to the file named by `LAB_JOURNAL`; it goes
//! on past a gate when the file `LAB_JOURNAL` + `.go` exists. Every scenario knows `total=SECONDS`,
//! `unit=SECONDS`, `dies`, `one_thread`, `quiet` and `strict`, hooks `before=HOW` and `after=HOW` the stop; `signals`, `trace` and
//! `measure` note what is told of them. It writes `ready` when all its components run, `not ready` when that is over.
#![expect(clippy::unwrap_used, reason = "a helper of tests may stop at the first surprise")]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{File, OpenOptions},
    future::pending,
    io::{Write, stderr},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc as blocking,
    },
    thread,
    time::Duration,
};

use softstop::{BoxError, Event, Events, Handle, Limits, Reason, Result, Scope, Service};
use tokio::sync::mpsc;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let scenario = words.next().unwrap_or_default();
    let args = Args::parse(words);
    if args.has("hang_at_exit") {
        HANGS_AT_EXIT.set(Some(Hangs));
    }
    softstop::main(|service| build(service, &scenario, args))
}

fn build(service: &mut Service, scenario: &str, args: Args) -> Result {
    if let Some(total) = args.seconds("total") {
        service.total(total);
    }
    #[cfg(feature = "systemd")]
    if let Some(timeout) = args.seconds("unit") {
        service.unit_timeout(timeout);
    }
    if args.has("dies") {
        service.dies_by_signal();
    }
    if args.has("quiet") {
        service.quiet();
    }
    if args.has("one_thread") {
        service.current_thread();
    }
    if args.has("strict") {
        service.strict();
    }
    if args.has("before") {
        let how = args.text("before").to_owned();
        service.before_stop(move |reason| hook(&format!("before: {reason}"), &how));
    }
    if args.has("after") {
        let how = args.text("after").to_owned();
        service.after_stop(move |report| hook(&format!("after: {}", report.status), &how));
    }
    if args.has("trace") {
        tracing::subscriber::set_global_default(Traces)?;
    }
    if args.has("measure") {
        metrics::set_global_recorder(Measures).map_err(|_| "a second recorder")?;
    }
    if args.has("signals") {
        let events = service.handle().events();
        thread::spawn(move || note_signals(events));
    }
    let args = Arc::new(args);
    match scenario {
        "stack" => stack(service, &args),
        "blocked" => blocked(service, &args),
        "building" => building(service, &args)?,
        "chain" => chain(service, &args),
        "pipeline" => pipeline(service, &args),
        "mixed" => mixed(service, &args),
        "failing" => failing(service, &args),
        "product" => product(service),
        "circle" => circle(service),
        _ => return Err(format!("no scenario `{scenario}`").into()),
    }
    let handle = service.handle();
    thread::spawn(move || say_when_ready(&handle));
    Ok(())
}

// ---- what the scenarios are made of -------------------------------------------------------

/// `key=value` and flags.
struct Args(BTreeMap<String, String>);

impl Args {
    fn parse(words: impl Iterator<Item = String>) -> Self {
        let split = |word: String| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (word, String::new()),
        };
        Self(words.map(split).collect())
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key).map(|value| value.parse().unwrap())
    }

    fn seconds(&self, key: &str) -> Option<Duration> {
        self.0.get(key).map(|value| Duration::from_secs_f64(value.parse().unwrap()))
    }

    fn limits(&self) -> Limits {
        Limits {
            start: self.seconds("start_limit"),
            drain: self.seconds("drain_limit"),
            cancel: self.seconds("cancel_limit"),
            save: self.seconds("save_limit"),
            close: self.seconds("close_limit"),
        }
    }
}

fn journal_path() -> PathBuf {
    std::env::var_os("LAB_JOURNAL").unwrap().into()
}

/// One line, in one write, so that threads do not mix.
fn journal(line: impl std::fmt::Display) {
    static JOURNAL: OnceLock<File> = OnceLock::new();
    let open = || OpenOptions::new().create(true).append(true).open(journal_path()).unwrap();
    let mut file = JOURNAL.get_or_init(open);
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn gate_is_open() -> bool {
    journal_path().with_extension("go").exists()
}

async fn gate() {
    while !gate_is_open() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn say_when_ready(handle: &Handle) {
    while !handle.is_ready() {
        thread::park_timeout(Duration::from_millis(1));
    }
    journal("ready");
    while handle.is_ready() {
        thread::park_timeout(Duration::from_millis(1));
    }
    journal("not ready");
}

/// Notes the name of every `tracing` event of the library.
struct Traces;

impl tracing::Subscriber for Traces {
    fn enabled(&self, about: &tracing::Metadata<'_>) -> bool {
        about.target() == "softstop"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        journal(event.metadata().name());
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Notes every increment of a counter of the library; times and levels it passes over.
struct Measures;

struct Count(String);

impl metrics::CounterFn for Count {
    fn increment(&self, by: u64) {
        journal(format!("{} +{by}", self.0));
    }

    fn absolute(&self, _: u64) {}
}

impl metrics::Recorder for Measures {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        metrics::Counter::from_arc(Arc::new(Count(format!("{}{{{}}}", key.name(), labels.join(",")))))
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

/// Notes the signals that the service tells of, on a thread and a runtime of its own.
fn note_signals(mut events: Events) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        while let Some(event) = events.next().await {
            if let Event::Signal { number, effect, .. } = event {
                journal(format!("signal {number}: {effect}"));
            }
        }
    });
}

async fn for_ever() -> Result {
    pending().await
}

/// Blocks this thread for ever without using its processor.
fn block_for_ever() {
    let (_open, receiver) = blocking::channel::<()>();
    let _ = receiver.recv();
}

/// Its destructor never returns.
struct Hangs;

impl Drop for Hangs {
    fn drop(&mut self) {
        journal("destructor hangs");
        block_for_ever();
    }
}

thread_local! {
    static HANGS_AT_EXIT: RefCell<Option<Hangs>> = const { RefCell::new(None) };
}

/// Opens something whose closing is noted.
async fn open_noted(scope: &Scope, name: String) -> Result {
    let open = async { Ok::<_, BoxError>(name) };
    let held = scope
        .open("thing", open, async |name| {
            journal(format!("{name} closed"));
            Ok(())
        })
        .await?;
    drop(held); // It was opened while starting: the ledger keeps it until the component closes.
    Ok(())
}

// ---- scenarios ----------------------------------------------------------------------------

/// store <- feed. The store saves for `save` seconds; the feed's task holds its drain until the
/// `gate`, until it is cancelled (`cancel`), or for ever (`never`): `hold=`.
fn stack(service: &mut Service, args: &Arc<Args>) {
    let handle = service.handle();
    let own = Arc::clone(args);
    let store = service.component("store", (), async move |scope, ()| {
        open_noted(&scope, "store".to_owned()).await?;
        if let Some(items) = own.number("owe") {
            scope.owe("items", items);
        }
        for hook in own.text("emergency").split(',').filter(|hook| !hook.is_empty()) {
            let hook = hook.to_owned();
            scope.emergency(move || emergency(&hook));
        }
        let save = own.seconds("save").unwrap_or_default();
        scope.on_stop(async move |_| {
            journal("store saves");
            tokio::time::sleep(save).await;
            journal("store saved");
            Ok(())
        });
        Ok(())
    });
    service.options(store).limits(args.limits());
    let own = Arc::clone(args);
    let feed = service.component("feed", store, async move |scope, ()| {
        open_noted(&scope, "feed".to_owned()).await?;
        scope.on_stop(async |_| {
            journal("feed saved");
            Ok(())
        });
        if own.has("hurries") {
            scope.spawn("hurrier", async move {
                gate().await;
                handle.stop(Reason::Requested("the lab".into()));
                handle.hurry();
                Ok(())
            });
        }
        let fails = own.has("fails");
        scope.spawn_with("work", async move |scope| {
            if fails {
                gate().await;
                return Err("the peer has gone".into());
            }
            scope.draining().await;
            journal("feed drains");
            match own.text("hold") {
                "gate" => gate().await,
                "cancel" => {
                    scope.cancelled().await;
                }
                "never" => for_ever().await?,
                _ => {}
            }
            journal("feed ends");
            Ok(())
        });
        Ok(())
    });
    if args.has("cancel_limit") {
        service.options(feed).cancel(args.seconds("cancel_limit").unwrap());
    }
}

fn emergency(how: &str) {
    hook(&format!("emergency {how}"), how);
}

fn hook(line: &str, how: &str) {
    journal(line);
    match how {
        "hangs" => block_for_ever(),
        "panics" => panic!("a hook panicked"),
        _ => {}
    }
}

/// Threads and workers that never come back: `how=`.
fn blocked(service: &mut Service, args: &Arc<Args>) {
    let own = Arc::clone(args);
    let hog = service.component("hog", (), async move |scope, ()| {
        let count = own.number("count").unwrap_or(1);
        scope.emergency(|| journal("emergency"));
        if own.text("how") == "two" {
            scope.spawn("digger", async {
                journal("blocked");
                loop {
                    std::hint::spin_loop();
                }
                #[expect(unreachable_code, reason = "gives the block its type")]
                Ok(())
            });
            scope.spawn("sleeper", async {
                journal("blocked");
                block_for_ever();
                Ok(())
            });
        }
        for _ in 0..count {
            match own.text("how") {
                "spin" => drop(scope.spawn("spinner", async {
                    journal("blocked");
                    loop {
                        std::hint::spin_loop();
                    }
                    #[expect(unreachable_code, reason = "gives the block its type")]
                    Ok(())
                })),
                "park" => drop(scope.spawn("sleeper", async {
                    journal("blocked");
                    block_for_ever();
                    Ok(())
                })),
                // Comes back when the gate opens.
                "nap" => drop(scope.spawn_with("napper", async |_| {
                    journal("blocked");
                    while !gate_is_open() {
                        thread::park_timeout(Duration::from_millis(5));
                    }
                    journal("awake");
                    Ok(())
                })),
                "pool" => drop(scope.spawn_blocking("job", |_| {
                    journal("blocked");
                    block_for_ever();
                    Ok(())
                })),
                "destructor" => drop(scope.spawn("holder", async {
                    let _hangs = Hangs;
                    journal("blocked");
                    for_ever().await
                })),
                "stderr" => drop(scope.spawn("talker", async {
                    journal("blocked");
                    stderr().lock().write_all(&[b'x'; 4096])?;
                    for_ever().await
                })),
                _ => {}
            }
        }
        scope.on_stop(async |_| {
            journal("hog saved");
            Ok(())
        });
        if own.text("how") == "start" {
            journal("blocked");
            block_for_ever();
        }
        Ok(())
    });
    service.options(hog).limits(args.limits());
    if args.text("how") == "start" {
        for n in 1..args.number("count").unwrap_or(1) {
            service.component(format!("hog {n}"), (), async |_, ()| {
                journal("blocked");
                block_for_ever();
                Ok(())
            });
        }
    }
}

/// The closure that describes the service takes its time: until the gate, or for ever.
fn building(service: &mut Service, args: &Arc<Args>) -> Result {
    journal("building");
    if args.has("fails") {
        return Err("the file `lab.toml` is empty".into());
    }
    if args.has("for_ever") {
        block_for_ever();
    }
    while !gate_is_open() {
        thread::park_timeout(Duration::from_millis(5));
    }
    service.component("one", (), async |scope, ()| {
        journal("one starts");
        scope.on_stop(async |_| {
            journal("one saved");
            Ok(())
        });
        Ok(())
    });
    Ok(())
}

/// c0 <- c1 <- c2 <- c3. The start of number `at` ends as `how` says.
fn chain(service: &mut Service, args: &Arc<Args>) {
    let mut before = None;
    for n in 0..4 {
        let own = Arc::clone(args);
        let start = async move |scope: Scope| {
            journal(format!("c{n} starts"));
            open_noted(&scope, format!("c{n}")).await?;
            scope.on_stop(async move |_| {
                journal(format!("c{n} saved"));
                Ok(())
            });
            if own.number("at") == Some(n) {
                journal("there");
                match own.text("how") {
                    "fails" => return Err("no connection".into()),
                    "panics" => panic!("no connection"),
                    "gate" => gate().await,
                    "cooperates" => {
                        scope.cancelled().await;
                        return Err("the start was given up".into());
                    }
                    _ => pending::<()>().await,
                }
            }
            Ok(())
        };
        let this = match before {
            None => service.component(format!("c{n}"), (), async move |scope, ()| start(scope).await),
            Some(before) => service.component(format!("c{n}"), before, async move |scope, ()| start(scope).await),
        };
        service.options(this).limits(args.limits());
        before = Some(this);
    }
}

/// sink <- feed, a channel of `capacity` between them. The sink takes `millis` for each item.
fn pipeline(service: &mut Service, args: &Arc<Args>) {
    static KEPT_OPEN: OnceLock<mpsc::Sender<u64>> = OnceLock::new();
    let own = Arc::clone(args);
    let sink = service.component("sink", (), async move |scope, ()| {
        let (sender, mut items) = mpsc::channel(own.number("capacity").unwrap_or(64).try_into()?);
        if own.has("sender_lives") {
            KEPT_OPEN.get_or_init(|| sender.clone());
        }
        let kept = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&kept);
        scope.on_stop(async move |_| {
            journal(format!("kept {}", count.load(Ordering::SeqCst)));
            Ok(())
        });
        scope.spawn_with("write", async move |scope| {
            if own.has("waits") {
                scope.draining().await;
            }
            let mut pace = own.seconds("pace").map(tokio::time::interval);
            loop {
                let next = scope.until_draining(items.recv());
                let next = if own.has("heeds_cancel") { scope.until_cancelled(next).await } else { Some(next.await) };
                let Some(Some(Some(_))) = next else { return Ok(()) };
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
                kept.fetch_add(1, Ordering::SeqCst);
                if own.has("owes") {
                    scope.settle("items", 1);
                }
            }
        });
        Ok(sender)
    });
    let own = Arc::clone(args);
    service.component("feed", sink, async move |scope, sender| {
        let accepted = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&accepted);
        scope.on_stop(async move |_| {
            journal(format!("accepted {}", count.load(Ordering::SeqCst)));
            Ok(())
        });
        let account = scope.clone();
        scope.spawn("read", async move {
            for n in 0..own.number("items").unwrap() {
                let room = sender.reserve().await?;
                if own.has("owes") {
                    account.owe("items", 1);
                }
                accepted.fetch_add(1, Ordering::SeqCst);
                room.send(n);
            }
            drop(sender);
            journal("sent");
            for_ever().await
        });
        Ok(())
    });
}

/// Anything that makes an exit status, alone or together.
fn mixed(service: &mut Service, args: &Arc<Args>) {
    let own = Arc::clone(args);
    let part = service.component("part", (), async move |scope, ()| {
        if own.has("loss") {
            scope.owe("items", 3);
        }
        if own.has("leak") {
            let forgets = async |scope: Scope| {
                drop(scope.open("socket", async { Ok::<_, BoxError>(()) }, async |()| Ok(())).await?);
                Ok(())
            };
            scope.spawn_with("forgets", forgets).await?;
        }
        if own.has("close_fails") {
            scope.open("file", async { Ok::<_, BoxError>(()) }, async |()| Err("no space left".into())).await?;
        }
        if own.has("close_hangs") {
            scope.open("file", async { Ok::<_, BoxError>(()) }, async |()| for_ever().await).await?;
        }
        let (fails, panics, hangs) = (own.has("save_fails"), own.has("save_panics"), own.has("save_hangs"));
        scope.on_stop(async move |_| {
            journal("part saves");
            if hangs {
                pending::<()>().await;
            }
            assert!(!panics, "the save panicked");
            if fails { Err("no space left".into()) } else { Ok(()) }
        });
        Ok(())
    });
    service.options(part).limits(args.limits());
    if args.has("start_fails") {
        service.component("broken", part, async |_, ()| Err::<(), _>("no connection".into()));
    }
    let own = Arc::clone(args);
    let side = service.component("side", part, async move |scope, ()| {
        if own.has("overrun") {
            scope.spawn_with("deaf", async |_| for_ever().await);
        }
        if own.has("failure") {
            scope.spawn_with("breaks", async |scope| {
                scope.draining().await;
                Err::<(), _>("broke while draining".into())
            });
        }
        scope.on_stop(async |_| {
            journal("side saved");
            Ok(())
        });
        Ok(())
    });
    service.options(side).limits(args.limits());
    let held = args.has("held");
    let handle = service.handle();
    let job = service.component("job", part, async move |scope, ()| {
        if held {
            scope.spawn_with("held", async |scope| {
                scope.draining().await;
                for_ever().await
            });
        }
        Ok(())
    });
    service.options(job).cancel(Duration::from_millis(if held { 9000 } else { 200 }));
    let exit = args.text("exit").parse().ok();
    if args.has("main_job") || exit.is_some() {
        let job = service.component("main job", part, async move |scope, ()| {
            if let Some(code) = exit {
                scope.exit_status(code, "2 files could not be copied");
                scope.say("1 file copied");
                handle.say("2 files were not");
            }
            scope.spawn("once", async {
                gate().await;
                Ok(())
            });
            Ok(())
        });
        service.options(job).main_job();
    }
}

/// A task that fails after the gate, in one of the ways `how` names.
fn failing(service: &mut Service, args: &Arc<Args>) {
    let own = Arc::clone(args);
    service.component("worker", (), async move |scope, ()| {
        scope.on_stop(async |_| {
            journal("worker saved");
            Ok(())
        });
        scope.spawn("work", async move {
            gate().await;
            assert!(own.text("how") != "panics", "a bug");
            Err::<(), _>("the peer has gone".into())
        });
        Ok(())
    });
}

/// A product that the service still holds at the stop, and whose destructor never returns.
fn product(service: &mut Service) {
    let pool = service.component("pool", (), async |_, ()| Ok(Arc::new(Hangs)));
    let slow = service.component("slow", (), async |_, ()| {
        journal("there");
        pending::<()>().await;
        Ok(())
    });
    service.component("user", (pool, slow), async |_, _| Ok(()));
}

fn circle(service: &mut Service) {
    for (name, after) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let this = service.component(name, (), async |_, ()| Ok(()));
        service.options(this).after(after);
    }
}

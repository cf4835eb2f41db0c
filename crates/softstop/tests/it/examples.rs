//! The examples, stopped at every await point.

#[path = "../../examples/05_blocking.rs"]
#[expect(dead_code, reason = "its `main`")]
mod blocking;
#[path = "../../examples/08_http_server.rs"]
#[expect(dead_code, reason = "its `main`")]
mod http_server;
#[path = "../../examples/07_main_job.rs"]
#[expect(dead_code, reason = "its `main`")]
mod main_job;
#[path = "../../examples/06_nested.rs"]
#[expect(dead_code, reason = "its `main`")]
mod nested;
#[path = "../../examples/01_one_task.rs"]
#[expect(dead_code, reason = "its `main`")]
mod one_task;
#[path = "../../examples/03_saving.rs"]
#[expect(dead_code, reason = "its `main`")]
mod saving;
#[path = "../../examples/04_supervise.rs"]
#[expect(dead_code, reason = "its `main`")]
mod supervise;
#[path = "../../examples/02_two_components.rs"]
#[expect(dead_code, reason = "its `main`")]
mod two_components;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use softstop::{Outcome, Report, Result, testing::sweep};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{component, count, ms};

fn any<T>(_: &Report, _: T) -> Result {
    Ok(())
}

#[test]
fn one_task_ends_wherever_it_is_stopped() {
    sweep(one_task::service).lasting(ms(200_000)).run(any);
}

#[test]
fn two_components_keep_every_number_that_was_sent_in_order() {
    sweep(|service| {
        let dir = tempfile::tempdir()?;
        two_components::service(service, dir.path().join("ticks.log"))?;
        Ok(dir)
    })
    // How many polls a file takes is up to the threads that tokio keeps for files.
    .not_repeatable()
    .run(|report, dir: TempDir| {
        let Ok(kept) = fs::read_to_string(dir.path().join("ticks.log")) else {
            assert_eq!(component(report, "feed").started, None, "the sink was ready and has no file");
            return Ok(());
        };
        // Between two numbers the feed sleeps 100 ms, and it sends one before it looks at the stop.
        let ran = component(report, "feed").started.map(|started| report.ran - started);
        let sent = ran.map_or(0, |ran| 1 + ran.as_millis() / 100);
        let expected: String = (0..sent).map(|n| format!("{n}\n")).collect();
        let not_yet: String = (0..sent.saturating_sub(1)).map(|n| format!("{n}\n")).collect();
        assert!(kept == expected || kept == not_yet, "after {ran:?}: {kept:?}");
        Ok(())
    });
}

#[test]
fn saving_saves_what_was_counted_wherever_it_is_stopped() {
    sweep(|service| {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("counter.txt"), "7\n")?;
        saving::service(service, dir.path().join("counter.txt"))?;
        Ok(dir)
    })
    .lasting(ms(20_000))
    .not_repeatable()
    .run(|report, dir: TempDir| {
        let saved: u64 = fs::read_to_string(dir.path().join("counter.txt"))?.trim().parse()?;
        // Every step is 2 s; the one under way is finished unless somebody hurries.
        let steps = u64::try_from((report.ran + report.took).as_millis() / 2000)?;
        assert_eq!(saved, 7 + steps);
        Ok(())
    });
}

#[test]
fn supervise_ends_in_every_pause() {
    // Nobody listens where somebody has just listened.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let swept = sweep(move |service| supervise::service(service, gone)).lasting(ms(20_000)).run(any);

    assert!(swept.points.len() > 20, "{swept:?}");
}

#[test]
fn a_blocking_job_that_looks_at_its_flag_ends() {
    sweep(|service| blocking::service(service, false)).run(any);
}

#[test]
fn nested_pipelines_lose_no_line() {
    sweep(nested::service).lasting(ms(60)).run(|report, ()| {
        assert_eq!(count(report, "parse", Outcome::Aborted) + count(report, "write", Outcome::Aborted), 0);
        Ok(())
    });
}

#[test]
fn a_main_job_ends_by_itself_and_wherever_it_is_stopped() {
    sweep(main_job::service).lasting(ms(5_000)).at_most(300).run(any);
}

#[test]
fn the_server_answers_every_request_that_was_sent() {
    #[derive(Clone, Default)]
    struct Counts {
        asked: Arc<AtomicU64>,
        answered: Arc<AtomicU64>,
    }

    let swept = sweep(|service| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        http_server::service(service, listener)?;
        let counts = Counts::default();
        let own = counts.clone();
        let client = service.component("client", (), async move |scope, ()| {
            scope.spawn_with("ask", async move |scope| {
                // Looked at, the drain waits for the answer.
                while !scope.is_draining() {
                    let Some(asked) = scope.until_cancelled(ask(address, &own.asked)).await else { break };
                    own.answered.fetch_add(u64::from(asked?), Ordering::Relaxed);
                }
                Ok(())
            });
            Ok(())
        });
        service.options(client).after("server");
        Ok(counts)
    })
    .lasting(ms(7_000))
    .run(|report, counts: Counts| {
        let (asked, answered) = (counts.asked.load(Ordering::Relaxed), counts.answered.load(Ordering::Relaxed));
        assert!(asked == answered || !report.levels.is_empty(), "{asked} asked, {answered} answered");
        Ok(())
    });

    assert!(swept.points.len() > 20, "{swept:?}");
}

/// One request; whether the answer was whole.
async fn ask(address: SocketAddr, asked: &AtomicU64) -> Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await?;
    asked.fetch_add(1, Ordering::Relaxed);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.ends_with("\r\n\r\nhello\n"))
}

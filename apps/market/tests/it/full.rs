//! A disk that is full for a while or until the stop, a file that somebody else holds, and one that goes away.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use market::{Config, Progress};
use rusqlite::Connection;
use sims::exchange::Script;
use softstop::{Report, Status};

use super::{
    faults::Rig,
    refill::all_is_there,
    rig::{SYMBOLS, quick},
};

/// A disk with so little room that a test can fill it: a file system in memory, where the test may mount one; otherwise a limit of the
/// file itself and a table that fills it, which is said.
struct Disk {
    folder: PathBuf,
    /// The limit; none where there is a file system of its own.
    most_bytes: Option<u64>,
}

impl Disk {
    /// For the file that `rig` is to have.
    #[expect(clippy::print_stdout, reason = "who reads the output of the test sees what it could not do")]
    async fn over(rig: &Rig) -> Self {
        let folder = rig.folder.path().to_owned();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&folder).status();
        if mount.is_ok_and(|status| status.success()) {
            return Self { folder, most_bytes: None };
        }
        println!("no file system can be mounted here: the file is limited instead");
        rig.run(quick(), async |rig| rig.trades(100).await).await;
        let file = Connection::open(rig.db()).unwrap();
        file.execute_batch("CREATE TABLE filler AS SELECT zeroblob(4000000) AS x; PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        drop(file);
        let most_bytes = fs::metadata(rig.db()).unwrap().len() + 64 * 1024;
        Self { folder, most_bytes: Some(most_bytes) }
    }

    fn settings(&self, config: Config) -> Config {
        Config { most_bytes: self.most_bytes, ..config }
    }

    /// Leaves no room.
    fn fill(&self) {
        if self.most_bytes.is_none() {
            let mut filler = fs::File::create(self.folder.join("filler")).unwrap();
            while filler.write_all(&[0; 4096]).is_ok() {}
        }
    }

    /// Makes room again.
    fn free(&self) {
        match self.most_bytes {
            None => fs::remove_file(self.folder.join("filler")).unwrap(),
            Some(_) => {
                let file = Connection::open(self.folder.join("m.db")).unwrap();
                file.busy_timeout(Duration::from_secs(30)).unwrap();
                file.execute_batch("DROP TABLE filler").unwrap();
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.most_bytes.is_none() {
            let _ = Command::new("umount").arg("--lazy").arg(&self.folder).stderr(Stdio::null()).status();
        }
    }
}

/// Until the exchange has moved on by so many trades of a symbol, although nobody takes them.
async fn in_vain(rig: &Rig, more: usize) {
    let happened = || rig.exchange.truth().happened(SYMBOLS[0]).count();
    let before = happened();
    rig.until(|_| happened() >= before + more).await;
}

fn unwritten(rig: &Rig) -> usize {
    rig.count(|event| matches!(event, Progress::Unwritten(..)))
}

fn written(rig: &Rig) -> usize {
    rig.count(|event| matches!(event, Progress::Written(_)))
}

fn assert_sound(db: &Path) {
    let file = Connection::open(db).unwrap();
    let said: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}

fn lost(report: &Report) -> u64 {
    report.losses.iter().map(|loss| loss.count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_once_and_when_there_is_room_again_nothing_is_missing() {
    let rig = Rig::start(61, Script::default()).await;
    let disk = Disk::over(&rig).await;

    let (report, _) = rig
        .run_with(
            |config| disk.settings(config),
            async |rig| {
                rig.trades(2000).await;
                disk.fill();
                rig.until(|rig| unwritten(rig) == 1).await;
                // More than all channels hold.
                in_vain(rig, 5000).await;
                assert_eq!(written(rig), 0);
                disk.free();
                rig.until(|rig| written(rig) == 1).await;
                rig.trades(2000).await;
                all_is_there(&rig.db(), &rig.exchange).await;
            },
        )
        .await;

    assert_eq!(report.status, Status::Clean, "{}\n{:?}", report.line(), report.failures);
    assert_eq!(unwritten(&rig), 1, "it is said once");
    let said = rig.events.lock().unwrap().iter().find(|e| matches!(e, Progress::Unwritten(..))).unwrap().to_string();
    let expected = format!("cannot write to {}: database or disk is full; trying again", rig.db().display());
    assert!(said.starts_with(&expected), "{said}");
    rig.all_is_well();
    assert_sound(&rig.db());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_on_a_full_disk_declares_what_is_unsaved_and_the_next_start_fetches_it() {
    let rig = Rig::start(62, Script::default()).await;
    let disk = Disk::over(&rig).await;

    let (report, took) = rig
        .run_with(
            |config| disk.settings(config),
            async |rig| {
                rig.trades(2000).await;
                disk.fill();
                rig.until(|rig| unwritten(rig) == 1).await;
                in_vain(rig, 5000).await;
            },
        )
        .await;

    assert_eq!(report.status, Status::Lost, "{}\n{:?}", report.line(), report.failures);
    assert!(lost(&report) > 0);
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_sound(&rig.db());

    disk.free();
    rig.run(quick(), async |rig| {
        rig.trades(500).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;
    assert!(rig.all_is_well() > 0, "something was fetched later");
    assert_sound(&rig.db());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_else_holds_is_waited_for() {
    let rig = Rig::start(63, Script::default()).await;

    rig.run(quick(), async |rig| {
        rig.trades(1000).await;
        let file = Connection::open(rig.db()).unwrap();
        file.busy_timeout(Duration::from_secs(30)).unwrap();
        file.execute_batch("BEGIN IMMEDIATE").unwrap();
        rig.until(|rig| unwritten(rig) == 1).await;
        file.execute_batch("ROLLBACK").unwrap();
        rig.until(|rig| written(rig) == 1).await;
        rig.trades(1000).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;

    let said = rig.events.lock().unwrap().iter().find(|e| matches!(e, Progress::Unwritten(..))).unwrap().to_string();
    assert!(said.contains("database is locked"), "{said}");
    rig.all_is_well();
}

/// Collects until the file goes away by `away`; says how that ended.
async fn without_the_file(seed: u64, away: impl Fn(&Path)) -> (Rig, Report) {
    let rig = Rig::start(seed, Script::default()).await;
    let (report, _) = rig
        .run_with(
            |config| config,
            async |rig| {
                rig.trades(1000).await;
                away(&rig.db());
                // It ends by itself.
                std::future::pending::<()>().await;
            },
        )
        .await;
    (rig, report)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_deleted_meanwhile_ends_the_collector_which_says_so() {
    let (rig, report) = without_the_file(64, |db| fs::remove_file(db).unwrap()).await;

    assert_eq!(report.status, Status::Lost, "{}", report.line());
    let said = report.failures[0].message.clone();
    assert!(said.contains("m.db was moved or deleted while it was written to; put it back, with "), "{said}");

    rig.run(quick(), async |rig| {
        rig.trades(500).await;
        all_is_there(&rig.db(), &rig.exchange).await;
    })
    .await;
    rig.all_is_well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_replaced_meanwhile_is_left_alone() {
    let other = |db: &Path| {
        let new = db.with_extension("new");
        Connection::open(&new).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (7)").unwrap();
        fs::rename(new, db).unwrap();
        // Of the old one.
        let _ = fs::remove_file(db.with_extension("db-wal"));
    };
    let (rig, report) = without_the_file(65, other).await;

    assert_eq!(report.status, Status::Lost, "{}", report.line());
    assert!(report.failures[0].message.contains("m.db was replaced while it was written to"), "{:?}", report.failures);
    let file = Connection::open(rig.db()).unwrap();
    assert_eq!(file.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
    assert_sound(&rig.db());
}

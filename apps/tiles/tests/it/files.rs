//! What can be wrong with a file, and what the commands say of one.

use std::{fs, path::Path, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use sims::tiles::{Absence, Config, Delay, Fault, Format, Origin, Rule, Script, Which, World};
use tokio::process::Command;

use super::{
    PATIENCE,
    program::{AREA, Ended, Run, assert_complete, assert_equal},
};

async fn plain() -> Origin {
    Origin::start(Config::default()).await.unwrap()
}

/// A server whose answers take a while.
async fn slow() -> Origin {
    let script = Script::new(1).rule(Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(20)))));
    Origin::start(Config { script, ..Config::default() }).await.unwrap()
}

/// The arguments for everything of the usual area.
fn all(origin: &Origin, path: &Path) -> Vec<String> {
    let (bbox, zooms, _) = AREA;
    let url = origin.template(Format::Png);
    ["get", path.to_str().unwrap(), "--url", &url, "--bbox", bbox, "--zoom", zooms].map(str::to_owned).to_vec()
}

async fn run(arguments: &[&str]) -> Ended {
    Run::start(arguments).end().await
}

async fn get(origin: &Origin, path: &Path, more: &[&str]) -> Ended {
    let all = all(origin, path);
    let arguments: Vec<&str> = all.iter().map(String::as_str).chain(more.iter().copied()).collect();
    run(&arguments).await
}

async fn requests(origin: &Origin, many: usize) {
    tokio::time::timeout(PATIENCE, origin.until(|log| log.entries().len() >= many)).await.unwrap();
}

/// In a file system of its own at `at`, made by `mount`, this is run.
async fn within(mount: &str, at: &Path, arguments: &[String]) -> Ended {
    let mut command = Command::new("unshare");
    let script = format!("{mount} && exec \"$@\"");
    command.args(["-rm", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_tiles")]).args(arguments).env("AT", at);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_job_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = plain().await;

    get(&origin, &path, &[]).await.left_with(0).said("520 tiles stored in ").said("; all there");
    assert_complete(&path, &origin, AREA.2);
    origin.reset(None);

    for more in [&[][..], &["--concurrent", "100", "--batch", "7"], &["--failed"], &["--resume"]] {
        get(&origin, &path, more).await.left_with(0).said("nothing to do");
    }
    run(&["get", path.to_str().unwrap()]).await.left_with(0).said("520 tiles there, nothing to do");
    assert!(origin.stop().await.entries().is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_program_on_a_file_is_refused_at_once_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = slow().await;
    let arguments = all(&origin, &path);
    let first = Run::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    requests(&origin, 20).await;

    get(&origin, &path, &[]).await.left_with(78).said("is being written by another `tiles`").said("hint: ");

    let status = run(&["status", path.to_str().unwrap(), "--json"]).await.left_with(0);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((status["wanted"].as_u64(), status["failed"].as_u64()), (Some(520), Some(0)), "{status:#}");
    first.end().await.left_with(0);
    assert_complete(&path, &origin, AREA.2);
    assert!(origin.stop().await.asked_again().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_an_error_that_loses_nothing() {
    let (folder, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = plain().await;
    let path = at.path().join("a.mbtiles");
    let saved = folder.path().join("a.mbtiles");
    // The file is copied out of the file system before that goes away.
    let mount = format!(
        "mount -t tmpfs -o size=2m none \"$AT\" && {{ \"$@\"; s=$?; cp \"$AT/a.mbtiles\" {}; exit $s; }}; exit $?; true",
        saved.display()
    );

    let ended = within(&mount, at.path(), &all(&origin, &path)).await.left_with(81).said("the disk is full");

    assert!(ended.err.contains("make room and run the same command again"), "{ended:#?}");
    let stored = assert_equal(&saved, &origin);
    assert!((1..AREA.2).contains(&stored), "{stored}");
    get(&origin, &saved, &[]).await.left_with(0).said("all there");
    assert_complete(&saved, &origin, AREA.2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_may_not_be_written_to_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = plain().await;
    get(&origin, &path, &["--zoom", "0-3"]).await;
    let before = fs::read(&path).unwrap();
    origin.reset(None);
    let mount = "mount --bind \"$AT\" \"$AT\" && mount -o remount,ro,bind \"$AT\"";

    let ended = within(mount, folder.path(), &all(&origin, &path)).await.left_with(78);

    assert!(ended.err.contains("may not be written to"), "{ended:#?}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(origin.stop().await.entries().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_program_is_not_touched_unless_it_is_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = plain().await;
    get(&origin, &path, &[]).await.left_with(0);
    run(&["finish", path.to_str().unwrap()]).await.left_with(0).said("finished");
    let before = fs::read(&path).unwrap();
    origin.reset(None);

    get(&origin, &path, &["--zoom", "15"]).await.left_with(78).said("--adopt");
    assert_eq!(fs::read(&path).unwrap(), before);
    run(&["verify", path.to_str().unwrap()]).await.left_with(0).said("agg_tiles_hash: right").said("sound");

    get(&origin, &path, &["--adopt"]).await.left_with(0).said("nothing to do");
    assert!(origin.stop().await.entries().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_source_is_refused_unless_it_is_meant_and_another_area_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let (origin, other) = (plain().await, plain().await);
    get(&origin, &path, &[]).await.left_with(0);
    origin.reset(None);

    get(&other, &path, &[]).await.left_with(78).said("--replace-source");
    assert!(other.log().entries().is_empty());

    let more = ["get", path.to_str().unwrap(), "--bbox", "13.0884,52.3383,13.7611,52.6755", "--zoom", "0-10"];
    run(&more).await.left_with(0).said("all there");
    let status = run(&["status", path.to_str().unwrap(), "--json"]).await.left_with(0);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    let asked = origin.stop().await.entries().len() as u64;
    // At the lowest zooms both areas lie in the same tiles.
    assert!(asked < 35, "{asked}");
    assert_eq!(status["there"].as_u64(), Some(520 + asked), "{status:#}");

    get(&other, &path, &["--replace-source", "--zoom", "15"]).await.left_with(0).said("all there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_tiles_are_kept_and_asked_for_again_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    // One in twenty is a page; one in ten is not there.
    let script = Script::new(3).rule(Rule::new(Fault::Instead(sims::tiles::Payload::Html)).share(0.05).first_tries(1));
    let world = World { absent: vec![(Which::default(), Absence::NotFound)], ..World::default() };
    drop(world);
    let origin = Origin::start(Config { script, ..Config::default() }).await.unwrap();

    let first = get(&origin, &path, &[]).await.left_with(3).said(" failed").said("--failed");
    assert!(first.err.contains("not-a-tile"), "{first:#?}");
    let failed = 520 - assert_equal(&path, &origin);
    assert!(failed > 0);
    get(&origin, &path, &[]).await.left_with(3);
    assert_eq!(origin.log().entries().len(), 520, "those that failed for good are not asked for");
    run(&["status", path.to_str().unwrap()]).await.left_with(0).said("not-a-tile").said(" --failed");

    run(&["get", path.to_str().unwrap(), "--failed"]).await.left_with(0).said("all there");
    assert_eq!(origin.log().entries().len() as u64, 520 + failed);
    assert_complete(&path, &origin, AREA.2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_counts_before_anything_is_fetched() {
    let (bbox, zooms, _) = AREA;

    run(&["plan", "--bbox", bbox, "--zoom", zooms]).await.left_with(0).said("520").said("about 5.2 MB");
    let world = run(&["plan", "--bbox", "-180,-90,180,90", "--zoom", "0-14"]).await.left_with(0);
    assert!(world.out.contains("357,913,941"), "{world:#?}");
    let osm = ["plan", "--bbox", bbox, "--zoom", zooms, "--url", "https://tile.openstreetmap.org/{z}/{x}/{y}.png"];
    run(&osm).await.left_with(0).said("forbid bulk downloads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_command_is_said_and_no_file_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let out = path.to_str().unwrap();
    let url = "http://127.0.0.1:1/{z}/{x}/{y}.png";

    for (arguments, said) in [
        (&["get", out][..], "there is no source"),
        (&["get", out, "--url", url], "there is no area"),
        (&["get", out, "--url", url, "--bbox", "1,2,3,4"], "there are no zooms"),
        (&["get", out, "--url", url, "--bbox", "1,2,3", "--zoom", "3"], "is not 4 numbers"),
        (&["get", out, "--url", url, "--bbox", "1,2,3,x", "--zoom", "3"], "such as --bbox 106.6,-6.4,107.0,-6.0"),
        (&["get", out, "--url", url, "--bbox", "1,9,3,4", "--zoom", "3"], "south"),
        (&["get", out, "--url", url, "--bbox", "1,2,3,4", "--zoom", "9-3"], "write the lower zoom first"),
        (&["get", out, "--url", url, "--x", "1-2", "--y", "3-4"], "without --zoom"),
        (&["get", out, "--url", url, "--polygon", "/no/such", "--zoom", "3"], "/no/such"),
        (&["get", out, "--url", "http://h/{z}/{nope}.png", "--bbox", "1,2,3,4", "--zoom", "3"], "nope"),
        (&["get", out, "--url", "http://h/{z}/{x}/{y}?key=${NO_SUCH}", "--bbox", "1,2,3,4", "--zoom", "3"], "NO_SUCH"),
        (
            &["get", out, "--url", url, "--bbox", "1,2,3,4", "--zoom", "3", "--header", "Cookie: a"],
            "can be read by everybody",
        ),
        (&["get", out, "--url", url, "--bbox", "1,2,3,4", "--zoom", "3", "--ca", "/no/such"], "/no/such"),
        (&["get"], "there is no file to put the tiles into"),
        (&["status", out], "a.mbtiles"),
        (&["verify", out], "a.mbtiles"),
    ] {
        let ended = run(arguments).await.left_with(78);
        assert!(ended.err.contains(said) && !ended.err.contains("panicked"), "{arguments:?}: {ended:#?}");
        assert!(!path.exists(), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_replaced_while_it_is_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = slow().await;
    let arguments = all(&origin, &path);
    let running = Run::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    requests(&origin, 20).await;

    fs::rename(&path, folder.path().join("b.mbtiles")).unwrap();

    running.end().await.left_with(81).said("was moved, removed or replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_answers_it_is_said_at_a_stop_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let script = Script::new(1).rule(Rule::new(Fault::Delay(Delay::Never)));
    let origin = Origin::start(Config { script, ..Config::default() }).await.unwrap();
    let arguments = all(&origin, &path);
    let running = Run::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    requests(&origin, 4).await;

    running.signal(Signal::INT);
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.signal(Signal::INT);

    let ended = running.end().await;
    assert!(ended.died_by(Signal::INT), "{ended:#?}");
    ended.said("520 to go, continue with: tiles get ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pmtiles_are_made_when_all_is_there_and_a_stop_before_keeps_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pmtiles");
    let origin = slow().await;
    let arguments = all(&origin, &path);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let running = Run::start(&arguments);
    requests(&origin, 100).await;

    running.signal(Signal::INT);

    let ended = running.end().await;
    assert!(ended.died_by(Signal::INT), "{ended:#?}");
    ended.said("to go, continue with: tiles get ").said("a.pmtiles");
    assert!(!path.exists());

    run(&["get", path.to_str().unwrap()]).await.left_with(0).said("all there");
    assert_complete(&path, &origin, AREA.2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(origin.log().asked_again().is_empty());
    let asked = origin.log().entries().len();
    run(&arguments).await.left_with(0).said("520 tiles there, nothing to do");
    run(&["get", path.to_str().unwrap(), "--zoom", "15"]).await.left_with(78).said("cannot be added to");
    assert_eq!(origin.log().entries().len(), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_is_converted_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let [first, packed, spread, last] =
        ["a.mbtiles", "b.pmtiles", "c", "d.mbtiles"].map(|name| folder.path().join(name));
    let origin = plain().await;
    get(&origin, &first, &[]).await.left_with(0);

    for (from, to) in [(&first, &packed), (&packed, &spread), (&spread, &last)] {
        run(&["convert", from.to_str().unwrap(), to.to_str().unwrap()]).await.left_with(0).said("520 tiles");
        assert_complete(to, &origin, AREA.2);
        run(&["status", to.to_str().unwrap()]).await.left_with(0).said("520 stored");
    }
    let (first, last) = (first.to_str().unwrap(), last.to_str().unwrap());
    run(&["convert", first, last]).await.left_with(81).said("is there already");
    run(&["convert", first, last, "--replace", "--schema", "dedup"]).await.left_with(0);
    run(&["status", last]).await.left_with(0).said("dedup");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_of_the_original_is_taken_over_but_only_whole_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("tiles");
    let origin = plain().await;
    // Zoom 13 of the usual area: 10 by 10 tiles, in two batches, as the script leaves them after Ctrl+C.
    let all: Vec<(u32, u32)> = (6521..=6530).flat_map(|x| (4232..=4241).map(move |y| (x, y))).collect();
    let (mut whole, mut broken) = (0, 0);
    for (at, (x, y)) in all.iter().take(80).enumerate() {
        let batch = old.join(format!("tiles_batch_{:03}", 1 + at / 50));
        fs::create_dir_all(&batch).unwrap();
        let sims::tiles::Truth::There(content) = origin.truth(Format::Jpg, sims::tiles::Tile::new(13, *x, *y)) else {
            panic!("it is there");
        };
        let bytes = match at % 10 {
            8 => &[][..],
            9 => &content.bytes[..100],
            _ => &content.bytes[..],
        };
        *(if at % 10 < 8 { &mut whole } else { &mut broken }) += 1;
        fs::write(batch.join(format!("tile_13_{x}_{y}.jpg")), bytes).unwrap();
    }
    let config = r#"{"config": {"x_start": 6521, "x_end": 6530, "y_start": 4232, "y_end": 4241, "zoom": 13}, "completed_batches": [1]}"#;
    fs::write(old.join("progress_async.json"), config).unwrap();
    let path = folder.path().join("a.mbtiles");
    let url = origin.template(Format::Jpg);

    let (old, out) = (old.to_str().unwrap(), path.to_str().unwrap());
    run(&["take-over", old, out, "--url", &url])
        .await
        .left_with(0)
        .said("64 tiles taken over")
        .said("8 are empty files")
        .said("8 are no whole tiles")
        .said("64 of 100 tiles there; go on with: tiles get ");

    run(&["get", out]).await.left_with(0).said("36 tiles stored").said("all there");
    assert_eq!((whole, broken, origin.stop().await.entries().len()), (64, 16, 36));
    run(&["verify", out]).await.left_with(0).said("jpg: 100").said("sound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_tests_itself() {
    run(&["selftest"]).await.left_with(0).said("selftest passed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_asks_for_a_part_does_not_say_that_all_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = slow().await;
    let arguments = all(&origin, &path);
    let running = Run::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    requests(&origin, 50).await;
    running.signal(Signal::INT);
    running.end().await;

    for part in ["--failed", "--refresh"] {
        run(&["get", path.to_str().unwrap(), part]).await.left_with(3).said(" missing, fetch them with: tiles get ");
    }
    run(&["finish", path.to_str().unwrap()]).await.left_with(78).said("are missing").said("--incomplete");
    run(&["get", path.to_str().unwrap()]).await.left_with(0).said("all there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_source_said_is_not_asked_of_another_and_a_refusal_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let world =
        World { absent: vec![(Which { zooms: 12..=12, ..Which::default() }, Absence::NotFound)], ..World::default() };
    let origin = Origin::start(Config { world, ..Config::default() }).await.unwrap();
    get(&origin, &path, &[]).await.left_with(0).said("30 empty");
    let before = fs::read(&path).unwrap();
    let osm = ["--replace-source", "--url", "https://tile.openstreetmap.org/{z}/{x}/{y}.png"];
    get(&origin, &path, &osm).await.left_with(78).said("forbid bulk downloads");
    assert_eq!(fs::read(&path).unwrap(), before);

    let other = plain().await;
    get(&other, &path, &["--replace-source"]).await.left_with(0).said("30 tiles stored").said("all there");
    other.reset(None);
    run(&["get", path.to_str().unwrap(), "--refresh"]).await.left_with(0);

    let log = other.stop().await;
    let asked = |entry: &&sims::tiles::Entry| entry.header("if-none-match").is_none();
    assert!(log.entries().len() >= 490 && log.entries().iter().filter(asked).count() >= 490, "{}", log.entries().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_file_goes_on_saying_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = plain().await;
    get(&origin, &path, &[]).await.left_with(0);
    run(&["finish", path.to_str().unwrap()]).await.left_with(0);

    get(&origin, &path, &["--adopt", "--bbox", "0,0,1,1", "--zoom", "0-3"]).await.left_with(0);

    let metadata = tiles::store::Reader::open(&path).unwrap().metadata().unwrap();
    assert_eq!((metadata.value("minzoom"), metadata.value("maxzoom")), (Some("0"), Some("14")));
    let bounds = metadata.bounds().unwrap().degrees();
    assert!(bounds[0] <= 0.0 && bounds[2] >= 106.9 && bounds[1] <= -6.3, "{bounds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_keeps_the_file_locked_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let origin = slow().await;
    let arguments = all(&origin, &path);
    let running = Run::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    requests(&origin, 40).await;

    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.busy_timeout(PATIENCE).unwrap();
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM tiles").unwrap();
    // Longer than SQLite waits by itself.
    tokio::time::sleep(Duration::from_secs(12)).await;
    reader.execute_batch("COMMIT").unwrap();

    running.end().await.left_with(0).said("is kept locked by another program: waiting").said("all there");
    assert_complete(&path, &origin, AREA.2);
    assert!(origin.stop().await.asked_again().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_the_same_through_a_link_and_a_pipe_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link, pipe) =
        (folder.path().join("a.mbtiles"), folder.path().join("b.mbtiles"), folder.path().join("p"));
    let origin = slow().await;
    get(&origin, &path, &["--zoom", "0-5"]).await.left_with(0);
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let arguments = all(&origin, &path);
    let running = Run::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    requests(&origin, 20).await;

    get(&origin, &link, &[]).await.left_with(78).said("is being written by another `tiles`");
    running.end().await.left_with(0);

    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    get(&origin, &pipe, &[]).await.left_with(78).said("is neither a file nor a folder");
    let empty = folder.path().join("e.pmtiles");
    fs::write(&empty, "").unwrap();
    get(&origin, &empty, &["--zoom", "0-5"]).await;
    assert!(!fs::read(&empty).unwrap().starts_with(b"SQLite"));
}

//! Keys are sent where they have to be, and stand nowhere else.

use sims::tiles::{Fault, Format, Origin, Payload, Rule, Script};
use tokio::process::Command;

use super::{
    memory::{Answer, Memory},
    support::{Get, SECRET, config},
};

/// A server that repeats what it was told.
fn echo(status: &str, headers: &str, body: &str) -> Answer {
    Answer::Raw(
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .into_bytes(),
    )
}

#[tokio::test(start_paused = true)]
async fn what_a_server_repeats_is_kept_without_the_key() {
    // The last one is cut within the key: only so much of it is kept.
    let cut = format!("{}{SECRET}", "x".repeat(190));
    let location = format!("Location: ftp://elsewhere/?key={SECRET}\r\n");
    let words = format!("the key {SECRET} and the header Bearer {SECRET} are not known");
    let answers = [
        echo("403 Forbidden", "", &words),
        echo("403 Forbidden", "", &cut),
        echo("200 OK", "", &format!("<html>{words}</html>")),
        echo("200 OK", "", &cut),
        echo("302 Found", &location, ""),
        echo("400 Bad Request", &location, &words),
        echo("500 Error", "", &words),
        echo("200 OK", &format!("ETag: \"{SECRET}\"\r\n"), ""),
    ];
    let memory = Memory::new(move |asked| match asked.tile.z {
        12 => answers[(asked.tile.x + 5 * asked.tile.y) as usize % 8].clone(),
        _ => Answer::Tile,
    });
    let get = Get::of(&memory).at("http://memory/{z}/{x}/{y}.png?apikey={apikey}").zooms(0..=13);
    let get = get.header("Authorization: Bearer ${SECRET}");

    let ran = get.run().await;

    assert_eq!(ran.report.code(), 3, "{}", ran.report.why);
    assert!(memory.heads().iter().all(|head| head.matches(SECRET).count() == 2));
    ran.has_no_secret();
}

/// Everything that a run of the program has written.
async fn program(arguments: &[&str], folder: &std::path::Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiles"));
    let output = command.args(arguments).env("SECRET", SECRET).env("TILES_APIKEY", SECRET).current_dir(folder).output();
    let output = output.await.unwrap();
    let mut all = output.stdout;
    all.extend(output.stderr);
    for file in std::fs::read_dir(folder).unwrap() {
        all.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_tells_no_key() {
    let blocked = Fault::Status { code: 403, retry_after: None, body: Payload::Html };
    let script = Script::new(2).rule(Rule::new(blocked).requests(40..=60));
    let origin = Origin::start(config(script)).await.unwrap();
    let template = origin.template(Format::Png);
    let base = template.split("/{z}").next().unwrap().to_owned();
    for (at, url) in [
        format!("{template}?apikey={{apikey}}"),
        format!("{template}?v=${{SECRET}}"),
        format!("{base}/tiles.json?key=${{SECRET}}"),
        format!("{base}/nothing.json?key=${{SECRET}}"),
    ]
    .into_iter()
    .enumerate()
    {
        origin.reset(None);
        let folder = tempfile::tempdir().unwrap();
        let get = ["get", "a.mbtiles", "--url", &url, "--bbox", "106.6,-6.4,107.0,-6.0", "--zoom", "0-12"];
        let get: Vec<&str> = get.into_iter().chain(["--header", "Authorization: Bearer ${SECRET}"]).collect();
        let mut told = program(&get, folder.path()).await;
        told += &program(&get, folder.path()).await;
        for more in
            [vec!["get", "a.mbtiles", "--failed"], vec!["status", "a.mbtiles", "--json"], vec!["status", "a.mbtiles"]]
        {
            told += &program(&more, folder.path()).await;
        }

        assert!(!told.contains(SECRET), "{url}");
        let log = origin.log();
        assert!(!log.entries().is_empty(), "{url}");
        assert!(log.entries().iter().all(|entry| entry.headers.contains(SECRET)), "{url}");
        // Where the source describes itself, its tiles have no key.
        let asked = log.entries().iter().filter(|entry| at < 2 || entry.tile.is_none());
        assert!(asked.clone().count() > 0 && asked.clone().all(|entry| entry.path.contains(SECRET)), "{url}");
    }
    // Who types it has told everybody on the machine: it is refused, and not repeated.
    for url in [format!("{template}?access_token={SECRET}"), format!("{base}/tiles.json?key={SECRET}")] {
        origin.reset(None);
        let folder = tempfile::tempdir().unwrap();
        let get = ["get", "a.mbtiles", "--url", &url, "--bbox", "106.6,-6.4,107.0,-6.0", "--zoom", "0-12"];
        let told = program(&get, folder.path()).await;
        assert!(told.contains("can be read by everybody") && !told.contains(SECRET), "{told}");
        assert!(origin.log().entries().is_empty());
    }
}

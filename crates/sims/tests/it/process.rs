//! The programs as processes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
};

use sims::tiles::{Format, Tile, make};

/// A program that ends with the test.
struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        Self::run(env!("CARGO_BIN_EXE_tile-sim"), arguments)
    }

    fn run(program: &str, arguments: &[&str]) -> Self {
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn terminate(&mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: tiles\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn tile_sim_says_where_it_listens_obeys_its_script_and_stops_with_status_0() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.json");
    std::fs::write(&script, r#"{"rules": [{"tiles": ["3/1/1"], "fault": {"status": {"code": 418}}}]}"#).unwrap();
    let mut program = Program::start(&[
        "--listen",
        "127.0.0.1:0",
        "--script",
        script.to_str().unwrap(),
        "--size",
        "2000",
        "--zoom",
        "2-5",
    ]);

    let line = program.line();
    let address = line.strip_prefix("tile-sim: listening on http://").unwrap_or_else(|| panic!("{line}")).to_owned();
    assert!(program.line().starts_with("tile-sim: other host on http://127.0.0.1:"));
    let answer = get(&address, "/3/2/2.png");
    let body = answer.windows(8).position(|part| part == b"\x89PNG\r\n\x1a\n").unwrap();
    let size = answer.len() - body;
    assert!((1000..3000).contains(&size) && answer[body..] == make(Format::Png, Tile::new(3, 2, 2), size, 0));
    assert!(get(&address, "/3/1/1.png").starts_with(b"HTTP/1.1 418 "));
    assert!(get(&address, "/6/1/1.png").starts_with(b"HTTP/1.1 404 "));

    assert_eq!(program.terminate(), Some(0));
    assert_eq!(program.line(), "tile-sim: 3 requests, 1 tiles served, 0 of them asked for again");
}

#[test]
fn tile_sim_over_tls_writes_its_certificate_and_refuses_a_script_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, script) = (folder.path().join("certificate.pem"), folder.path().join("script.json"));
    std::fs::write(&script, r#"{"rules": [{"fault": {"oops": 1}}]}"#).unwrap();

    let mut program = Program::start(&["--tls", "--certificate", certificate.to_str().unwrap()]);
    assert!(program.line().starts_with("tile-sim: listening on https://127.0.0.1:"));
    assert_eq!(std::fs::read_to_string(certificate).unwrap(), sims::tiles::CERTIFICATE);
    assert_eq!(program.terminate(), Some(0));

    let output = Command::new(env!("CARGO_BIN_EXE_tile-sim")).arg("--script").arg(&script).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("script.rules[0].fault.oops: there is no such fault"), "{text}");
}

#[test]
fn exchange_sim_says_where_it_listens_obeys_its_script_and_stops_with_status_0() {
    let script = ["--fault", "seed 3; request time 1 status 503", "--fault", "request ping 1 status 429 retry 7"];
    let arguments = [&["--generate", "1", "--rate", "300000", "--book-levels", "50", "--limits"][..], &script].concat();
    let mut program = Program::run(env!("CARGO_BIN_EXE_exchange-sim"), &arguments);

    assert!(program.line().starts_with("ws://127.0.0.1:"));
    let line = program.line();
    let address = line.strip_prefix("http://").unwrap_or_else(|| panic!("{line}")).to_owned();
    assert!(get(&address, "/api/v3/time").starts_with(b"HTTP/1.1 503 "));
    assert!(get(&address, "/api/v3/ping").starts_with(b"HTTP/1.1 429 "));
    let log = String::from_utf8(get(&address, "/truth/log")).unwrap();
    assert!(log.contains(r#""struck":{"status":2}"#), "{log}");

    assert_eq!(program.terminate(), Some(0));
    assert_eq!(program.line(), "0 trades sent");
    assert_eq!(program.line(), "0 connections, 2 requests, 2 faults struck, 0 offences by clients");
}

#[test]
fn exchange_sim_over_tls_writes_its_certificate_and_refuses_a_script_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, script) = (folder.path().join("certificate.pem"), folder.path().join("script"));
    std::fs::write(&script, "socket 1 after 5 oops\n").unwrap();

    let arguments = ["--tls", "--certificate", certificate.to_str().unwrap()];
    let mut program = Program::run(env!("CARGO_BIN_EXE_exchange-sim"), &arguments);
    assert!(program.line().starts_with("wss://127.0.0.1:") && program.line().starts_with("https://127.0.0.1:"));
    assert_eq!(std::fs::read_to_string(certificate).unwrap(), sims::exchange::CERTIFICATE);
    assert_eq!(program.terminate(), Some(0));

    let output = Command::new(env!("CARGO_BIN_EXE_exchange-sim")).arg("--script").arg(&script).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("\"oops\": there is no such fault for a socket"), "{text}");
}

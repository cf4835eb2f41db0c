//! The steps of a stop that are seen from outside.

use std::time::Duration;

use super::{Program, assert_passed, only};

#[test]
fn a_signal_is_delivered_when_the_program_no_longer_blocks_it() {
    let begin =
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.1), sys.exit()))\n";
    let waits = "os.write(1, b'ready\\n')\nwhile True: time.sleep(0.01)";
    let blocks = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\nos.write(1, b'ready\\n')\n\
                  while signal.SIGTERM not in signal.sigpending(): time.sleep(0.001)\ntime.sleep(0.02)\n\
                  signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])";
    let delivered = |program: &str| {
        let program = Program::new(&format!("{begin}{program}"));
        // It is watched for 50 ms, in which a busy machine may not let us look, or late.
        let tries = (0..5).filter_map(|_| {
            let verdict = program.replay("TERM at ready", "");
            assert_passed(&verdict);
            let trial = only(&verdict);
            Some(trial.ladder.delivered? - trial.sent[0].at)
        });
        tries.min().expect("it was delivered")
    };

    let (at_once, later) = (delivered(waits), delivered(blocks));

    assert!(later >= Duration::from_millis(19) && later < Duration::from_millis(55), "{later:?}");
    assert!(at_once < Duration::from_millis(10), "{at_once:?}");
}

/// Says at once that it is no longer ready, and goes on listening for a while.
const SERVER: &str = r#"
import os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
status = 200
class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status)
        self.end_headers()
    def log_message(self, *_):
        pass
def stop(*_):
    global status
    status = 503
    threading.Timer(0.3, server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
server = HTTPServer(("127.0.0.1", 18431), Health)
threading.Thread(target=server.serve_forever, daemon=True).start()
while not server._BaseServer__shutdown_request:
    time.sleep(0.01)
"#;

#[test]
fn it_stops_serving_when_its_readiness_turns() {
    let scenario = "ready: [http: 'http://127.0.0.1:18431/health']";

    let verdict = Program::new(SERVER).replay_as("TERM at ready", scenario);

    assert_passed(&verdict);
    let trial = only(&verdict);
    let (unserving, exited) = (trial.ladder.unserving.expect("it turned"), trial.ladder.exited.unwrap());
    assert!(unserving - trial.sent[0].at < Duration::from_millis(150), "{:?}", trial.ladder);
    assert!(exited - unserving > Duration::from_millis(100), "{:?}", trial.ladder);
    assert_eq!(trial.ladder.acted, Some(unserving), "nothing else was to be seen");
}

//! What a person sees, on terminals that are wide and narrow.

use std::process::Command;

use sims::exchange::{Exchange, Script};
use tokio::time::{Duration, sleep, timeout};

use super::{PATIENCE, rig::goes_on};

/// A terminal of its own server, so that nobody else's is touched.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(socket: String, columns: u32, command: &str) -> Self {
        let terminal = Self { socket };
        // A shell that stays, so that the screen can be read when the program has ended.
        let command = format!("trap : INT; {command}; echo status $?; sleep 60");
        let size = columns.to_string();
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &size, "-y", "50", &command]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-S", &self.socket]).args(arguments).output().unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn until(&self, seen: impl Fn(&str) -> bool) -> String {
        let screen = async {
            loop {
                let screen = self.tmux(&["capture-pane", "-p", "-J"]);
                if seen(&screen) {
                    return screen;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let last = || self.tmux(&["capture-pane", "-p"]);
        timeout(PATIENCE, screen).await.unwrap_or_else(|_| panic!("it is not seen: {}", last()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_says_how_things_stand_and_ctrl_c_leaves_the_terminal_clean() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = Exchange::start(goes_on(71, Script::default())).await.unwrap();
    for columns in [140, 80, 40] {
        let path = |ending: &str| folder.path().join(format!("{columns}.{ending}")).to_str().unwrap().to_owned();
        let command = format!(
            "{} collect --symbol AAAUSDT --ws {} --rest {} --db {}",
            env!("CARGO_BIN_EXE_market"),
            exchange.ws_url(),
            exchange.rest_url(),
            path("db")
        );
        let terminal = Terminal::start(path("tmux"), columns, &command);

        let screen = terminal.until(|screen| screen.contains(" trades/s | ") && screen.contains(" bought, ")).await;
        println!("{screen}");
        let lines: Vec<&str> = screen.lines().filter(|line| line.contains(" trades/s")).collect();
        assert!(lines.len() == 1 && lines[0].chars().count() < columns as usize, "{screen}");
        assert_eq!(lines[0].contains(" missing"), columns >= 80, "{screen}");
        terminal.tmux(&["send-keys", "C-c"]);

        let screen = terminal.until(|screen| screen.contains("status 0")).await;
        println!("{screen}");
        let order = ["collecting AAAUSDT", "connected", "stopping: SIGINT", "saved ", "stopped: SIGINT", "status 0"];
        let at: Vec<usize> = order.iter().map(|words| screen.find(words).unwrap_or(usize::MAX)).collect();
        assert!(at.is_sorted() && !at.contains(&usize::MAX), "{at:?} {screen}");
        assert!(!screen.contains(" trades/s") && !screen.contains("^C"), "the line has gone: {screen}");
    }
}

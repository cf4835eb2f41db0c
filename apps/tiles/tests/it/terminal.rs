//! What a person sees, on terminals that are wide and narrow.

use std::{process::Command, time::Duration};

use sims::tiles::{Config, Delay, Fault, Format, Origin, Rule, Script};

use super::{PATIENCE, program::AREA};

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
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &size, "-y", "20", &command]);
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
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let last = || self.tmux(&["capture-pane", "-p"]);
        tokio::time::timeout(PATIENCE, screen).await.unwrap_or_else(|_| panic!("it is not seen: {}", last()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bar_fits_its_terminal_and_ctrl_c_leaves_it_clean() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new(1).rule(Rule::new(Fault::Delay(Delay::Fixed(Duration::from_millis(100)))));
    let origin = Origin::start(Config { script, ..Config::default() }).await.unwrap();
    for columns in [80, 40, 20] {
        let socket = folder.path().join(format!("{columns}.tmux")).to_str().unwrap().to_owned();
        let out = folder.path().join(format!("{columns}.mbtiles"));
        let url = origin.template(Format::Png);
        let command = format!(
            "{} get {} --url '{url}' --bbox {} --zoom {} --concurrent 4",
            env!("CARGO_BIN_EXE_tiles"),
            out.display(),
            AREA.0,
            AREA.1
        );
        let terminal = Terminal::start(socket, columns, &command);

        let screen = terminal.until(|screen| screen.contains(" % ") && screen.contains(" left")).await;
        println!("{screen}");
        assert!(screen.lines().filter(|line| line.contains(" %")).count() == 1, "one line: {screen}");
        let bar = screen.lines().find(|line| line.contains(" %")).unwrap();
        assert!(bar.chars().count() < columns as usize, "{screen}");
        terminal.tmux(&["send-keys", "C-c"]);

        let screen = terminal.until(|screen| screen.contains("status 130")).await;
        println!("{screen}");
        assert!(screen.contains("stopping: SIGINT") && screen.contains("continue with: tiles get"), "{screen}");
        assert!(!screen.contains(" % ") && !screen.contains("^C"), "the bar is closed: {screen}");
    }
}

//! A terminal, for tests of what a person sees: tmux, without anybody who looks.

use std::{path::PathBuf, process::Command};

use tokio::time::{Duration, sleep, timeout};

/// A terminal of its own server, so that nobody else's is touched.
#[derive(Debug)]
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs this command of the shell on a screen of so many columns and rows; when it has ended, the screen says `status N`. The server's
    /// socket is made at this path.
    ///
    /// # Panics
    /// If there is no tmux, or it does not start.
    pub fn start(socket: impl Into<PathBuf>, (columns, rows): (u16, u16), command: &str) -> Self {
        let terminal = Self { socket: socket.into() };
        // A shell that stays, so that the screen can be read when the program has ended.
        let command = format!("trap : INT; {command}; echo status $?; sleep 60");
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &command]);
        terminal
    }

    /// Presses Ctrl+C.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn interrupt(&self) {
        self.tmux(&["send-keys", "C-c"]);
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").arg("-S").arg(&self.socket).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("tmux: {error}; it is in the package tmux"));
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the screen is so, and returns it.
    ///
    /// # Panics
    /// If it is not so within this time.
    pub async fn until(&self, patience: Duration, seen: impl Fn(&str) -> bool) -> String {
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
        timeout(patience, screen).await.unwrap_or_else(|_| panic!("it is not seen: {}", last()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

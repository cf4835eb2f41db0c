//! What a person sees, on terminals that are wide and narrow.

use sims::{
    exchange::{Exchange, Script},
    terminal::Terminal,
};

use super::{PATIENCE, rig::goes_on};

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
        let terminal = Terminal::start(path("tmux"), (columns, 200), &command);

        let screen =
            terminal.until(PATIENCE, |screen| screen.contains(" trades/s | ") && screen.contains(" bought, ")).await;
        println!("{screen}");
        let lines: Vec<&str> = screen.lines().filter(|line| line.contains(" trades/s")).collect();
        assert!(lines.len() == 1 && lines[0].chars().count() < usize::from(columns), "{screen}");
        assert_eq!(lines[0].contains(" missing"), columns >= 80, "{screen}");
        terminal.interrupt();

        let screen = terminal.until(PATIENCE, |screen| screen.contains("status 0")).await;
        println!("{screen}");
        let order = ["collecting AAAUSDT", "connected", "stopping: SIGINT", "saved ", "stopped: SIGINT", "status 0"];
        let at: Vec<usize> = order.iter().map(|words| screen.find(words).unwrap_or(usize::MAX)).collect();
        assert!(at.is_sorted() && !at.contains(&usize::MAX), "{at:?} {screen}");
        assert!(!screen.contains(" trades/s") && !screen.contains("^C"), "the line has gone: {screen}");
    }
}

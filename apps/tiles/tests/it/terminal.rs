//! What a person sees, on terminals that are wide and narrow.

use std::time::Duration;

use sims::{
    terminal::Terminal,
    tiles::{Config, Delay, Fault, Format, Origin, Rule, Script},
};

use super::{PATIENCE, program::AREA};

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
        let terminal = Terminal::start(socket, (columns, 20), &command);

        let screen = terminal.until(PATIENCE, |screen| screen.contains(" % ") && screen.contains(" left")).await;
        println!("{screen}");
        assert!(screen.lines().filter(|line| line.contains(" %")).count() == 1, "one line: {screen}");
        let bar = screen.lines().find(|line| line.contains(" %")).unwrap();
        assert!(bar.chars().count() < usize::from(columns), "{screen}");
        terminal.interrupt();

        let screen = terminal.until(PATIENCE, |screen| screen.contains("status 130")).await;
        println!("{screen}");
        assert!(screen.contains("stopping: SIGINT") && screen.contains("continue with: tiles get"), "{screen}");
        assert!(!screen.contains(" % ") && !screen.contains("^C"), "the bar is closed: {screen}");
    }
}

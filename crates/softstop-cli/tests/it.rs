//! The command as a person starts it.

use std::process::{Command, Output};

fn softstop(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_softstop")).args(args).output().expect("it runs")
}

#[test]
fn help_is_no_error_and_an_unknown_command_is_one() {
    assert_eq!(softstop(&["--help"]).status.code(), Some(0));
    assert_eq!(softstop(&[]).status.code(), Some(2));

    let unknown = softstop(&["prvoe"]);

    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("prvoe"));
}

#[test]
fn selftest_prints_a_table_and_passes() {
    let output = softstop(&["selftest"]);

    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("as an ordinary user"), "{text}");
    assert!(text.contains("kill -9 of us"), "{text}");
    assert!(text.ends_with("nobody escaped where nobody may\n"), "{text}");
}

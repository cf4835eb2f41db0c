//! The same work in Python, as the original does it and as lean as its standard library allows; left out where there is no Python.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use crate::Result;

const PROGRAM: &str = include_str!("count.py");

/// Name and processor time of each way; checks that each comes to the same sum.
pub(crate) fn run(messages: &[String], rounds: usize, sum: [i64; 5]) -> Result<Vec<(String, Duration)>> {
    let child = Command::new("python3")
        .args(["-c", PROGRAM, &rounds.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("  python3 is not there: its lines are left out");
        return Ok(Vec::new());
    };
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    stdin.write_all(messages.join("\n").as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err("the Python program failed".into());
    }
    let mut ways = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let [name, seconds, counted] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else {
            return Err(format!("unexpected from Python: {line}").into());
        };
        if counted != "-" && counted != format!("{sum:?}") {
            return Err(format!("Python counts {counted} and not {sum:?}").into());
        }
        ways.push((name.to_owned(), Duration::from_secs_f64(seconds.parse()?)));
    }
    Ok(ways)
}

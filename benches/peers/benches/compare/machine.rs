//! Where and with what the figures were taken; nothing that would name the machine.

use std::{fs, process::Command, thread::available_parallelism};

use crate::{Result, figures::grouped};

/// What the measured programs were built from.
const LOCK: &str = include_str!("../../Cargo.lock");
const CRATES: [&str; 5] = ["tokio", "tokio-util", "async-shutdown", "tokio-graceful-shutdown", "rocketmq-runtime"];

/// Date, size of the machine, versions.
pub(crate) fn describe() -> Result<String> {
    let date = output_of("date", &["-u", "+%F"])?;
    let cores = available_parallelism()?;
    let memory: f64 = field("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse()?;
    let gib = grouped(memory / 1024.0 / 1024.0);
    let model = field("/proc/cpuinfo", "model name")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split(['-', '\n']).next().unwrap_or_default();
    let compiler = output_of(env!("CARGO"), &["-V"])?;
    let compiler = compiler.split(' ').nth(1).unwrap_or_default();
    let versions: Vec<String> = CRATES.iter().map(|name| format!("{name} {}", version(name))).collect();
    let versions = versions.join(", ");
    Ok(format!("{date}, {cores} cores ({model}), {gib} GiB, Linux {kernel}, Rust {compiler}; {versions}"))
}

/// How busy the machine is: the mean number of runnable threads over the last minute.
pub(crate) fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

fn output_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The value of the first `name: value` line.
fn field(file: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
    Ok(value.map(|(_, value)| value.trim().to_owned()).ok_or_else(|| format!("{file} has no {name}"))?)
}

/// The version of a crate in the lock file.
fn version(name: &str) -> &'static str {
    let package = LOCK.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")));
    package.and_then(|package| package.split('"').nth(3)).unwrap_or("?")
}

//! `softstop prove`: shows how well a program stops.

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::{Arg, ArgMatches, Command, arg, value_parser};
use softstop_fleet::prove::{self, Options, Progress, Replay, Scenario};

use crate::render;

/// The command line or the scenario is wrong.
const WRONG: u8 = 2;
/// A person or a supervisor ended it.
const INTERRUPTED: u8 = 3;

pub(crate) fn command() -> Command {
    Command::new("prove")
        .about("Shows how well a program stops")
        .long_about(
            "Starts the program many times, asks it to stop at chosen moments, and shows what\n\
             came of it: whether it is gone in time, how soon it acts, its exit status, and\n\
             what it leaves behind. Nothing has to be said but the program:\n\n    \
             softstop prove -- python agent.py\n\n\
             Exit status: 0 all rules hold; 1 a rule is broken; 2 the command line or the\n\
             scenario is wrong, the program did not start, or a file could not be written;\n\
             3 interrupted.",
        )
        .args([
            arg!(--scenario <FILE> "What to do and what to demand: prove.yaml").value_parser(value_parser!(PathBuf)),
            arg!(--trials <N> "How many trials").value_parser(value_parser!(u32).range(1..=1_000_000)),
            arg!(--budget <SECONDS> "How long all of it may take").value_parser(value_parser!(u64).range(1..=86_400)),
            arg!(--seed <N> "What is drawn is drawn by this number").value_parser(value_parser!(u64)),
            arg!(--alone <N> "So many trials first, one after the other, whose times count")
                .value_parser(value_parser!(u32)),
            arg!(--parallel <N> "Trials at once, after those whose times count")
                .value_parser(value_parser!(u32).range(1..=64)),
            arg!(--replay <LINE> "Only this trial, such as 'TERM at ready+2ms, seed 17'"),
            arg!(--times <N> "How often the replay")
                .value_parser(value_parser!(u32).range(1..=10_000))
                .default_value("1"),
            arg!(--json <FILE> "Write the verdict as JSON; - for stdout").value_parser(value_parser!(PathBuf)),
            arg!(--html <FILE> "Write it as a page").value_parser(value_parser!(PathBuf)),
            arg!(--junit <FILE> "Write it as JUnit XML").value_parser(value_parser!(PathBuf)),
        ])
        .arg(
            // With or without `--` before it.
            Arg::new("command")
                .num_args(1..)
                .trailing_var_arg(true)
                .value_name("COMMAND")
                .help("The program and its arguments, after all options"),
        )
}

/// What was said, read.
struct Wanted {
    scenario: Scenario,
    replay: Option<(Replay, u32)>,
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    junit: Option<PathBuf>,
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let wanted = match wanted(matches) {
        Ok(wanted) => wanted,
        Err(error) => {
            render::say(&format!("error: {error}"));
            return ExitCode::from(WRONG);
        }
    };
    softstop::main(|s| {
        let progress = Arc::new(Mutex::new(None::<Progress>));
        let (shown, live) = (Arc::clone(&progress), std::io::stderr().is_terminal());
        s.name("softstop").quiet().current_thread();
        s.status_line(move |_| shown.lock().unwrap_or_else(PoisonError::into_inner).map(line).unwrap_or_default());
        let job = s.component("prove", (), async move |scope, ()| {
            let words = scope.clone();
            scope.spawn_blocking("trials", move |flag| {
                let told = Mutex::new(Duration::ZERO);
                let tell = |now: Progress| {
                    *progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                    let mut last = told.lock().unwrap_or_else(PoisonError::into_inner);
                    if !live && now.took >= *last + Duration::from_secs(10) {
                        *last = now.took;
                        words.say(line(now));
                    }
                };
                let stop = || flag.is_draining();
                let trampoline = PathBuf::from("/proc/self/exe");
                let options = Options { trampoline, stop: &stop, tell: &tell, replay: wanted.replay.clone() };
                let verdict = prove::run(&wanted.scenario, &options);
                *progress.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let status = if stop() { INTERRUPTED } else { verdict.exit_status() };
                words.exit_status(status, verdict.line());
                if wanted.json.as_deref() != Some(Path::new("-")) {
                    render::line(verdict.to_text(render::width()).trim_end());
                }
                let written = [
                    (&wanted.json, verdict.to_json()),
                    (&wanted.html, verdict.to_html()),
                    (&wanted.junit, verdict.to_junit()),
                ];
                // One that cannot be written keeps nobody from the others.
                for (path, text) in written {
                    let Some(Err(error)) = path.as_ref().map(|path| write(path, &text)) else { continue };
                    render::say(&format!("error: {error}"));
                    words.exit_status(WRONG.max(status), verdict.line());
                }
                Ok(())
            });
            Ok(())
        });
        s.options(job).main_job();
        Ok(())
    })
}

fn wanted(matches: &ArgMatches) -> Result<Wanted, String> {
    let mut scenario = match matches.get_one::<PathBuf>("scenario") {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let read = Scenario::from_yaml(&text).map_err(|error| format!("{}: {error}", path.display()))?;
            Scenario { file: Some(path.display().to_string()), ..read }
        }
        None => Scenario::default(),
    };
    if let Some(command) = matches.get_many::<String>("command") {
        scenario.command = command.cloned().collect();
    }
    if scenario.command.is_empty() {
        return Err("there is no program to prove\nhint: softstop prove -- python agent.py".to_owned());
    }
    if let Some(trials) = matches.get_one("trials") {
        scenario.trials = Some(*trials);
    }
    if let Some(budget) = matches.get_one("budget") {
        scenario.budget = Duration::from_secs(*budget);
    }
    if let Some(seed) = matches.get_one("seed") {
        scenario.seed = *seed;
    }
    if let Some(alone) = matches.get_one("alone") {
        scenario.alone = *alone;
    }
    if let Some(parallel) = matches.get_one("parallel") {
        scenario.parallel = Some(*parallel);
    }
    let times = matches.get_one("times").copied().unwrap_or(1);
    let replay = matches.get_one::<String>("replay").map(|line| line.parse::<Replay>()).transpose();
    let replay = replay.map_err(|error| format!("--replay: {error}"))?.map(|replay| (replay, times));
    let path = |name| matches.get_one::<PathBuf>(name).cloned();
    for path in ["json", "html", "junit"].into_iter().filter_map(path) {
        writable(&path)?;
    }
    Ok(Wanted { scenario, replay, json: path("json"), html: path("html"), junit: path("junit") })
}

fn line(progress: Progress) -> String {
    let Progress { done, planned, failed, took } = progress;
    let left = took.as_secs_f64() / (done.max(1) as f64) * planned.saturating_sub(done) as f64;
    format!("{done} of {planned} trials, {failed} failed, {:.0} s, about {left:.0} s to go", took.as_secs_f64())
}

/// Better now than after a minute.
fn writable(path: &Path) -> Result<(), String> {
    if path == Path::new("-") {
        return Ok(());
    }
    let opened = fs::File::options().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    if path == Path::new("-") {
        render::line(text);
        return Ok(());
    }
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

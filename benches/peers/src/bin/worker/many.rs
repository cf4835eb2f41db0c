//! Many idle tasks: what it costs to have them, to ask them to stop, and to see them end.

use crate::{
    peers,
    sample::{self, Step},
};

/// Spawns `tasks` idle tasks with `peer`, stops them, and says what each step cost.
///
/// # Errors
///
/// If there is no such peer, or it counted another number of ends than there were tasks.
pub(crate) fn measure(peer: &str, tasks: usize) -> softstop::Result<String> {
    let run = peers::by_name(peer).ok_or_else(|| format!("no peer is called {peer}"))?;
    sample::expect(tasks);
    if let Some(counted) = run(tasks)?.filter(|counted| *counted != tasks) {
        return Err(format!("{peer} counted {counted} of {tasks} tasks").into());
    }
    let spawned = sample::between(Step::Spawning, Step::Polled)?;
    let call = sample::between(Step::Asking, Step::Asked)?;
    let ended = sample::between(Step::Asking, Step::Ended)?;
    Ok(format!(
        r#"{{"spawn_wall_ns":{},"spawn_cpu_ns":{},"rss":{},"call_ns":{},"end_wall_ns":{},"end_cpu_ns":{}}}"#,
        spawned.wall.as_nanos(),
        spawned.cpu.as_nanos(),
        spawned.rss.ok_or("/proc/self/statm cannot be read")?,
        call.wall.as_nanos(),
        ended.wall.as_nanos(),
        ended.cpu.as_nanos(),
    ))
}

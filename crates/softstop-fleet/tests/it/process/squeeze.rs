//! Less of a processor than there is.

use std::time::{Duration, Instant};

use softstop_fleet::process::{Level, Squeeze};

use crate::support::{at, available, await_line, run, shell, soon, until};

/// Says each time it has used another 20 ms of a processor.
const BURNS: &str = "import time
print('there', flush=True)
done = 0
while True:
    if time.process_time() - done * 0.02 > 0.02:
        done += 1
        print(done, flush=True)";

#[test]
fn a_squeezed_program_uses_no_more_than_its_part_and_goes_on_after_it() {
    for level in available() {
        let running = run(&at(level, crate::support::spec("python3", &["-c", BURNS])));
        await_line(&running, "there");

        let squeezed = running.squeeze(10).unwrap();
        let before = running.look(|seen| seen.output.lines().len());
        running.wait_for(Instant::now() + Duration::from_millis(600), |_| false);
        let used = running.look(|seen| seen.output.lines().len()) - before;

        // 60 ms are 3 times 20; a machine that is busy gives less, and a thread that wakes late a little more.
        assert!(used <= 12, "{level}, {}: {used} times 20 ms in 600 ms", squeezed.how());
        assert_eq!(squeezed.how() == Squeeze::Stopping, level != Level::Cgroup);
        drop(squeezed);
        let goes_on = running.wait_for(soon(), |seen| seen.output.lines().len() > before + used + 5);
        assert!(goes_on, "{level}");
    }
}

#[test]
fn who_was_stopped_before_stays_so() {
    for level in available().into_iter().filter(|level| *level != Level::Cgroup) {
        let running = run(&at(level, shell("sleep 60 & kill -STOP $!; while :; do sleep 0.01; done")));
        let stopped = || running.tree().into_iter().filter(|process| process.state == 'T').count();
        until(|| stopped() == 1);

        drop(running.squeeze(50).unwrap());

        assert_eq!(stopped(), 1, "{level}");
    }
}

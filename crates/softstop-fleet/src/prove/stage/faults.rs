//! What goes wrong in a trial because it was asked to.

use std::time::{Duration, Instant};

use super::live::Trial;
use crate::{
    process::Signal,
    prove::{replay::Fault, trial::Made},
};

/// How long a process may take to stop; only one that cannot be disturbed takes longer.
const STOP: Duration = Duration::from_millis(50);
const TICK: Duration = Duration::from_micros(200);

impl Trial<'_> {
    /// Those that last from the start.
    pub(super) fn begin_faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            let how = match fault {
                Fault::Cpu(percent @ 1..100) => match self.running.squeeze(*percent) {
                    Ok(squeezed) => {
                        let how = squeezed.how().to_string();
                        self.squeezed = Some(squeezed);
                        Ok(how)
                    }
                    Err(error) => Err(error.to_string()),
                },
                Fault::Cpu(_) => Err("all of a processor is no fault".to_owned()),
                // Made later: one with the first act, the others when a call comes by that they are for.
                Fault::StoppedChild | Fault::DiskFull(_) | Fault::SilentPeer => continue,
            };
            self.faults.push(Made { fault: *fault, how });
        }
    }

    /// Those that are made right before the first act.
    pub(super) fn last_faults(&mut self, faults: &[Fault]) {
        if faults.contains(&Fault::StoppedChild) {
            let how = self.stop_child();
            self.faults.push(Made { fault: Fault::StoppedChild, how });
        }
    }

    /// The first child of the main process, which stays stopped until somebody continues or kills it.
    fn stop_child(&self) -> Result<String, String> {
        if self.running.trace().is_some() {
            return Err("its system calls are followed, and then it would not stay stopped".to_owned());
        }
        let main = self.running.pid();
        let children = || self.running.tree().into_iter().filter(|process| process.parent == main);
        let Some(first) = children().min_by_key(|child| child.began_ticks) else {
            return Err("the program had no child".to_owned());
        };
        match first.signal(Signal::STOP) {
            Ok(true) => {}
            Ok(false) => return Err("the child had just ended".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let until = Instant::now() + STOP;
        while Instant::now() < until {
            if children().any(|child| child.pid == first.pid && child.state == 'T') {
                return Ok("its first child stood still".to_owned());
            }
            self.running.wait_for(Instant::now() + TICK, |_| false);
        }
        Err("the child did not stop".to_owned())
    }
}

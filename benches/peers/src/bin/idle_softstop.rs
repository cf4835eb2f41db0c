//! An idle service: one component, one task that waits. SIGTERM ends it.

use std::{future::pending, io::Write, process::ExitCode};

use softstop::{Result, Service};

fn main() -> ExitCode {
    softstop::main(service)
}

fn service(s: &mut Service) -> Result {
    s.component("idle", (), async |scope, ()| {
        scope.spawn("wait", pending::<Result>());
        Ok(writeln!(std::io::stdout(), "ready")?)
    });
    Ok(())
}

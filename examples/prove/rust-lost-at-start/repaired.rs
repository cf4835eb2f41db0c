//! A server whose signals are taken from its first line on: `softstop::main` does so, and a stop ends what starts.

use std::time::Duration;

fn main() -> std::process::ExitCode {
    softstop::main(|s| {
        s.name("server").quiet();
        s.component("server", (), async |scope, ()| {
            scope.sleep(Duration::from_millis(160)).await?;
            scope.say("ready");
            scope.spawn_with("serve", async |scope| {
                scope.cancelled().await;
                Ok(())
            });
            Ok(())
        });
        Ok(())
    })
}

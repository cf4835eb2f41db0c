//! The exchange's clock beside this machine's.

use std::time::{SystemTime, UNIX_EPOCH};

use market::{Progress, Times};
use sims::exchange::{Config, RequestFault, Rule, Script};

use super::{
    faults::Rig,
    rig::{MS, goes_on, quick},
};

/// An exchange whose clock is this one's, but for what its script says.
async fn of_now(script: Script) -> Rig {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    Rig::with(Config { speed: 1.0, start_ms: Some(u64::try_from(now).unwrap()), ..goes_on(71, script) }).await
}

fn offsets(rig: &Rig) -> Vec<i64> {
    let events = rig.events.lock().unwrap();
    let offset = |event: &Progress| if let Progress::Clock(offset, _) = event { Some(*offset) } else { None };
    events.iter().filter_map(offset).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_is_asked_again_and_again_and_one_that_is_off_is_warned_of_once() {
    let script = Script::new(71)
        .request(Rule::new(RequestFault::Status(503, None)).of("time").number(2))
        .request(Rule::new(RequestFault::Skew(-5000)).of("time").numbers(9..=u64::MAX));
    let rig = of_now(script).await;

    rig.run(Times { clock: 20 * MS, ..quick() }, async |rig| {
        rig.until(|rig| offsets(rig).iter().filter(|offset| **offset < -4000).count() >= 3).await;
    })
    .await;

    let offsets = offsets(&rig);
    assert!(offsets[0].abs() < 1000 && (-6000..-4000).contains(offsets.last().unwrap()), "{offsets:?}");
    let warned = |event: &Progress| matches!(event, Progress::ClockOff(offset) if *offset < -4000);
    assert_eq!(rig.count(warned), 1, "{:?}", rig.events.lock().unwrap());
}

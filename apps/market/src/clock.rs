//! How far the clock of this machine is from that of the exchange: asked when collecting begins, and every few minutes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use softstop::Result;
use tokio::time::{Instant, sleep};

use crate::{
    Progress, Tell, Times,
    backoff::Backoff,
    budget::Purpose,
    rest::{Client, Trouble, wall_ms},
    wire::rest::server_time,
};

/// Of so many answers the quickest counts; the first has to make the connection.
const ASKED: u32 = 3;
/// Further off than that a person should look after the clock.
const OFF_MS: i64 = 250;

/// What has to be added to this machine's clock to get that of the exchange, in milliseconds; 0 as long as nobody knows.
pub(crate) type Offset = Arc<AtomicI64>;

pub(crate) struct Clock {
    pub(crate) client: Client,
    pub(crate) offset: Offset,
    pub(crate) times: Arc<Times>,
    pub(crate) tell: Tell,
}

/// What was measured: the offset, and how much it may be wrong, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measured {
    offset_ms: i64,
    within_ms: i64,
}

impl Measured {
    /// The exchange has said `server_ms` at some moment of the `took` after `asked_ms`.
    fn of(server_ms: i64, asked_ms: i64, took: Duration) -> Self {
        let half = i64::try_from(took.as_millis() / 2).unwrap_or(i64::MAX);
        Self { offset_ms: server_ms.saturating_sub(asked_ms.saturating_add(half)), within_ms: half }
    }

    fn is_off(self) -> bool {
        self.offset_ms.saturating_abs().saturating_sub(self.within_ms) > OFF_MS
    }
}

impl Clock {
    /// Goes on until it is dropped.
    pub(crate) async fn run(mut self) -> Result {
        let (mut backoff, mut off) = (Backoff::new(self.times.retry), false);
        loop {
            let Ok(measured) = self.measure().await else {
                sleep(backoff.next()).await;
                continue;
            };
            backoff.reset();
            let Measured { offset_ms, within_ms } = measured;
            self.offset.store(offset_ms, Ordering::Relaxed);
            (self.tell)(Progress::Clock(offset_ms, within_ms));
            if measured.is_off() && !std::mem::replace(&mut off, true) {
                (self.tell)(Progress::ClockOff(offset_ms));
            }
            sleep(self.times.clock).await;
        }
    }

    /// The quickest of some answers.
    async fn measure(&mut self) -> Result<Measured, Trouble> {
        let mut best: Option<Measured> = None;
        for _ in 0..ASKED {
            let (asked_ms, asked) = (wall_ms(), Instant::now());
            let body = self.client.get("/api/v3/time", 1, Purpose::Trades).await?;
            let took = asked.elapsed();
            let server_ms = server_time(&body).map_err(|wrong| Trouble::Unreadable(wrong.to_string()))?;
            let measured = Measured::of(server_ms, asked_ms, took);
            best = Some(best.filter(|best| best.within_ms <= measured.within_ms).unwrap_or(measured));
        }
        best.ok_or_else(|| Trouble::Unanswered("nothing was asked".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_way_there_and_back_is_taken_off() {
        let measured = |server_ms, took| Measured::of(server_ms, 1_000_000, Duration::from_millis(took));

        assert_eq!(measured(1_000_020, 40), Measured { offset_ms: 0, within_ms: 20 });
        assert_eq!(measured(1_000_320, 40).offset_ms, 300);
        assert_eq!(measured(999_720, 40).offset_ms, -300);
        assert!(measured(1_000_320, 40).is_off() && measured(999_720, 40).is_off());
        assert!(!measured(1_000_550, 700).is_off(), "it may be the way");
    }
}

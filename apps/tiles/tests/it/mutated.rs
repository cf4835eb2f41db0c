//! Answers with anything in them: whatever a server sends, the program neither panics nor hangs nor takes it for a tile.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use tiles::{
    get::status,
    grid::Tile,
    net::{Connect, Dialed},
    store::{Reader, verify},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    Random,
    memory::{self, asked_tile},
    sweep,
};

/// All answers for a tile, as they were sent.
type Sent = Arc<Mutex<BTreeMap<Tile, Vec<Vec<u8>>>>>;

/// Answers each request with a right answer, or with one that has been tampered with.
struct Tamperer {
    random: Random,
    sent: Sent,
    request: Vec<u8>,
    answer: Vec<u8>,
    ends: bool,
    ready: Pin<Box<Sleep>>,
    reader: Option<std::task::Waker>,
}

impl Tamperer {
    fn take(&mut self) {
        if !self.request.ends_with(b"\r\n\r\n") {
            return;
        }
        let tile = asked_tile(&std::mem::take(&mut self.request));
        let body = memory::body(tile);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"a\"\r\nCache-Control: max-age=9\r\n\r\n",
            body.len()
        );
        let (head, whole) = (head.into_bytes(), body.len());
        let mut answer = [head, body].concat();
        self.ends = false;
        if self.random.below(3) == 0 {
            for _ in 0..=self.random.below(4) {
                self.tamper(&mut answer, whole);
            }
        }
        self.sent.lock().unwrap().entry(tile).or_default().push(answer.clone());
        self.answer = answer;
        self.ready.as_mut().reset(Instant::now() + Duration::from_millis(1));
        self.reader.take().inspect(|waker| waker.wake_by_ref());
    }

    fn tamper(&mut self, answer: &mut Vec<u8>, body: usize) {
        let length = answer.len().max(1);
        let mut at = || usize::try_from(self.random.below(length as u64)).unwrap();
        let at = [at(), at()];
        match self.random.below(7) {
            0 => answer.truncate(at[0]),
            1 => answer.iter_mut().skip(at[0]).take(1).for_each(|byte| *byte ^= 0x20),
            2 => answer.insert(at[0].min(answer.len()), b'\n'),
            3 => drop(answer.drain(at[0].min(answer.len())..(at[0] + 9).min(answer.len()))),
            4 => answer.iter_mut().skip(at[0]).take(1).for_each(|byte| *byte = 0xFF),
            5 => {
                let from = at[0].min(at[1]).min(answer.len());
                let piece = answer[from..at[0].max(at[1]).min(answer.len())].to_vec();
                answer.extend(piece);
            }
            _ => answer.truncate(answer.len().saturating_sub(body / 2)),
        }
        self.ends |= self.random.below(2) == 0;
    }
}

impl AsyncRead for Tamperer {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.answer.is_empty() && !self.ends {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.ready.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let size = self.answer.len().min(into.remaining());
        into.put_slice(&self.answer[..size]);
        self.answer.drain(..size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tamperer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.request.extend_from_slice(bytes);
        self.take();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn connect(seed: u64, sent: &Sent) -> Connect {
    let (sent, connections) = (Arc::clone(sent), Mutex::new(Random(seed)));
    Arc::new(move |_| {
        let random = Random(connections.lock().unwrap().below(u64::MAX));
        let wire = Tamperer {
            random,
            sent: Arc::clone(&sent),
            request: Vec::new(),
            answer: Vec::new(),
            ends: false,
            ready: Box::pin(sleep_until(Instant::now())),
            reader: None,
        };
        Box::pin(std::future::ready(Ok(Dialed { wire: Box::new(wire), http2: false })))
    })
}

#[test]
fn whatever_is_answered_nothing_panics_hangs_or_becomes_a_tile_that_was_not_sent() {
    let (mut complete, mut stored) = (0, 0);
    for seed in 0..150 {
        println!("seed {seed}");
        let folder = memory::folder().unwrap();
        let sent = Sent::default();
        let mut service = softstop::Service::new("mutated");
        sweep::fetching(&mut service, folder.path(), connect(seed, &sent)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();

        // A day, on a paused clock.
        let stop = async {
            tokio::time::sleep(Duration::from_secs(86_400)).await;
            softstop::Reason::Requested("it hangs".into())
        };
        let report = runtime.block_on(service.run(stop));

        assert!(matches!(report.reason, softstop::Reason::Finished(_)), "{}", report.line());
        assert!(
            [0, status::INCOMPLETE, status::COME_BACK, status::REFUSED].contains(&report.code()),
            "{}",
            report.line()
        );
        complete += u32::from(report.code() == 0);
        let path = folder.path().join("map.mbtiles");
        assert!(verify(&path).unwrap().damage.is_empty());
        let sent = sent.lock().unwrap();
        for item in Reader::open(&path).unwrap().tiles().unwrap().0 {
            let (tile, body) = item.unwrap();
            // A byte of a picture that is another cannot be seen; but nothing is made up of two answers, and nothing is added.
            let is_in = |sent: &Vec<u8>| sent.windows(body.len()).any(|part| part == body);
            assert!(sent[&tile].iter().any(is_in), "{tile:?} is {body:?}");
            stored += 1;
        }
    }
    println!("{complete} of 150 complete, {stored} tiles stored");
    assert!(complete > 10 && stored > 1500, "{complete} complete, {stored} stored");
}

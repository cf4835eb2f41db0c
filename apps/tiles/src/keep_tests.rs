use std::sync::Mutex;

use softstop::{Reason, Service, Status};

use super::*;
use crate::{
    grid::Tile,
    store::{Http, Options, Reader, Store},
};

/// A store whose rows somebody outside of the service goes on holding, so that no end of theirs is seen.
async fn with_rows_held(hurry: bool) -> (softstop::Report, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mbtiles");
    let file = Store::open(&path, &Options::default()).unwrap();
    let held = Arc::new(Mutex::new(None));
    let holder = Arc::clone(&held);
    let mut service = Service::new("test");
    let store = service.component("store", (), async move |scope, ()| start(&scope, file, Arc::default()).await);
    service.component("sends", store, async move |_, rows: Rows| {
        for x in 0..3 {
            let what = What::Stored { body: vec![1, 2, 3], http: Http::default() };
            rows.send(Row { tile: Tile::new(2, x, 0).unwrap(), what }).await.map_err(|_| "closed")?;
        }
        *holder.lock().unwrap() = Some(rows);
        Ok(())
    });
    let handle = service.handle();
    let stop = async move {
        handle.ready().await;
        if hurry {
            handle.hurry();
        }
        Reason::Requested("the test".into())
    };

    let report = service.run(stop).await;

    drop(held);
    let stored = Reader::open(&path).unwrap().tiles().unwrap().0.count();
    (report, stored)
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_written_even_if_nobody_says_that_it_was_the_last() {
    for hurry in [false, true] {
        let (report, stored) = with_rows_held(hurry).await;

        assert_eq!((report.status, stored), (Status::Clean, 3), "hurry: {hurry}: {}", report.line());
        assert!(report.losses.is_empty());
    }
}

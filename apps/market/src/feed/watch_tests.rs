use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn watch() -> Watch {
    let stall = (10 * SECOND, 60 * SECOND);
    Watch::new(&Arc::new(Times { stall, silence: 600 * SECOND, ..Times::default() }), 2, false)
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_replaced_although_nobody_answers_whether_it_is_dead() {
    let mut watch = watch();
    let (checks, mut asked) = mpsc::channel(2);

    // Pings come all the time.
    for _ in 0..119 {
        advance(SECOND).await;
        watch.heard(None);
        assert!(matches!(watch.look(Some(&checks)), Ok(None)));
    }
    let first = asked.try_recv().unwrap();
    assert!(asked.try_recv().is_err(), "one at a time");
    advance(2 * SECOND).await;
    watch.heard(None);

    let Ok(Some(Replace::Stall(silent))) = watch.look(Some(&checks)) else { panic!("it is replaced") };
    assert_eq!(silent, 121 * SECOND);
    drop(first);
}

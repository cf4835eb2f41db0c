use market::Standing;

use super::*;

fn second(trades: i64, lag_ms: i64, gaps: usize, missing: i64, filled: i64) -> Progress {
    let minute_ms = Some(1_795_265_460_000);
    let symbol = Standing { symbol: "BTCUSDT".into(), minute_ms, minute_trades: 1204, gaps, missing, filled, holes: 0 };
    Progress::Second(Second { trades, last_ms: Some(1), lag_ms: Some(lag_ms), symbols: vec![symbol] })
}

const S: Duration = Duration::from_secs(1);

#[test]
fn the_line_says_how_things_stand() {
    let begin = Instant::now();
    let mut board = Board::new("wss://exchange".into(), begin);
    assert_eq!(board.line(200, begin), "connecting to wss://exchange");
    assert_eq!(board.line(200, begin + 12 * S), "connecting to wss://exchange for 12 s");

    board.take(&Progress::Disconnected("no answer".into()), begin + 10 * S);
    assert_eq!(board.line(200, begin + 12 * S), "not connected for 12 s | no answer");
    board.take(&Progress::Connected, begin + 13 * S);
    for (at, trades) in [(14, 50), (15, 53)] {
        board.take(&second(trades, 84, 0, 0, 0), begin + at * S);
    }
    assert_eq!(board.line(200, begin + 15 * S), "52 trades/s | lag 84 ms | 12:51 1204 trades | nothing missing");

    board.take(&second(60, -1500, 2, 130, 70), begin + 16 * S);
    let said = board.line(200, begin + 16 * S);
    assert_eq!(said, "54 trades/s | lag -1.5 s | 12:51 1204 trades | 130 missing in 2 gaps | 70 fetched later");
    let said = board.line(200, begin + 20 * S);
    assert_eq!(
        said,
        "54 trades/s | last trade 4.0 s ago | 12:51 1204 trades | 130 missing in 2 gaps | 70 fetched later | held up for 4.0 s"
    );

    board.take(&Progress::Unwritten("m.db".into(), "the disk is full".into()), begin + 20 * S);
    assert!(board.line(200, begin + 20 * S).ends_with(" | cannot write to m.db: the disk is full"));
    board.take(&Progress::Written("m.db".into()), begin + 20 * S);
    assert!(!board.line(200, begin + 20 * S).contains("m.db"));
    board.take(&Progress::Redis(RedisProgress::Away("cannot connect: refused".into())), begin + 20 * S);
    assert!(board.line(200, begin + 20 * S).ends_with(" | Redis: cannot connect: refused"));
    board.take(&Progress::Redis(RedisProgress::CaughtUp(7)), begin + 20 * S);
    assert!(board.line(200, begin + 20 * S).contains(" | Redis ok") && !board.line(200, begin).contains("refused"));
    board.silence();
    assert_eq!(board.line(200, begin), "");
}

#[test]
fn where_it_is_narrow_what_matters_least_is_left_out() {
    let begin = Instant::now();
    let mut board = Board::new("wss://exchange".into(), begin);
    board.take(&Progress::Disconnected("no answer from wss://exchange within 10 s".into()), begin);
    board.take(&second(60, 84, 2, 130, 70), begin);

    for (width, says) in [
        (120, "not connected | 60 trades/s | lag 84 ms | 12:51 1204 trades | 130 missing in 2 gaps | 70 fetched later"),
        (90, "not connected | 60 trades/s | lag 84 ms | 12:51 1204 trades | 130 missing in 2 gaps"),
        (70, "not connected | 60 trades/s | lag 84 ms | 130 missing in 2 gaps"),
        (51, "not connected | 60 trades/s | 130 missing in 2 gaps"),
        (30, "not connected | 60 trades/s"),
        (20, "not connected"),
        (5, "not c"),
        (0, ""),
    ] {
        assert_eq!(board.line(width, begin), says);
    }
}

#[test]
fn spans_are_short() {
    let ms = [0, 999, 1000, 9_949, 9_950, 119_000, 120_000, 7_199_999, 7_200_000];
    let said = ms.map(|ms| span(Duration::from_millis(ms)));
    assert_eq!(said, ["0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "119 s", "2 min", "119 min", "2 h"]);
    assert_eq!([0, 59_999, 60_000, 86_399_999, -1].map(hour_and_minute), ["00:00", "00:00", "00:01", "23:59", "23:59"]);
}

//! What is read: made trades, always the same, and recorded changes of books.

const RECORDED: &str = include_str!("../../../../apps/market/fixtures/binance-futures-ws.txt");

/// Trades of 41 minutes whose price walks in steps of a hundredth; with `gaps`, here and there an id is missing.
pub(crate) fn trades(many: usize, wrapped: bool, gaps: bool) -> Vec<String> {
    let mut random = 7_u64;
    let mut draw = |below: u64| {
        // An xorshift: the same numbers on every machine.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut ticks, mut single, mut time_ms) = (11_734_567_u64, 431_000_000, 1_753_000_000_000);
    let each_ms = 41 * 60_000 / many as u64;
    let mut trades = Vec::with_capacity(many);
    for id in 98_000_001..98_000_001 + many as u64 {
        ticks = ticks + draw(5) - 2;
        time_ms += draw(2 * each_ms + 1);
        let first = single + u64::from(draw(1000) == 0 && gaps);
        single = first + draw(3);
        let (maker, lots) = (draw(2) == 0, draw(100_000) + 1);
        let trade = format!(
            r#"{{"e":"aggTrade","E":{},"s":"BTCFDUSD","a":{id},"p":"{}.{:02}000000","q":"{}.{:05}000","f":{first},"l":{single},"T":{time_ms},"m":{maker},"M":true}}"#,
            time_ms + 1,
            ticks / 100,
            ticks % 100,
            lots / 100_000,
            lots % 100_000
        );
        single += 1;
        trades.push(if wrapped { format!(r#"{{"stream":"btcfdusd@aggTrade","data":{trade}}}"#) } else { trade });
    }
    trades
}

/// Every recorded change, so many times.
pub(crate) fn changes(times: usize) -> Vec<String> {
    let lines = RECORDED.lines().skip(1).filter_map(|line| line.split_once(": "));
    let changes: Vec<&str> = lines.map(|(_, text)| text).filter(|text| text.contains("\"depthUpdate\"")).collect();
    changes.iter().cycle().take(times * changes.len()).map(|text| (*text).to_owned()).collect()
}

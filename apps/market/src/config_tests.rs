use super::*;

/// Every key of the original, with other values than its defaults.
const ORIGINAL: &str = r#"
redis:
  host: ${REDIS_HOST}
  port: 6380
  db: 2
  decode_responses: true
  socket_timeout: 2.5
  socket_connect_timeout: 3
  storage_dir: "old/${WHERE}"
  max_storage_files: 100
  password: "p@ss"
binance:
  rest_api_base: "https://api.binance.com/api/v3"
  websocket_base: "wss://data-stream.binance.vision/ws/"
  symbol: "btcfdusd"
  rate_limit_requests_per_minute: 1200
  timeout: 10
data_collector:
  depth_snapshot:
    limit: 1000
    update_interval_seconds: 30
  order_flow:
    websocket_url: "wss://stream.binance.com:9443/ws/btcfdusd@aggTrade"
    window_size_minutes: 1440
    price_precision: 0.5
    aggregation_interval_seconds: 30
analyzer:
  deepseek: {api_key: "${NOT_SET}"}
logging:
  level: debug
  format: "%(asctime)s - %(message)s"
  file_path: logs/collector.log
  max_file_size_mb: 1.5
  backup_count: 0
shutdown:
  data_save_timeout: 5
  force_exit_timeout: 30
"#;

fn variable(name: &str) -> Option<String> {
    Some(match name {
        "REDIS_HOST" => "10.0.0.5".to_owned(),
        "WHERE" => "x: {y: 1}\n#".to_owned(),
        "EMPTY" => String::new(),
        _ => return None,
    })
}

fn read(text: &str) -> Result<Settings> {
    Settings::from_yaml(text, variable)
}

#[test]
fn every_key_of_the_original_is_understood() {
    let mut settings = read(ORIGINAL).unwrap();

    let warnings = std::mem::take(&mut settings.warnings);
    let shutdown = r#"{"save": 5, "total": 30}"#;
    let expected = Settings {
        symbols: BTreeSet::from(["BTCFDUSD".to_owned()]),
        rest: Some("https://api.binance.com".parse().unwrap()),
        ws: Some("wss://data-stream.binance.vision".parse().unwrap()),
        timeout: Some(Duration::from_secs(10)),
        redis: Some(Redis {
            host: "10.0.0.5".into(),
            port: 6380,
            db: 2,
            username: None,
            password: Some(Password::new("p@ss")),
            timeout: Duration::from_millis(2500),
            connect_timeout: Duration::from_secs(3),
            storage_dir: "old/x: {y: 1}\n#".into(),
            max_storage_files: Some(100),
        }),
        depth: Depth { limit: 1000, every: Duration::from_secs(30) },
        window_minutes: 1440,
        price_precision: Decimal::parse("0.5").unwrap(),
        logging: Some(Logging {
            level: Level::Debug,
            format: Some("%(asctime)s - %(message)s".into()),
            file: "logs/collector.log".into(),
            max_bytes: 3 << 19,
            backups: 0,
        }),
        shutdown: serde_json::from_str(shutdown).unwrap(),
        warnings: Vec::new(),
    };
    assert_eq!(settings, expected);
    assert_eq!(
        warnings,
        [
            "line 26: `data_collector.order_flow.aggregation_interval_seconds` is 30: trades are counted by the minute",
            "line 16: `binance.rate_limit_requests_per_minute` has no effect here: the limits of the exchange are kept by what it says in its answers",
            "line 6: `redis.decode_responses` has no effect here: what is stored is the same either way",
        ]
    );
}

#[test]
fn what_is_left_out_is_as_in_the_original() {
    for text in ["", "# nothing\n", "binance:\n", "analyzer: {x: '${NOT_SET}'}"] {
        assert_eq!(read(text), Ok(Settings::default()), "{text}");
    }
    assert_eq!(read("redis: {}\nlogging: {level: }").map(|read| (read.redis, read.logging)), {
        Ok((Some(Redis::default()), Some(Logging::default())))
    });
    let several = read("binance: {symbol: [BTCUSDT, ethusdt, BTCUSDT]}").unwrap();
    assert_eq!(several.symbols.into_iter().collect::<Vec<_>>(), ["BTCUSDT", "ETHUSDT"]);
    let url = read("data_collector: {order_flow: {websocket_url: 'ws://127.0.0.1:9443/ws/btcfdusd@aggTrade'}}");
    assert_eq!(url.map(|read| read.ws), Ok(Some("ws://127.0.0.1:9443".parse().unwrap())));
}

#[test]
fn keys_that_are_not_known_are_named_and_change_nothing() {
    let text = "redis: {hots: a}\nbinance: {}\ndata_colector: {x: 1}\nlogging: {colour: red}";

    let settings = read(text).unwrap();

    assert_eq!(
        settings.warnings,
        [
            "line 1: `redis.hots`: there is no such key; did you mean `host`?",
            "line 4: `logging.colour`: there is no such key; there are level, format, file_path, max_file_size_mb, backup_count",
            "line 3: `data_colector`: there is no such key; did you mean `data_collector`?",
        ]
    );
    assert_eq!(settings.redis, Some(Redis::default()));
}

#[test]
fn wrong_values_are_errors_that_name_key_and_value() {
    for (text, says) in [
        ("redis:\n  port: many", "line 2: `redis.port` is `many`; write a port from 1 to 65535"),
        ("redis: {port: 0}", "line 1: `redis.port` is `0`; write a port from 1 to 65535"),
        ("redis: {port: 70000}", "line 1: `redis.port` is `70000`; write a port"),
        ("redis: {db: -1}", "line 1: `redis.db` is `-1`; write a whole number from 0 to 4294967295"),
        ("redis: {socket_timeout: NaN}", "line 1: `redis.socket_timeout` is `NaN`; write seconds above 0"),
        ("redis: 5", "line 1: `redis` is `5`; write a section of keys with values"),
        ("redis: {host: [a]}", "line 1: `redis.host` is a list; write a name or an address"),
        (
            "redis: {host: '${NOT_SET}'}",
            "line 1: `redis.host` is `${NOT_SET}`; write the value itself, or set the envi",
        ),
        ("redis: {host: '${EMPTY}'}", "line 1: `redis.host` is nothing; write a name or an address"),
        ("binance: {symbol: BTC/USD}", "line 1: `binance.symbol` is `BTC/USD`; write a symbol such as BTCFDUSD"),
        ("binance: {symbol: []}", "line 1: `binance.symbol` is a list; write at least one of a symbol"),
        (
            "binance: {rest_api_base: api.binance.com}",
            "line 1: `binance.rest_api_base` is `api.binance.com`; write an a",
        ),
        (
            "binance: {websocket_base: 'https://x'}",
            "line 1: `binance.websocket_base` is `https://x`; write an address su",
        ),
        ("binance: {websocket_base: 'wss://x:port'}", "line 1: `binance.websocket_base` is `wss://x:port`; write"),
        ("binance: {timeout: 0}", "line 1: `binance.timeout` is `0`; write seconds above 0, at most a day"),
        (
            "data_collector: {depth_snapshot: {limit: 5001}}",
            "line 1: `data_collector.depth_snapshot.limit` is `5001`; write a whole number from 1 to 5000",
        ),
        (
            "data_collector: {order_flow: {price_precision: -1}}",
            "line 1: `data_collector.order_flow.price_precision` is `-1`; write a number above 0",
        ),
        ("logging: {level: LOUD}", "line 1: `logging.level` is `LOUD`; write DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("logging: {max_file_size_mb: 0}", "line 1: `logging.max_file_size_mb` is `0`; write megabytes above 0"),
        (
            "shutdown: {data_save_timeout: soon}",
            "line 1: `shutdown`: `data_save_timeout` is `soon`; allowed: a duration",
        ),
        ("shutdown: {hurry: 1}", "line 1: `shutdown`: `hurry` is"),
        ("- a\n- b", "line 1: expected sections"),
        ("redis: {host: a\nport", "line "),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn variables_stand_within_text_and_what_is_not_closed_is_left_alone() {
    let read =
        read("logging: {format: 'a ${REDIS_HOST} b ${WHERE} $HOME ${open', file_path: '$${REDIS_HOST}'}").unwrap();
    let logging = read.logging.unwrap();
    assert_eq!(logging.format.as_deref(), Some("a 10.0.0.5 b x: {y: 1}\n# $HOME ${open"));
    assert_eq!(logging.file, PathBuf::from("$10.0.0.5"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", at in 0..ORIGINAL.len(), put in "[\\[\\]{}:,'\"\n -]{0,5}") {
        let _ = read(&text);
        let _ = read(&format!("{}{put}{}", &ORIGINAL[..at], &ORIGINAL[at..]));
    }
}

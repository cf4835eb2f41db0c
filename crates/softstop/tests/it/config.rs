//! Budgets from a configuration section: what is wrong is named with key, value and what is allowed.

use softstop::{Service, Shutdown};

use crate::support::ms;

fn service() -> Service {
    let mut service = Service::new("test");
    let a = service.component("a", (), async |_, ()| Ok(()));
    service.component("b", a, async |_, ()| Ok(()));
    service
}

fn read(section: &str) -> Result<Shutdown, String> {
    serde_json::from_str(section).map_err(|error| error.to_string())
}

#[test]
fn durations_are_seconds_or_text() {
    for (value, expected) in [
        ("20", 20_000),
        ("20.5", 20_500),
        ("\"20\"", 20_000),
        ("\"20.5s\"", 20_500),
        ("\"20500 ms\"", 20_500),
        ("\"0.5m\"", 30_000),
        ("\"1h\"", 3_600_000),
    ] {
        let mut service = service();
        read(&format!(r#"{{ "total": {value} }}"#)).unwrap().apply(&mut service).unwrap();
        assert_eq!(service.check().unwrap().total, ms(expected), "{value}");
    }
}

#[test]
fn a_bad_value_is_an_error_with_key_value_and_what_is_allowed() {
    let huge = format!("\"{}\"", "9".repeat(400));
    for value in ["-3", "\"-3s\"", "\"NaN\"", "\"inf\"", "1e300", &huge, "\"5 parsecs\"", "\"\"", "true", "null", "[1]"]
    {
        let error = read(&format!(r#"{{ "save": {value} }}"#)).unwrap_err();
        assert!(error.contains("`save` is `"), "{value}: {error}");
        assert!(error.contains("allowed: a duration from 0 to 366 days"), "{value}: {error}");
    }
}

#[test]
fn an_unknown_key_is_an_error_that_lists_the_keys() {
    let error = read(r#"{ "svae": 3 }"#).unwrap_err();
    assert!(error.contains("`svae`") && error.contains("task_cancellation_timeout"), "{error}");

    let error = read(r#"{ "components": { "a": { "grace": 3 } } }"#).unwrap_err();
    assert!(error.contains("`components.a.grace`") && error.contains("unready_delay"), "{error}");

    let error = read(r#"{ "save": 1, "save": 2 }"#).unwrap_err();
    assert!(error.contains("`save` is there twice"), "{error}");
}

#[test]
fn an_unknown_component_is_an_error_that_lists_the_components() {
    let error = read(r#"{ "components": { "x": { "save": 3 } } }"#).unwrap().apply(&mut service()).unwrap_err();

    assert_eq!(error.to_string(), "`components` is `x`; allowed: the name of a component: a, b");
}

#[test]
fn the_keys_of_the_originals_limit_their_step_over_the_longest_chain() {
    let section = r#"{ "task_cancellation_timeout": 4, "connection_close_timeout": 2, "data_save_timeout": 6,
                       "force_exit_timeout": 40 }"#;
    let mut service = service();

    read(section).unwrap().apply(&mut service).unwrap();

    let plan = service.check().unwrap();
    let each = ms(2000 + 100 + 3000 + 1000);
    assert_eq!(plan.chain, [("b".to_owned(), each), ("a".to_owned(), each)]);
    assert_eq!((plan.total, plan.factor), (ms(40_000), 1.0));
}

#[test]
fn keys_whose_sum_exceeds_the_total_are_an_error() {
    let section = r#"{ "task_cancellation_timeout": 10, "data_save_timeout": 25, "force_exit_timeout": 30 }"#;
    let mut service = service();

    read(section).unwrap().apply(&mut service).unwrap();

    let error = service.check().unwrap_err();
    assert_eq!(error.to_string(), "the steps cancel 10s + save 25s add up to 35s, more than the total of 30s");
    assert!(error.hint().contains("force_exit_timeout"));
}

#[test]
fn reserves_over_the_total_are_an_error_that_draws_the_chain() {
    let mut service = service();
    read(r#"{ "components": { "a": { "save": 15 }, "b": { "save": 9 } } }"#).unwrap().apply(&mut service).unwrap();

    let error = service.check().unwrap_err().to_string();

    assert!(error.contains("b 9.3") && error.contains("a 15.3") && error.contains("total of 25s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_environment_names_of_the_originals_are_read() {
    let vars = [("INTERFACE_CLEANUP_TIMEOUT", "4"), ("COMPREHENSIVE_CLEANUP_TIMEOUT", "20s"), ("HOME", "/x")];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let unused = ("DISABLE_AIOHTTP_TRANSPORT".to_owned(), "1".to_owned());
    let mut service = service();

    Shutdown::from_vars(vars.into_iter().chain([unused])).unwrap().apply(&mut service).unwrap();

    assert_eq!(service.check().unwrap().total, ms(20_000));
    let report = crate::support::run_for(service, ms(1)).await;
    assert_eq!(report.notes, ["DISABLE_AIOHTTP_TRANSPORT is set and has no effect here"]);

    let bad = [("COMPREHENSIVE_CLEANUP_TIMEOUT".to_owned(), "soon".to_owned())];
    let error = Shutdown::from_vars(bad).unwrap_err();
    assert_eq!((error.key.as_str(), error.value.as_str()), ("COMPREHENSIVE_CLEANUP_TIMEOUT", "soon"));
}

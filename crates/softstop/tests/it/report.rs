//! The report as JSON after its schema, as one line, and as a drawing.

use serde_json::Value;
use softstop::{Report, Service};

use crate::support::{forever, ms, run, run_for};

/// A run in which something of everything happens.
async fn eventful() -> Report {
    let mut service = Service::new("test");
    service.total(ms(10_000));
    let base = service.component("base", (), async |scope, ()| {
        scope.owe("trades", 3);
        let held = scope.open("file", async { Ok::<_, std::io::Error>(()) }, async |()| Err("dead".into())).await?;
        scope.on_stop(async move |_| {
            let _held = held;
            tokio::time::sleep(ms(400)).await;
            Ok(())
        });
        Ok(())
    });
    service.component("top", base, async |scope, ()| {
        let leaky = scope.clone();
        scope.spawn("leaks", async move {
            let _ = leaky.open("socket", async { Ok::<_, std::io::Error>(()) }, async |()| Ok(())).await?;
            Ok(())
        });
        scope.spawn_with("stubborn", async |_| forever().await);
        scope.spawn_with("drains", async |scope| {
            scope.draining().await;
            tokio::time::sleep(ms(200)).await;
            Err::<(), _>("late".into())
        });
        scope.on_stop(async |_| Err("disk full".into()));
        Ok(())
    });
    run_for(service, ms(100)).await
}

/// The part of JSON Schema that `report.schema.json` uses.
fn check(schema: &Value, value: &Value, path: &str) {
    for key in schema.as_object().unwrap().keys() {
        let known = ["$schema", "title", "description", "type", "additionalProperties", "required", "properties"];
        assert!(known.contains(&key.as_str()) || ["items", "enum", "const"].contains(&key.as_str()), "{path}: {key}");
    }
    if let Some(types) = schema.get("type") {
        let is = |name: &str| match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_u64(),
            "null" => value.is_null(),
            other => panic!("{path}: type {other}"),
        };
        let fits = types.as_str().map_or_else(|| types.as_array().unwrap().iter().any(|t| is(t.as_str().unwrap())), is);
        assert!(fits, "{path} is {value}, not {types}");
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(constant, value, "{path}");
    }
    if let Some(allowed) = schema.get("enum") {
        assert!(allowed.as_array().unwrap().contains(value), "{path} is {value}, not one of {allowed}");
    }
    if let Some(fields) = value.as_object() {
        let properties = schema["properties"].as_object().unwrap();
        for required in schema["required"].as_array().unwrap() {
            assert!(fields.contains_key(required.as_str().unwrap()), "{path} lacks {required}");
        }
        for (name, field) in fields {
            let schema = properties.get(name).unwrap_or_else(|| panic!("{path}.{name} is not in the schema"));
            check(schema, field, &format!("{path}.{name}"));
        }
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{path}[{at}]"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_json_form_keeps_to_its_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../report.schema.json")).unwrap();
    let mut empty = Service::new("empty");
    empty.component("a", (), async |_, ()| Err::<(), _>("no".into()));

    for report in [eventful().await, run(empty).await] {
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();

        check(&schema, &json, "report");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_run_gives_the_same_report() {
    let (one, two) = (eventful().await, eventful().await);

    assert_eq!(one.to_json(), two.to_json());
}

#[tokio::test(start_paused = true)]
async fn the_line_says_reason_time_outcome_and_why() {
    let report = eventful().await;

    assert_eq!(
        report.line(),
        "stopped: requested by test, 2 components in 3.3 s, overrun, status 82 (1 aborted, 0 stuck, 0 steps cut, such as top/stubborn); \
         left open by tasks: 1 socket"
    );
}

#[tokio::test(start_paused = true)]
async fn the_timeline_draws_every_step_and_fits_its_width() {
    let report = eventful().await;

    for width in [40, 80, 200] {
        let drawn = report.timeline(width);
        let rows: Vec<&str> = drawn.lines().filter(|line| line.starts_with("* ")).collect();
        assert_eq!(rows.len(), 2, "{drawn}");
        assert!(rows.iter().all(|row| row.chars().count() <= usize::from(width)), "{drawn}");
        assert!(rows[0].contains("=~") && rows[1].contains(".#"), "{drawn}");
        assert!(drawn.contains("critical path: top -> base"), "{drawn}");
        assert!(drawn.contains("aborted: top/stubborn x1"), "{drawn}");
        assert!(drawn.contains("lost: 3 trades (accepted and never settled)"), "{drawn}");
        assert!(drawn.contains("failure: top/on_stop failed: disk full"), "{drawn}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_says_what_it_was_allowed_and_what_it_took() {
    let report = eventful().await;

    let base = crate::support::component(&report, "base");
    let save = base.steps.iter().find(|step| step.state == softstop::State::Saving).unwrap();
    assert_eq!(save.took, ms(400));
    assert!(save.allowed.unwrap() > ms(2000), "unstated: it may go on into the slack");
    assert_eq!(base.waited_for.as_deref(), Some("top"));
}

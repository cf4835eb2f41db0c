use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xAE\x42\x60\x82";
const GZIP: &[u8] = b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
const S: Duration = Duration::from_secs(1);

fn from() -> Address {
    Address::parse("https://h/3/1/2.png").unwrap()
}

fn at(seconds: u32) -> Now {
    Now { time: seconds * S, unix: 1_700_000_000 + u64::from(seconds) }
}

fn headers(list: &[(&str, &'static str)]) -> Headers {
    Headers::read(|name| list.iter().find(|(wanted, _)| *wanted == name).map(|(_, value)| *value))
}

fn answer<'a>(status: u16, headers: &'a Headers, body: &'a [u8]) -> Outcome<'a> {
    Outcome::Answer { status, headers, body, end: End::Whole, conditional: false }
}

/// Decides on a status with nothing more to it.
fn status(answers: &mut Answers, status: u16, seconds: u32) -> Decision {
    answers.decide(answer(status, &Headers::default(), b""), &from(), Tries::default(), at(seconds))
}

fn answers() -> Answers {
    Answers::new(Some(Format::Png), 7)
}

/// In a word, and the class of a failure.
fn word(fate: &Fate) -> (&'static str, Option<Class>) {
    match fate {
        Fate::Store(_) => ("store", None),
        Fate::Unchanged => ("unchanged", None),
        Fate::Empty => ("empty", None),
        Fate::Redirect { .. } => ("redirect", None),
        Fate::Again { failure, tries, .. } if tries.counted > 0 => ("again", Some(failure.class)),
        Fate::Again { failure, .. } => ("again for free", Some(failure.class)),
        Fate::Failed(failure) => ("failed", Some(failure.class)),
    }
}

#[test]
fn every_answer_has_its_row_in_the_table() {
    use Class::*;
    use Load::{Fine, Refused as Busier, Trouble};
    let (none, html) = (Headers::default(), b"<html>log in</html>".as_slice());
    let soon = headers(&[("retry-after", "5")]);
    let moved = headers(&[("location", "/t/3/1/2.png")]);
    let nowhere = headers(&[("location", "ftp://h/")]);
    let cut = |outcome, end| match outcome {
        Outcome::Answer { status, headers, body, conditional, .. } => {
            Outcome::Answer { status, headers, body, end, conditional }
        }
        broken => broken,
    };
    let asked = |status| Outcome::Answer { status, headers: &none, body: b"", end: End::Whole, conditional: true };
    for (outcome, expected, load) in [
        (answer(200, &none, PNG), ("store", None), Fine),
        (answer(203, &none, PNG), ("store", None), Fine),
        (cut(answer(200, &none, PNG), End::Closed), ("store", None), Fine),
        (cut(answer(200, &none, PNG), End::Cut), ("again", Some(Cut)), Trouble),
        (answer(200, &none, &PNG[..15]), ("again", Some(Cut)), Fine),
        (cut(answer(200, &none, b""), End::Cut), ("again", Some(Cut)), Trouble),
        (cut(answer(200, &none, b""), End::Closed), ("again", Some(Cut)), Trouble),
        (cut(answer(200, &none, &PNG[..7]), End::Closed), ("again", Some(Cut)), Trouble),
        (cut(answer(200, &none, html), End::Closed), ("failed", Some(NotATile)), Fine),
        (answer(200, &none, html), ("failed", Some(NotATile)), Fine),
        (answer(200, &none, b"{\"error\":1}"), ("failed", Some(NotATile)), Fine),
        (answer(200, &none, b"<?xml?>"), ("failed", Some(NotATile)), Fine),
        (answer(200, &none, b"GIF89a;"), ("failed", Some(Format)), Fine),
        (answer(200, &none, b""), ("empty", None), Fine),
        (answer(204, &none, b""), ("empty", None), Fine),
        (answer(404, &none, PNG), ("empty", None), Fine),
        (answer(410, &none, html), ("empty", None), Fine),
        (asked(304), ("unchanged", None), Fine),
        (answer(304, &none, b""), ("failed", Some(Request)), Fine),
        (answer(401, &none, b""), ("failed", Some(Refused)), Fine),
        (answer(403, &none, PNG), ("failed", Some(Refused)), Fine),
        (answer(407, &none, b""), ("failed", Some(Refused)), Fine),
        (answer(418, &none, html), ("failed", Some(Refused)), Fine),
        (answer(451, &none, b""), ("failed", Some(Refused)), Fine),
        (answer(400, &none, html), ("failed", Some(Request)), Fine),
        (answer(206, &none, PNG), ("failed", Some(Request)), Fine),
        (answer(202, &none, b""), ("again", Some(Server)), Fine),
        (answer(421, &none, b""), ("again", Some(Server)), Fine),
        (answer(408, &none, b""), ("again", Some(Server)), Trouble),
        (answer(500, &none, PNG), ("again", Some(Server)), Trouble),
        (answer(503, &none, b""), ("again", Some(Server)), Trouble),
        (answer(599, &soon, b""), ("again", Some(Server)), Trouble),
        (answer(429, &none, PNG), ("again for free", Some(Busy)), Busier),
        (answer(429, &soon, b""), ("again for free", Some(Busy)), Busier),
        (answer(503, &soon, b""), ("again for free", Some(Busy)), Busier),
        (answer(301, &moved, b""), ("redirect", None), Fine),
        (answer(302, &none, b""), ("failed", Some(Redirect)), Fine),
        (answer(307, &nowhere, b""), ("failed", Some(Redirect)), Fine),
        (Outcome::Broken(Broken::Timeout), ("again", Some(Timeout)), Trouble),
        (Outcome::Broken(Broken::Reset), ("again", Some(Reset)), Trouble),
        (Outcome::Broken(Broken::Encoding), ("again", Some(Encoding)), Fine),
        (Outcome::Broken(Broken::TooLarge), ("failed", Some(NotATile)), Fine),
        (Outcome::Broken(Broken::Unreachable), ("again", Some(Unreachable)), Trouble),
        (Outcome::Broken(Broken::Stale), ("again for free", Some(Reset)), Fine),
        (Outcome::Broken(Broken::TurnedAway), ("again for free", Some(Reset)), Fine),
    ] {
        let decision = answers().decide(outcome, &from(), Tries::default(), at(1));
        assert_eq!((word(&decision.fate), decision.load), (expected, load), "{outcome:?}");
        let pauses = matches!(decision.order, Some(Order::Pause { .. }));
        assert_eq!(pauses, load == Busier, "{outcome:?}: {:?}", decision.order);
    }
}

#[test]
fn vector_tiles_need_a_proof_of_their_end() {
    let none = Headers::default();
    let closed = Outcome::Answer { status: 200, headers: &none, body: GZIP, end: End::Closed, conditional: false };
    let mut vector = Answers::new(Some(Format::Mvt), 1);

    assert_eq!(word(&vector.decide(closed, &from(), Tries::default(), at(1)).fate), ("again", Some(Class::Cut)));
    let decision = vector.decide(answer(200, &none, GZIP), &from(), Tries::default(), at(1));
    assert!(matches!(decision.fate, Fate::Store(found) if found.gzip), "{decision:?}");
}

#[test]
fn any_format_will_do_until_one_is_expected() {
    let none = Headers::default();
    let mut any = Answers::new(None, 1);

    assert_eq!(word(&any.decide(answer(200, &none, b"GIF89a;"), &from(), Tries::default(), at(1)).fate).0, "store");
    any.expect(Format::Png);
    assert_eq!(word(&any.decide(answer(200, &none, b"GIF89a;"), &from(), Tries::default(), at(1)).fate).0, "failed");
}

#[test]
fn what_a_server_says_instead_of_a_tile_is_kept() {
    let none = Headers::default();
    let said = |status, body: &[u8]| match answers()
        .decide(answer(status, &none, body), &from(), Tries::default(), at(1))
        .fate
    {
        Fate::Failed(failure) | Fate::Again { failure, .. } => (failure.status, failure.text),
        other => panic!("{other:?}"),
    };

    assert_eq!(said(403, b"Access\n blocked"), (Some(403), "Access blocked".into()));
    assert_eq!(said(403, PNG), (Some(403), String::new()), "a picture says nothing");
    assert_eq!(said(200, b"<html>"), (Some(200), "not a tile but HTML: <html>".into()));
    assert_eq!(said(500, b"{}"), (Some(500), "{}".into()));
}

#[test]
fn a_tile_is_tried_five_times_later_and_later() {
    let mut answers = answers();
    let mut tries = Tries::default();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let decision = answers.decide(Outcome::Broken(Broken::Timeout), &from(), tries, at(100));
        let Fate::Again { at, tries: counted, .. } = decision.fate else { panic!("{decision:?}") };
        waits.push((at - 100 * S).as_secs_f64());
        tries = counted;
    }

    assert!(waits.iter().zip([0.5, 1.0, 2.0, 4.0]).all(|(wait, most)| *wait <= most), "{waits:?}");
    assert!(waits.iter().sum::<f64>() > 0.5, "{waits:?}");
    let last = answers.decide(Outcome::Broken(Broken::Timeout), &from(), tries, at(100));
    assert_eq!(word(&last.fate), ("failed", Some(Class::Timeout)));
}

#[test]
fn a_stale_connection_is_forgiven_once_for_each_tile() {
    let mut answers = answers();
    let once = answers.decide(Outcome::Broken(Broken::Stale), &from(), Tries::default(), at(1));
    let Fate::Again { tries, at: when, .. } = once.fate else { panic!("{once:?}") };
    let twice = answers.decide(Outcome::Broken(Broken::Stale), &from(), tries, at(1));

    assert_eq!((tries.counted, when), (0, S));
    assert!(matches!(twice.fate, Fate::Again { tries, .. } if tries.counted == 1), "{twice:?}");
    assert_eq!(twice.load, Load::Trouble);
}

#[test]
fn a_request_that_is_turned_away_each_time_is_given_up() {
    let mut answers = answers();
    let mut tries = Tries::default();
    let mut free = 0;
    let failed = loop {
        let decision = answers.decide(Outcome::Broken(Broken::TurnedAway), &from(), tries, at(1));
        match decision.fate {
            Fate::Again { tries: left, at: when, .. } => {
                free += u32::from(left.counted == 0 && when == S && decision.load == Load::Fine);
                tries = left;
            }
            other => break other,
        }
    };

    assert_eq!((word(&failed), free, tries.counted), (("failed", Some(Class::Reset)), 8, 4));
}

#[test]
fn more_than_a_tenth_of_repetitions_wait_long() {
    let wait = |fine: u32| {
        let mut answers = answers();
        for _ in 0..fine {
            answers.decide(answer(200, &Headers::default(), PNG), &from(), Tries::default(), at(1));
        }
        for _ in 0..20 {
            status(&mut answers, 500, 1);
        }
        let Fate::Again { at, .. } = status(&mut answers, 500, 1).fate else { panic!("it is asked for again") };
        (at - S).as_secs_f64()
    };

    assert!(wait(1000) <= 0.5);
    assert!((15.0..=30.0).contains(&wait(10)), "{}", wait(10));
}

/// The pause that is ordered, in seconds; what ends the job has none.
fn pause(decision: &Decision, now: u32) -> Option<u64> {
    match decision.order {
        Some(Order::Pause { until, .. }) => Some((until - now * S).as_secs()),
        _ => None,
    }
}

#[test]
fn both_forms_of_retry_after_are_obeyed_up_to_an_hour() {
    let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    for (list, expected) in [
        (vec![("retry-after", "12")], Some(12)),
        (vec![("retry-after", "3600")], Some(3600)),
        (vec![("retry-after", "Tue, 14 Nov 2023 22:15:20 GMT"), date], Some(120)),
        // By our clock, which says 22:13:21.
        (vec![("retry-after", "Tue, 14 Nov 2023 22:15:20 GMT")], Some(119)),
        (vec![("retry-after", "Tue, 14 Nov 2023 20:00:00 GMT"), date], Some(1)),
        (vec![("retry-after", "0")], Some(1)),
        (vec![], Some(1)),
        (vec![("retry-after", "3601")], None),
    ] {
        let found = headers(&list);
        let decision = answers().decide(answer(429, &found, b""), &from(), Tries::default(), at(1));
        assert_eq!(pause(&decision, 1), expected, "{list:?}: {:?}", decision.order);
        if expected.is_none() {
            let order = decision.order.unwrap();
            assert!(order.ends());
            assert_eq!(order.to_string(), "the server answers 429: come back in 61 minutes");
        }
    }
}

#[test]
fn a_tile_that_alone_is_refused_counts_its_tries_after_a_while() {
    let mut answers = answers();
    let soon = headers(&[("retry-after", "5")]);
    let mut tries = Tries::default();
    for (now, others_come, expected, load) in [
        (0, true, "again for free", Load::Refused),
        (10, true, "again for free", Load::Refused),
        (20, false, "again for free", Load::Refused),
        (30, true, "again for free", Load::Refused),
        (40, true, "again", Load::Trouble),
        (50, false, "again", Load::Trouble),
        (60, true, "again", Load::Refused),
        (70, true, "again", Load::Trouble),
        (80, true, "again", Load::Trouble),
        (90, true, "failed", Load::Trouble),
    ] {
        let decision = answers.decide(answer(503, &soon, b""), &from(), tries, at(now));
        assert_eq!((word(&decision.fate).0, decision.load), (expected, load), "{now}");
        assert_eq!(pause(&decision, now), (load == Load::Refused).then_some(5), "{now}");
        if let Fate::Again { tries: left, at: again, .. } = decision.fate {
            assert!(load == Load::Refused || again >= (now + 5) * S, "it waits as long as it was told");
            tries = left;
        }
        if others_come {
            status(&mut answers, 200, now + 6);
        }
    }
}

#[test]
fn pauses_in_vain_double_and_an_hour_of_them_ends_the_job() {
    let mut answers = answers();
    let mut now = 0;
    let mut pauses = Vec::new();
    let end = loop {
        let decision = status(&mut answers, 429, now);
        let Some(seconds) = pause(&decision, now) else { break decision.order.unwrap() };
        // Another one of the same wave changes nothing.
        assert_eq!(pause(&status(&mut answers, 429, now), now), Some(seconds));
        pauses.push(seconds);
        now += seconds as u32;
    };

    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!((3600..3700).contains(&now), "{now}");
    assert!(matches!(end, Order::ComeBack { .. }), "{end:?}");

    let mut answers = self::answers();
    for (now, expected) in [(0, 1), (1, 2), (3, 4)] {
        assert_eq!(pause(&status(&mut answers, 429, now), now), Some(expected));
    }
    status(&mut answers, 200, 4);
    assert_eq!(pause(&status(&mut answers, 429, 7), 7), Some(8), "what was on its way does not end it");
    status(&mut answers, 404, 15);
    assert_eq!(pause(&status(&mut answers, 429, 15), 15), Some(1), "any answer after it does");
}

#[test]
fn a_host_that_is_away_costs_no_tries_and_an_hour_of_it_ends_the_job() {
    let mut answers = answers();
    status(&mut answers, 200, 0);
    let mut now = 0;
    let unreachable = |answers: &mut Answers, now| {
        answers.decide(Outcome::Broken(Broken::Unreachable), &from(), Tries::default(), at(now))
    };
    for _ in 0..3 {
        let decision = unreachable(&mut answers, now);
        assert_eq!((word(&decision.fate).0, &decision.order), ("again", &None), "one connection in many may fail");
    }
    let end = loop {
        let decision = unreachable(&mut answers, now);
        assert_eq!(word(&decision.fate).0, "again for free");
        let Some(seconds) = pause(&decision, now) else { break decision.order.unwrap() };
        now += seconds as u32;
    };
    assert!(
        (3600..3700).contains(&now) && matches!(end, Order::ComeBack { why: Why::Unreachable, .. }),
        "{now}: {end:?}"
    );

    let mut never = self::answers();
    let mut now = 0;
    while unreachable(&mut never, now).order != Some(Order::Unreachable) {
        now += 1;
        assert!(now < 60, "a host that never was there is given up");
    }
    assert_eq!(now, 3 + 15, "three that may happen, then four pauses");
}

#[test]
fn a_host_that_refuses_us_ends_the_job() {
    let run = |statuses: &[u16]| {
        let mut answers = answers();
        let ends = statuses.iter().position(|code| {
            let body = if *code == 200 { PNG } else { b"" };
            let decision = answers.decide(answer(*code, &Headers::default(), body), &from(), Tries::default(), at(1));
            decision.order.is_some_and(|order| order.ends())
        });
        ends.map(|at| at + 1)
    };
    let alternating: Vec<u16> = (0..60).map(|i| if i % 2 == 0 { 403 } else { 200 }).collect();
    let two_of_three: Vec<u16> = (0..60).map(|i| if i % 3 == 0 { 200 } else { 403 }).collect();

    assert_eq!(run(&[403; 10]), Some(5));
    assert_eq!(run(&[401, 418, 451, 407, 403]), Some(5));
    assert_eq!(run(&[403, 403, 403, 403, 404, 403, 403, 403, 403]), None);
    assert_eq!(run(&[403, 403, 500, 403, 403, 429, 403]), Some(7), "errors and pauses in between say nothing");
    assert_eq!(run(&[302, 403, 302, 403, 301, 403, 302, 403, 307, 403]), Some(10), "neither do redirects");
    assert_eq!(run(&alternating), None, "half of 20 is not more than half");
    assert_eq!(run(&two_of_three), Some(20));
    let mut answers = answers();
    let order = (0..5).filter_map(|_| status(&mut answers, 403, 1).order).last().unwrap();
    assert_eq!(order.to_string(), "the server refuses us: status 403, 5 of the last 5 answers");
    assert!(order.hint().contains("terms of use"));
}

#[test]
fn redirects_are_followed_five_times_and_no_credentials_go_elsewhere() {
    let follow = |code, location: &'static str, redirects| {
        let found = headers(&[("location", location)]);
        answers().decide(answer(code, &found, b""), &from(), Tries { redirects, ..Tries::default() }, at(1)).fate
    };
    for (code, location, same, good) in [
        (301, "/t/3/1/2.png", true, true),
        (302, "https://h:443/x", true, false),
        (307, "https://other/3/1/2.png", false, false),
        (308, "http://h/3/1/2.png", false, true),
    ] {
        let Fate::Redirect { to, tries, same_origin, for_good } = follow(code, location, 4) else {
            panic!("{location}")
        };
        assert_eq!((tries.redirects, same_origin, for_good), (5, same, good), "{location} {to:?}");
    }
    let Fate::Failed(failure) = follow(301, "/3/1/2.png", 5) else { panic!("a loop ends") };
    assert_eq!((failure.class, failure.text.as_str()), (Class::Redirect, "more than 5 in a row"));
}

#[test]
fn nearly_nothing_but_empty_tiles_is_worth_a_warning_once() {
    let warn = |every: u32| {
        let mut answers = answers();
        let warned: Vec<u32> = (1..=600)
            .filter(|i| {
                let (code, body) = if i % every == 0 { (200, PNG) } else { (404, b"".as_slice()) };
                let decision =
                    answers.decide(answer(code, &Headers::default(), body), &from(), Tries::default(), at(1));
                matches!(decision.order, Some(Order::FewTiles { of: 200, .. }))
            })
            .collect();
        warned
    };

    assert_eq!(warn(21), [200], "9 of 200 are tiles");
    assert!(warn(20).is_empty(), "10 are");
}

#[test]
fn classes_have_names_of_their_own() {
    for class in Class::ALL {
        assert_eq!(Class::named(class.name()), Some(class));
    }
    assert_eq!(Class::named("other"), None);
}

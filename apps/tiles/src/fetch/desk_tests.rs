use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    answer::{Class, End},
    headers::Headers,
    template::Settings,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xAE\x42\x60\x82";
const GIF: &[u8] = b"GIF89a;";

/// A desk with so many tiles of zoom 4 and so many slots.
fn desk(tiles: u32, slots: u32) -> Desk {
    let todo = (0..tiles).map(|i| Tile::new(4, i % 16, i / 16).unwrap());
    Desk::new(Setup {
        todo: Box::new(todo),
        template: Template::parse("http://h/{z}/{x}/{y}.png", &Settings::default()).unwrap(),
        format: None,
        learns: true,
        pace: Pace::new(slots, slots, None),
        seed: 1,
        keeps: None,
        progress: Arc::new(Progress::default()),
        elsewhere: false,
        allows: Box::new(|to| to.host() != "forbidden"),
        mask: Box::new(|text| text.replace("s3cret", "***")),
    })
}

#[track_caller]
fn ask(desk: &Desk) -> Ticket {
    match desk.next() {
        Next::Ask(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// How long the next slot is to sleep.
#[track_caller]
fn sleep(desk: &Desk) -> Duration {
    match desk.next() {
        Next::Sleep(until) => until - Instant::now(),
        other => panic!("{other:?}"),
    }
}

fn said(status: u16, header: (&str, &'static str), body: &[u8]) -> Result<Reply, Broken> {
    let headers = Headers::read(|name| (name == header.0).then_some(header.1));
    Ok(Reply { status, headers, body: body.to_vec(), end: End::Whole })
}

fn tile(desk: &Desk, ticket: Ticket) -> Settled {
    desk.answered(ticket, said(200, ("", ""), PNG), None, 7)
}

#[tokio::test(start_paused = true)]
async fn each_tile_is_given_out_once_and_then_everybody_leaves() {
    let desk = desk(3, 2);

    let (first, second) = (ask(&desk), ask(&desk));
    assert_eq!([&first, &second].map(|ticket| ticket.address.path()), ["/4/0/0.png", "/4/1/0.png"]);
    assert!(first.own && first.format.is_none());
    assert!(matches!(desk.next(), Next::Wait), "both slots are busy");

    let settled = tile(&desk, first);
    assert_eq!(settled.format, Some(Format::Png), "the first tile says what they are");
    let http = Http { fetched: 7, ..Http::default() };
    let row = Row { tile: Tile::new(4, 0, 0).unwrap(), what: What::Stored { body: PNG.to_vec(), http } };
    assert_eq!((settled.row, settled.words), (Some(row), None));
    let third = ask(&desk);
    assert_eq!(third.format, Some(Format::Png));
    assert_eq!(tile(&desk, second).format, None);
    assert!(matches!(desk.next(), Next::Wait), "the last one may have to be asked for again");
    tile(&desk, third);

    assert!(matches!(desk.next(), Next::Leave) && matches!(desk.next(), Next::Leave));
    assert_eq!(desk.ended(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_like_the_first_has_failed() {
    let desk = desk(2, 1);
    tile(&desk, ask(&desk));

    let settled = desk.answered(ask(&desk), said(200, ("", ""), GIF), None, 7);

    let What::Failed { class, tries, .. } = settled.row.unwrap().what else { panic!("it has failed") };
    assert_eq!((class, tries), (Class::Format, 1));
}

#[tokio::test(start_paused = true)]
async fn one_sleeps_for_all_until_a_tile_is_due_again() {
    let desk = desk(1, 4);
    let settled = desk.answered(ask(&desk), Err(Broken::Timeout), None, 7);
    assert!(settled.row.is_none() && settled.words.is_none());

    let wait = sleep(&desk);
    assert!(wait <= Duration::from_millis(500), "{wait:?}");
    assert!(matches!(desk.next(), Next::Wait), "another one sleeps already");
    let until = Instant::now() + wait;
    tokio::time::advance(wait).await;
    desk.awake(until);

    let again = ask(&desk);
    assert_eq!((again.address.path(), again.tries.counted), ("/4/0/0.png", 1));
    assert!(tile(&desk, again).row.is_some());
    assert!(matches!(desk.next(), Next::Leave));
}

#[tokio::test(start_paused = true)]
async fn a_tile_that_fails_each_time_is_noted_with_its_tries() {
    let desk = desk(1, 1);
    let row = loop {
        let ticket = match desk.next() {
            Next::Ask(ticket) => ticket,
            Next::Sleep(until) => {
                tokio::time::advance(until - Instant::now()).await;
                desk.awake(until);
                continue;
            }
            other => panic!("{other:?}"),
        };
        if let Some(row) = desk.answered(ticket, said(500, ("", ""), b"the s3cret is out"), None, 7).row {
            break row;
        }
    };

    let text = "the *** is out".to_owned();
    assert_eq!(row.what, What::Failed { class: Class::Server, status: Some(500), text, tries: 5 });
}

#[tokio::test(start_paused = true)]
async fn in_a_pause_nobody_asks_and_then_one_goes_ahead() {
    let desk = desk(9, 3);
    let (first, second) = (ask(&desk), ask(&desk));
    desk.answered(first, said(429, ("retry-after", "60"), b""), None, 7);
    tile(&desk, second);

    let wait = sleep(&desk);
    assert_eq!(wait.as_secs_f64().round(), 60.0);
    let until = Instant::now() + wait;
    tokio::time::advance(wait).await;
    desk.awake(until);

    let probe = ask(&desk);
    assert_eq!(probe.address.path(), "/4/2/0.png", "the one that was refused is at the end of the queue");
    assert!(matches!(desk.next(), Next::Wait), "the others wait for it");
    tile(&desk, probe);
    // So little was allowed in a minute that it goes on slowly.
    assert!((9..=10).contains(&sleep(&desk).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_is_followed_by_another() {
    let desk = desk(9, 3);
    desk.answered(ask(&desk), said(429, ("retry-after", "60"), b""), None, 7);
    let until = Instant::now() + sleep(&desk);
    tokio::time::advance(until - Instant::now()).await;
    desk.awake(until);
    ask(&desk);

    desk.dropped();

    ask(&desk);
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_job_is_said_once_and_nothing_more_is_given_out() {
    let desk = desk(9, 3);
    let tickets = [ask(&desk), ask(&desk), ask(&desk)];

    let settled = tickets.map(|ticket| desk.answered(ticket, said(429, ("retry-after", "7200"), b""), None, 7));

    let words: Vec<_> = settled.iter().filter_map(|settled| settled.words.as_deref()).collect();
    assert_eq!(
        words,
        ["the server answers 429: come back in 120 minutes; run the same command again then: it goes on where it is"]
    );
    assert!(settled.iter().all(|settled| settled.row.is_none()), "none of them has failed");
    assert!(matches!(desk.next(), Next::Leave));
    assert!(matches!(desk.ended(), Some(Order::ComeBack { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_nothing_more_and_what_is_on_its_way_is_taken_in() {
    let desk = desk(9, 3);
    let ticket = ask(&desk);

    desk.leave();

    assert!(matches!(desk.next(), Next::Leave));
    assert!(tile(&desk, ticket).row.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_move_for_good_is_remembered_and_own_headers_stay_with_their_server() {
    let desk = desk(9, 3);
    let before = ask(&desk);
    desk.answered(ask(&desk), said(301, ("location", "https://new/t/4/1/0.png"), b""), None, 7);

    let redirected = ask(&desk);
    assert_eq!((redirected.address.as_str(), redirected.own), ("https://new/t/4/1/0.png", false));
    let next = ask(&desk);
    assert_eq!((next.address.as_str(), next.own), ("https://new/t/4/2/0.png", false));

    // What was asked at the old place is asked again at the new one.
    desk.answered(before, Err(Broken::Reset), None, 7);
    tokio::time::advance(Duration::from_secs(1)).await;
    let again = ask(&desk);
    assert_eq!((again.address.as_str(), again.own), ("https://new/t/4/0/0.png", false));
    // Back at the first server, they are sent once more.
    desk.answered(again, said(302, ("location", "http://h/4/0/0.png"), b""), None, 7);
    let back = ask(&desk);
    assert_eq!((back.address.as_str(), back.own), ("http://h/4/0/0.png", true));
}

#[tokio::test(start_paused = true)]
async fn a_move_for_now_is_followed_for_one_tile_and_repeated_where_it_led() {
    let desk = desk(9, 3);
    desk.answered(ask(&desk), said(302, ("location", "/elsewhere"), b""), None, 7);

    let redirected = ask(&desk);
    assert_eq!((redirected.address.as_str(), redirected.own), ("http://h/elsewhere", true));
    assert_eq!(ask(&desk).address.as_str(), "http://h/4/1/0.png");
    desk.answered(redirected, Err(Broken::TurnedAway), None, 7);
    assert_eq!(ask(&desk).address.as_str(), "http://h/elsewhere");
}

/// The same desk with another template.
fn leading(template: &str, desk: Desk) -> Desk {
    let template = Template::parse(template, &Settings::default()).unwrap();
    let Desk { state, .. } = desk;
    let state = Mutex::new(State { template, ..state.into_inner().unwrap() });
    Desk { state, ..self::desk(0, 1) }
}

/// Runs with one slot to the end, and answers by path; these are the rows, and how often each was asked for.
async fn run(desk: &Desk, answer: impl Fn(&str) -> Result<Reply, Broken>) -> (Vec<Row>, BTreeMap<String, u32>) {
    let (mut rows, mut asked) = (Vec::new(), BTreeMap::<_, u32>::new());
    loop {
        match desk.next() {
            Next::Ask(ticket) => {
                let path = ticket.address.path().to_owned();
                let reply = answer(&path);
                *asked.entry(path).or_default() += 1;
                rows.extend(desk.answered(ticket, reply, None, 7).row);
            }
            Next::Keep(row) => rows.push(row),
            Next::Sleep(until) => {
                tokio::time::advance(until - Instant::now()).await;
                desk.awake(until);
            }
            Next::Wait => panic!("it waits, and nothing is on its way"),
            Next::Leave => return (rows, asked),
        }
    }
}

fn failures(rows: &[Row]) -> Vec<(u32, Class, Option<u16>, u32)> {
    let failure = |row: &Row| match &row.what {
        What::Failed { class, status, tries, .. } => Some((row.tile.x(), *class, *status, *tries)),
        _ => None,
    };
    rows.iter().filter_map(failure).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tile_that_leads_nowhere_has_failed_and_holds_up_nobody() {
    // At zoom 4, the second one has no number for a port.
    let desk = leading("http://h:{switch:80,80x}/{z}/{x}/{y}", desk(4, 1));

    let (rows, asked) = run(&desk, |_| said(200, ("", ""), PNG)).await;

    assert_eq!(failures(&rows), [(1, Class::Request, None, 1), (3, Class::Request, None, 1)]);
    let What::Failed { text, .. } = &rows[1].what else { panic!("it has failed") };
    assert_eq!(text, "no address: http://h:80x/4/1/0");
    assert_eq!((rows.len(), asked.len()), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn where_all_tiles_lead_nowhere_all_have_failed_and_none_has_waited() {
    let began = Instant::now();
    // At zoom 4 there is no number for a port.
    let desk = leading("http://h:{matrix:80,80,80,80,80x}/{x}/{y}", desk(16, 4));
    desk.state().pace = Pace::new(4, 4, Some(0.1));

    let (rows, asked) = run(&desk, |_| said(200, ("", ""), PNG)).await;

    assert_eq!((failures(&rows).len(), asked.len()), (16, 0));
    assert_eq!((desk.progress.now().arrived.failed, desk.state().pace.in_flight()), (16, 0));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_tile_that_is_always_refused_fails_and_keeps_none_from_the_others() {
    for (status, header) in [(503, ("retry-after", "1")), (429, ("", ""))] {
        let began = Instant::now();
        let desk = desk(100, 1);

        let (rows, asked) = run(&desk, |path| match path {
            "/4/3/0.png" => said(status, header, b""),
            _ => said(200, ("", ""), PNG),
        })
        .await;

        assert_eq!(failures(&rows), [(3, Class::Busy, Some(status), 5)]);
        // Three times it might have been the host, and once more where no other one was asked in between.
        assert_eq!(rows.len(), 100);
        assert!((8..=9).contains(&asked["/4/3/0.png"]), "{asked:?}");
        assert!(asked.iter().all(|(path, times)| *times == 1 || path == "/4/3/0.png"), "{asked:?}");
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
        assert_eq!(desk.ended(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_tile_that_is_always_refused_fails_after_as_many_pauses() {
    let began = Instant::now();
    let desk = desk(1, 4);

    let (rows, asked) = run(&desk, |_| said(429, ("retry-after", "60"), b"")).await;

    assert_eq!(failures(&rows), [(0, Class::Busy, Some(429), 5)]);
    assert_eq!(asked["/4/0/0.png"], 8);
    // The host may well mean it: each time it is obeyed.
    assert!((7 * 60..9 * 60).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refuses_all_is_left_alone_and_no_tile_fails_of_it() {
    let desk = desk(100, 4);

    let (rows, asked) = run(&desk, |_| said(429, ("retry-after", "600"), b"")).await;

    assert!(rows.is_empty() && matches!(desk.ended(), Some(Order::ComeBack { .. })));
    assert!(asked.values().sum::<u32>() < 12, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_host_refuses_that_does_not_want_us_has_not_failed() {
    let desk = desk(100, 1);
    // Two for themselves, and then all.
    let refused = |path: &str| {
        let x: u32 = path.split('/').nth(2).unwrap().parse().unwrap();
        let y: u32 = path.split(['/', '.']).nth(3).unwrap().parse().unwrap();
        let number = 16 * y + x;
        matches!(number, 3 | 4 | 50..)
    };

    let (rows, asked) = run(&desk, |path| match refused(path) {
        true => said(403, ("", ""), b"no"),
        false => said(200, ("", ""), PNG),
    })
    .await;

    assert!(matches!(desk.ended(), Some(Order::Blocked { .. })));
    assert_eq!(failures(&rows), [(3, Class::Refused, Some(403), 1), (4, Class::Refused, Some(403), 1)]);
    assert_eq!((rows.len(), asked.len()), (50, 55), "those that ended the job are as if they had not been asked for");
    assert_eq!(desk.progress.now().arrived.failed, 2);
}

#[tokio::test(start_paused = true)]
async fn refusals_that_end_nothing_have_failed_also_at_the_end_and_at_a_stop() {
    for stops in [false, true] {
        let desk = desk(8, 1);
        let (mut rows, mut asked) = (Vec::new(), 0);
        loop {
            match desk.next() {
                Next::Ask(ticket) => {
                    asked += 1;
                    let settled =
                        desk.answered(ticket, said(if asked > 4 { 403 } else { 200 }, ("", ""), PNG), None, 7);
                    rows.extend(settled.row);
                    if stops && asked == 6 {
                        desk.leave();
                    }
                }
                Next::Keep(row) => rows.push(row),
                Next::Leave => break,
                other => panic!("{other:?}"),
            }
        }

        assert_eq!((rows.len(), failures(&rows).len()), if stops { (6, 2) } else { (8, 4) });
    }
}

#[tokio::test(start_paused = true)]
async fn no_redirect_leads_to_a_server_that_forbids_it() {
    for status in [301, 302] {
        let desk = desk(2, 1);
        let ticket = ask(&desk);

        let settled = desk.answered(ticket, said(status, ("location", "https://forbidden/4/0/0.png"), b""), None, 7);

        let What::Failed { class, status: said, text, .. } = settled.row.unwrap().what else { panic!("it failed") };
        assert_eq!((class, said), (Class::Redirect, Some(status)));
        assert_eq!(text, "it leads to forbidden: its operators forbid bulk downloads");
        assert_eq!(ask(&desk).address.as_str(), "http://h/4/1/0.png", "the template stays where it is");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_repeats_a_secret_is_not_kept() {
    let desk = desk(2, 1);
    let tag = |value| {
        let What::Stored { http, .. } =
            desk.answered(ask(&desk), said(200, ("etag", value), PNG), None, 7).row.unwrap().what
        else {
            panic!("it is stored")
        };
        http.etag
    };

    assert_eq!(tag("\"abc\"").as_deref(), Some("\"abc\""));
    assert_eq!(tag("\"s3cret\""), None);
}

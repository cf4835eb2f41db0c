//! What comes instead of a tile, and how it ends.

use std::{collections::BTreeMap, time::Duration};

use sims::tiles::{
    Absence, At, Cut, Encoding, Fault, Format, Framing, How, Origin, Payload, Rule, Script, Truth, Which, World,
};
use tiles::{answer::Class, store::Reader};

use super::{
    memory::{Answer, Memory, truth},
    support::{Get, Ran, TILES, all_failed, asked_at_most, config, together, world},
};

/// The first request for each tile of a few is struck.
fn once(fault: Fault) -> Script {
    Script::new(3).rule(Rule::new(fault).share(0.08).first_tries(1))
}

/// What is struck once comes the second time, and nothing wrong is stored.
async fn comes_again(format: Format, fault: Fault, class: Class) {
    let origin = Origin::start(config(once(fault))).await.unwrap();
    let get = Get::new(&origin.template(format));

    let ran = get.run().await;

    ran.is_complete(|tile| origin.truth(format, tile));
    let again = ran.numbers.again.clone();
    let log = origin.stop().await;
    asked_at_most(&log, 2);
    let struck = log.entries().iter().filter(|entry| entry.rule == Some(0)).count() as u64;
    assert!((3..30).contains(&struck), "{struck}");
    assert_eq!(again, BTreeMap::from([(class, struck)]));
}

/// What is struck each time is asked for so often, and has failed.
async fn fails(fault: Fault, class: Class, status: Option<u16>, requests: u64) -> Ran {
    let script = Script::new(3).rule(Rule::new(fault).share(0.02));
    let origin = Origin::start(config(script)).await.unwrap();

    let ran = Get::from(&origin).run().await;

    let log = origin.log();
    let struck: Vec<_> = log.tiles().into_iter().filter(|(_, asked)| asked.served == 0).collect();
    assert!((1..8).contains(&struck.len()), "{struck:?}");
    assert!(struck.iter().all(|(_, asked)| asked.requests == requests), "{struck:?}");
    let failed = struck.iter().map(|(tile, _)| (*tile, (class, status))).collect();
    assert_eq!(ran.report.code(), 3);
    ran.is_complete_but(&failed, |tile| origin.truth(Format::Png, tile));
    ran.says(&match class {
        Class::Format => "tiles of another format belong into another file".to_owned(),
        _ => format!("try those again with: tiles get {} --failed", ran.path.display()),
    });
    asked_at_most(&log, requests);
    ran
}

#[tokio::test]
async fn without_faults_each_tile_is_asked_for_once_and_a_second_run_asks_nothing() {
    let origin = Origin::start(config(Script::default())).await.unwrap();
    let get = Get::from(&origin).zooms(0..=14);

    let ran = get.run().await;
    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    assert_eq!(ran.stored(), 520);
    ran.says("all there");
    asked_at_most(&origin.log(), 1);
    // We say who we are, and ask for no packing of what is packed already.
    let log = origin.log();
    assert!(log.entries().iter().all(|entry| entry.header("user-agent") == Some("softstop-tiles/test")));
    assert!(log.entries().iter().all(|entry| entry.header("accept-encoding").is_none()));

    let again = get.run().await;
    again.is_complete(|tile| origin.truth(Format::Png, tile));
    again.says("520 tiles there, nothing to do");
    assert_eq!(origin.stop().await.entries().len(), 520);
}

#[tokio::test]
async fn a_page_or_an_error_with_status_200_is_a_failed_tile_whose_words_are_kept() {
    for (payload, words) in [
        (Payload::Html, "not a tile but HTML: <!DOCTYPE html> <html><head><title>Log in</title>"),
        (Payload::Json, "not a tile but JSON: {\"error\":\"no tile for you\"}"),
        (Payload::Xml, "not a tile but XML: <?xml version=\"1.0\"?>"),
        (Payload::Text, "not a tile but text: status 200"),
    ] {
        let ran = fails(Fault::Instead(payload), Class::NotATile, Some(200), 1).await;
        let rows = Reader::open(&ran.path).unwrap().failures().unwrap();
        assert!(rows.iter().all(|row| row.text.starts_with(words) && row.tries == 1), "{rows:?}");
    }
}

#[tokio::test]
async fn a_picture_of_another_format_is_a_failed_tile() {
    let ran = fails(Fault::Instead(Payload::Gif), Class::Format, Some(200), 1).await;

    let rows = Reader::open(&ran.path).unwrap().failures().unwrap();
    assert!(rows.iter().all(|row| row.text == "a gif where png is expected"), "{rows:?}");
}

#[tokio::test]
async fn a_body_of_no_bytes_is_an_empty_tile() {
    let script = Script::new(3).rule(Rule::new(Fault::Instead(Payload::Empty)).which(Which::all().zooms(13..=13)));
    let origin = Origin::start(config(script)).await.unwrap();

    let ran = Get::from(&origin).run().await;

    ran.is_complete(|tile| match tile.z {
        13 => Truth::Absent(Absence::Empty),
        _ => origin.truth(Format::Png, tile),
    });
    asked_at_most(&origin.log(), 1);
}

#[tokio::test]
async fn a_cut_body_is_asked_for_again_whatever_told_its_end() {
    let mut runs = Vec::new();
    for format in Format::ALL {
        for framing in [Framing::Length, Framing::Chunked, Framing::Close] {
            for (at, how) in [(0, How::Close), (1, How::Close), (usize::MAX, How::Close), (700, How::Reset)] {
                // A vector tile that ends where the connection does is known by what it is packed in.
                let packed = (format, framing, how) == (Format::Pbf, Framing::Close, How::Close) && at > 1;
                let class = if packed { Class::Encoding } else { Class::Cut };
                runs.push(comes_again(format, Fault::Cut(Cut { at: At::Byte(at), framing, how }), class));
            }
        }
    }
    together(runs).await;
}

#[tokio::test]
async fn a_length_that_is_wrong_is_a_cut_body() {
    let longer = Format::ALL.map(|format| comes_again(format, Fault::WrongLength(100), Class::Cut));
    together(longer).await;
    let pictures = [Format::Png, Format::Jpg, Format::Webp];
    together(pictures.map(|format| comes_again(format, Fault::WrongLength(-100), Class::Cut))).await;
    // What is compressed and not all there cannot be undone.
    comes_again(Format::Pbf, Fault::WrongLength(-100), Class::Encoding).await;
}

#[tokio::test]
async fn every_way_to_tell_the_end_will_do() {
    for format in Format::ALL {
        for framing in [Framing::Chunked, Framing::Close] {
            let origin = Origin::start(config(Script::new(3).rule(Rule::new(Fault::Framing(framing))))).await.unwrap();

            let ran = Get::new(&origin.template(format)).zooms(0..=12).run().await;

            ran.is_complete(|tile| origin.truth(format, tile));
            asked_at_most(&origin.log(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_without_their_end_are_a_cut_body() {
    let memory = Memory::new(|asked| {
        let Truth::There(content) = truth(asked.tile) else { unreachable!() };
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", content.bytes.len());
        let whole = [head.as_bytes(), &content.bytes, b"\r\n"].concat();
        if asked.tile.z == 8 && asked.time == 1 { Answer::Raw(whole) } else { Answer::Tile }
    });

    let ran = Get::of(&memory).run().await;

    ran.is_complete(truth);
    assert_eq!(ran.numbers.again, BTreeMap::from([(Class::Cut, 2)]));
    assert_eq!(memory.asked().len(), TILES + 2);
}

#[tokio::test]
async fn an_encoding_is_undone_and_a_label_that_is_wrong_is_seen_through() {
    for (format, encoding) in [
        (Format::Png, Encoding::Gzip),
        (Format::Jpg, Encoding::Gzip),
        (Format::Pbf, Encoding::Gzip),
        (Format::Pbf, Encoding::Unlabelled),
        (Format::Png, Encoding::Label("gzip".into())),
        (Format::Webp, Encoding::Label("identity".into())),
        (Format::Pbf, Encoding::Label("br".into())),
    ] {
        let script = Script::new(3).rule(Rule::new(Fault::Encoding(encoding.clone())));
        let origin = Origin::start(config(script)).await.unwrap();

        let ran = Get::new(&origin.template(format)).zooms(0..=12).run().await;

        ran.is_complete(|tile| origin.truth(format, tile));
        let log = origin.stop().await;
        assert!(log.tiles().values().all(|asked| asked.requests == 1), "{format:?} {encoding:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_undone_is_not_stored() {
    comes_again(Format::Png, Fault::Encoding(Encoding::Label("br".into())), Class::Encoding).await;
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let bomb = Rule::new(Fault::Encoding(Encoding::Bomb(40 << 20))).which(Which::all().zooms(6..=6)).first_tries(1);
    let origin = Origin::start(config(Script::new(3).rule(bomb))).await.unwrap();

    let ran = Get::from(&origin).zooms(0..=10).run().await;

    // It is as large another time.
    let struck = ran.wanted().into_iter().filter(|tile| tile.z() == 6);
    ran.is_complete_but(&all_failed(struck, Class::NotATile, None), |tile| origin.truth(Format::Png, tile));
    asked_at_most(&origin.log(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_not_waited_for_and_not_asked_for_again() {
    let memory = Memory::new(|asked| match asked.tile.z {
        6 => Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n\x89PNG".to_vec()),
        _ => Answer::Tile,
    });

    let ran = Get::of(&memory).zooms(0..=10).run().await;

    let struck: Vec<_> = ran.wanted().into_iter().filter(|tile| tile.z() == 6).collect();
    ran.is_complete_but(&all_failed(struck.clone(), Class::NotATile, None), truth);
    assert!(memory.asked().iter().all(|asked| asked.time == 1));
    let failures = Reader::open(&ran.path).unwrap().failures().unwrap();
    assert!(failures.iter().all(|row| row.text == "larger than 32 MB"), "{failures:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_each_time_has_failed_after_five() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc";
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n\x89PNG\r\n\x1a\n";
    for (answer, class, status) in [
        (Answer::Raw(page.to_vec()), Class::Encoding, None),
        (Answer::Raw(cut.to_vec()), Class::Cut, Some(200)),
        (Answer::Raw(Vec::new()), Class::Reset, None),
        (Answer::Raw(b"nonsense\r\n\r\n".to_vec()), Class::Reset, None),
        (Answer::Status(500, ""), Class::Server, Some(500)),
        (Answer::Status(408, ""), Class::Server, Some(408)),
        (Answer::Status(503, ""), Class::Server, Some(503)),
        (Answer::Never, Class::Timeout, None),
        (Answer::Drip(Duration::from_secs(1)), Class::Timeout, None),
    ] {
        let always = answer.clone();
        let memory = Memory::new(move |asked| if asked.tile.z == 7 { always.clone() } else { Answer::Tile });

        let ran = Get::of(&memory).run().await;

        assert_eq!(ran.report.code(), 3, "{answer:?}");
        let struck = ran.wanted().into_iter().filter(|tile| tile.z() == 7);
        ran.is_complete_but(&all_failed(struck, class, status), truth);
        let asked = memory.asked();
        // A connection that was kept and ends before the answer is forgiven once.
        let free = usize::from(class == Class::Reset);
        assert!(asked.iter().all(|asked| asked.time as usize <= 5 + free), "{answer:?}: {asked:?}");
        assert!((TILES + 2 * 4..=TILES + 2 * (4 + free)).contains(&asked.len()), "{answer:?}: {}", asked.len());
        // It goes on without them meanwhile.
        let others = asked.iter().filter(|asked| asked.tile.z != 7).map(|asked| asked.at).max().unwrap();
        assert!(others < Duration::from_secs(30), "{others:?}");
    }
}

#[tokio::test]
async fn tiles_that_are_not_there_are_remembered_as_empty() {
    let absent = [Absence::NotFound, Absence::NoContent, Absence::Gone, Absence::Empty];
    let absent = absent.into_iter().map(|absence| (Which::all().zooms(9..=13).share(0.2), absence)).collect();
    let origin = Origin::start(sims::tiles::Config { world: World { absent, ..world() }, ..config(Script::default()) });
    let origin = origin.await.unwrap();
    let get = Get::from(&origin);

    let ran = get.run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    let empty = ran.numbers.safe.empty;
    assert!((40..140).contains(&empty), "{empty}");
    ran.says(&format!(", {empty} empty; all there"));
    asked_at_most(&origin.log(), 1);
    let again = get.run().await;
    again.is_complete(|tile| origin.truth(Format::Png, tile));
    assert_eq!(origin.stop().await.entries().len(), TILES, "what is empty is not asked for again");
}

#[tokio::test]
async fn an_area_of_nothing_is_warned_of_once() {
    let absent = vec![(Which::all().zooms(7..=14), Absence::NotFound)];
    let origin = Origin::start(sims::tiles::Config { world: World { absent, ..world() }, ..config(Script::default()) });
    let origin = origin.await.unwrap();

    let ran = Get::from(&origin).zooms(0..=14).run().await;

    ran.is_complete(|tile| origin.truth(Format::Png, tile));
    ran.says("warning: hardly any tiles: of the first 200 answers");
    asked_at_most(&origin.log(), 1);
}

#[tokio::test]
async fn tiles_that_failed_for_good_are_asked_for_only_on_demand() {
    let script = Script::new(3).rule(Rule::new(Fault::Instead(Payload::Html)).share(0.05));
    let origin = Origin::start(config(script)).await.unwrap();
    let mut get = Get::from(&origin);
    let ran = get.run().await;
    let failed = ran.numbers.failures();
    assert_eq!(ran.report.code(), 3);

    let again = get.run().await;
    assert_eq!((again.report.code(), again.numbers.given_up, again.numbers.wanted), (3, failed, 0));
    assert_eq!(origin.log().entries().len(), TILES);

    origin.set_script(Script::default());
    get.which = tiles::get::Which::Failed;
    let mended = get.run().await;
    mended.is_complete(|tile| origin.truth(Format::Png, tile));
    assert_eq!(origin.stop().await.entries().len() as u64, TILES as u64 + failed);
}

use std::{
    sync::mpsc::{Sender, channel},
    time::Instant,
};

use super::*;

/// Takes a line only when it may.
struct Slow {
    may: Receiver<()>,
    said: Sender<String>,
}

impl Sink for Slow {
    fn line(&mut self, line: &str) {
        let _ = self.may.recv();
        let _ = self.said.send(line.to_owned());
    }

    fn missed(&mut self, lines: u64) {
        let _ = self.said.send(format!("{lines} left out"));
    }
}

#[test]
fn who_speaks_never_waits_and_what_has_no_room_is_counted() {
    let ((allow, may), (said, heard)) = (channel(), channel());
    let outlet = Outlet::start("test", Slow { may, said });

    let began = Instant::now();
    for n in 0..WAITING * 2 {
        outlet.send(n.to_string());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    outlet.finish(Duration::from_millis(20));
    outlet.send("too late".to_owned());
    drop(allow);

    let lines: Vec<String> = heard.iter().collect();
    let (missed, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.ends_with("left out"));
    let numbers: Vec<usize> = lines.iter().map(|line| line.parse().unwrap()).collect();
    assert!(numbers[..WAITING].iter().copied().eq(0..WAITING), "from the first");
    assert!(numbers.is_sorted(), "in order: the one that the thread holds makes room for one more");
    assert!(lines.len() == WAITING || lines.len() == WAITING + 1, "{}", lines.len());
    assert_eq!(missed, [format!("{} left out", WAITING * 2 - lines.len())]);
}

#[test]
fn all_is_written_when_it_finishes_in_time() {
    let ((allow, may), (said, heard)) = (channel(), channel());
    let outlet = Outlet::start("test", Slow { may, said });
    drop(allow);
    outlet.send("one".to_owned());
    outlet.send("two".to_owned());

    outlet.finish(Duration::from_secs(10));

    assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["one", "two"]);
}

//! What a program writes, line by line, with the time at which it arrived.

use std::{collections::VecDeque, time::Instant};

/// A line that grows beyond this is cut; the rest is a line of its own.
const LONGEST_LINE: usize = 64 * 1024;
/// What a line costs beside its bytes.
const LINE_COST: usize = 64;

/// One of the two streams that a program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// Where it was written.
    pub stream: Stream,
    /// When its first byte arrived.
    pub began: Instant,
    /// When its last byte so far arrived.
    pub ended: Instant,
    /// Its bytes without the line feed.
    pub bytes: Vec<u8>,
    /// Whether its line feed has come.
    pub complete: bool,
}

impl Line {
    /// The line as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The latest lines of both streams, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub struct Output {
    lines: VecDeque<Line>,
    bytes: usize,
    limit: usize,
    dropped: u64,
    written: u64,
}

impl Output {
    /// Keeps about `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The lines that are kept, oldest first; the last one of each stream may be incomplete.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        self.lines.iter()
    }

    /// How many lines came before these and were dropped, because [`Spec::output_limit`](super::Spec) was reached.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many bytes were written so far, those included that were dropped.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn add(&mut self, stream: Stream, mut bytes: &[u8], at: Instant) {
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            self.grow(stream, part, end.is_some(), at);
            bytes = rest.get(1..).unwrap_or_default();
        }
        while self.bytes > self.limit && self.lines.len() > 1 {
            if let Some(line) = self.lines.pop_front() {
                self.bytes -= line.bytes.len() + LINE_COST;
                self.dropped += 1;
            }
        }
    }

    fn grow(&mut self, stream: Stream, part: &[u8], complete: bool, at: Instant) {
        let open = self.lines.iter_mut().rev().find(|line| line.stream == stream).filter(|line| !line.complete);
        match open {
            Some(line) => {
                line.bytes.extend(part);
                line.ended = at;
                line.complete = complete || line.bytes.len() >= LONGEST_LINE;
                self.bytes += part.len();
            }
            None => {
                self.lines.push_back(Line { stream, began: at, ended: at, bytes: part.to_vec(), complete });
                self.bytes += part.len() + LINE_COST;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(output: &Output) -> Vec<(String, bool)> {
        output.lines().map(|line| (line.text(), line.complete)).collect()
    }

    #[test]
    fn a_line_has_the_time_of_its_first_byte_and_of_its_last() {
        let begin = Instant::now();
        let later = begin + std::time::Duration::from_secs(1);
        let mut output = Output::new(1000);

        output.add(Stream::Out, b"hel", begin);
        output.add(Stream::Out, b"lo\nnext", later);

        assert_eq!(texts(&output), [("hello".to_owned(), true), ("next".to_owned(), false)]);
        let times: Vec<_> = output.lines().map(|line| (line.began, line.ended)).collect();
        assert_eq!(times, [(begin, later), (later, later)]);
    }

    #[test]
    fn the_two_streams_never_share_a_line() {
        let now = Instant::now();
        let mut output = Output::new(1000);

        output.add(Stream::Out, b"a", now);
        output.add(Stream::Err, b"b", now);
        output.add(Stream::Out, b"c\n\n", now);

        let expected = [("ac", true), ("b", false), ("", true)];
        assert_eq!(texts(&output), expected.map(|(text, complete)| (text.to_owned(), complete)));
    }

    #[test]
    fn the_oldest_lines_go_when_the_limit_is_reached_and_are_counted() {
        let mut output = Output::new(3 * (LINE_COST + 1));

        for letter in *b"abcde" {
            output.add(Stream::Out, &[letter, b'\n'], Instant::now());
        }

        assert_eq!(texts(&output).concat_texts(), "cde");
        assert_eq!(output.dropped(), 2);
    }

    trait Concat {
        fn concat_texts(&self) -> String;
    }

    impl Concat for Vec<(String, bool)> {
        fn concat_texts(&self) -> String {
            self.iter().map(|(text, _)| text.as_str()).collect()
        }
    }
}

//! What happens to a message on its way out: left out, repeated, late, broken, in pieces.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::SinkExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    self, Bytes, Message, Utf8Bytes,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use super::{
    Rule, SocketFault,
    desk::Fate,
    random::Random,
    session::{Held, Marks, Socket},
    wants::Out,
};

/// How long a message that is to come late waits for others if none come.
const LATEST: Duration = Duration::from_millis(200);

pub(crate) struct Outbox {
    number: u64,
    rules: Vec<Rule<SocketFault>>,
    random: Random,
    garbler: Garbler,
    /// Messages so far, whether they were sent or not.
    messages: u64,
    /// How many messages of a stream are still to be left out.
    skip: BTreeMap<Arc<str>, u64>,
    held: Held,
    held_since: Instant,
    written: Marks,
}

impl Outbox {
    pub(crate) fn new(fate: Fate, garble_every: Option<u64>) -> Self {
        Self {
            number: fate.number,
            rules: fate.rules,
            random: fate.random,
            garbler: Garbler { every: garble_every.filter(|every| *every > 0), messages: 0, ways: 0 },
            messages: 0,
            skip: BTreeMap::new(),
            held: Held::new(),
            held_since: Instant::now(),
            written: Marks::new(),
        }
    }

    /// The faults that strike before, or with, the next message.
    pub(crate) fn strikes(&mut self, stream: &str) -> Vec<SocketFault> {
        self.messages += 1;
        let Self { number, messages, random, .. } = self;
        let strikes = self.rules.iter().filter(|rule| rule.strikes_message(*number, *messages, stream, random));
        strikes.map(|rule| rule.fault).collect()
    }

    pub(crate) async fn put(
        &mut self,
        socket: &mut Socket,
        out: Out,
        place: (usize, usize),
        strikes: &[SocketFault],
    ) -> tungstenite::Result<()> {
        let mark = out.is_trade.then_some(place);
        let (mut times, mut late, mut frames) = (1, None, 1);
        for fault in strikes {
            match *fault {
                SocketFault::Skip(more) => *self.skip.entry(Arc::clone(&out.stream)).or_default() += more,
                SocketFault::Repeat(more) => times += more,
                SocketFault::Late(messages) => late = Some(messages),
                SocketFault::Garble => {
                    let broken = self.garbler.broken(&out.text);
                    socket.feed(broken).await?;
                }
                SocketFault::Fragment(into) => frames = into.max(1),
                SocketFault::Split(piece) => {
                    socket.flush().await?;
                    socket.get_mut().split(piece.max(1));
                }
                _ => {}
            }
        }
        let skip = self.skip.get_mut(&out.stream).filter(|left| **left > 0);
        if let Some(left) = skip {
            *left -= 1;
        } else if let Some(messages) = late {
            self.held_since = Instant::now();
            self.held.push_back((self.messages + messages, out.text, mark));
        } else {
            let broken = self.garbler.after(&out.text);
            for _ in 1..times {
                feed(socket, out.text.clone(), frames).await?;
            }
            feed(socket, out.text, frames).await?;
            self.written.extend(mark);
            if let Some(broken) = broken {
                socket.feed(broken).await?;
            }
        }
        while let Some((due, ..)) = self.held.front()
            && *due <= self.messages
            && let Some((_, text, mark)) = self.held.pop_front()
        {
            socket.feed(Message::text(text)).await?;
            self.written.extend(mark);
        }
        if strikes.iter().any(|fault| matches!(fault, SocketFault::Split(_))) {
            socket.flush().await?;
            socket.get_mut().split(0);
        }
        Ok(())
    }

    /// The trades that were written since the last call.
    pub(crate) fn written(&mut self) -> Marks {
        std::mem::take(&mut self.written)
    }

    /// When messages that are to come late come at the latest.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        (!self.held.is_empty()).then(|| self.held_since + LATEST)
    }

    /// Nothing came after them: they are sent.
    pub(crate) async fn release(&mut self, socket: &mut Socket) -> tungstenite::Result<Marks> {
        let mut marks = Marks::new();
        for (_, text, mark) in std::mem::take(&mut self.held) {
            socket.feed(Message::text(text)).await?;
            marks.extend(mark);
        }
        socket.flush().await?;
        Ok(marks)
    }
}

/// A message in so many frames, as far as it has bytes for them.
async fn feed(socket: &mut Socket, text: Utf8Bytes, frames: usize) -> tungstenite::Result<()> {
    if frames == 1 {
        return socket.feed(Message::text(text)).await;
    }
    let bytes = Bytes::from(text);
    let size = bytes.len().div_ceil(frames).max(1);
    for begin in (0..bytes.len()).step_by(size) {
        let end = (begin + size).min(bytes.len());
        let code = OpCode::Data(if begin == 0 { Data::Text } else { Data::Continue });
        let frame = Frame::message(bytes.slice(begin..end), code, end == bytes.len());
        socket.feed(Message::Frame(frame)).await?;
    }
    Ok(())
}

/// Breaks a copy of a message, each time in another way.
struct Garbler {
    every: Option<u64>,
    messages: u64,
    ways: u64,
}

impl Garbler {
    fn after(&mut self, text: &str) -> Option<Message> {
        self.messages += 1;
        self.messages.is_multiple_of(self.every?).then(|| self.broken(text))
    }

    fn broken(&mut self, text: &str) -> Message {
        self.ways += 1;
        let half = || text[..text.len() / 2].to_owned();
        let broken = match self.ways % 7 {
            1 => half(),
            2 => text.replace("\"p\":\"", "\"p\":\"-"),
            3 => text.replace("\"q\":", "\"quantity\":"),
            4 => text.replace("aggTrade", "notATrade"),
            5 => return Message::binary(text.as_bytes().to_vec()),
            6 => "[]".to_owned(),
            _ => text.replace("\"f\":", "\"f\":1e99,\"was\":"),
        };
        Message::text(if broken == text { half() } else { broken })
    }
}

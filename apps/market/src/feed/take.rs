//! Takes a message in: trades and changes of books are handed on, what is neither is counted.

use futures_util::StreamExt;
use softstop::Result;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Feed, Run, connection::Socket, watch::Watch};
use crate::{
    TRADES,
    count::Input,
    wire::{self, Event, Kind, Unreadable},
};

const ENDED: &str = "the aggregator has ended";

/// What a message was.
pub(super) enum Took {
    /// A trade of the symbol of this number, and its aggregate.
    Trade(usize, i64),
    /// A change of the order book of the symbol of this number.
    Change(usize),
    /// The exchange has done what it was told.
    Answer,
    /// The exchange is about to close the connection.
    Shutdown,
    Other,
}

impl Run {
    pub(super) async fn note(&self, message: Message, watch: &mut Watch) -> Result {
        match self.take(message).await? {
            Took::Trade(symbol, _) => watch.heard(Some(symbol)),
            Took::Change(symbol) => watch.changed(symbol),
            Took::Shutdown => watch.shutdown(),
            Took::Answer | Took::Other => watch.heard(None),
        }
        Ok(())
    }

    /// Hands on what is of use; counts what is not.
    pub(super) async fn take(&self, message: Message) -> Result<Took> {
        let Feed { ws, inputs, changes, skipped, tell, .. } = &*self.feed;
        let odd = match message {
            Message::Text(text) => match wire::read(&text) {
                Ok(Event::AggTrade { symbol, trade, .. }) => match self.number(&symbol) {
                    Some(at) => {
                        let id = trade.id;
                        self.scope.owe(TRADES, 1);
                        inputs.send(Input::Trade(at, trade)).await.map_err(|_| ENDED)?;
                        return Ok(Took::Trade(at, id));
                    }
                    None => Unreadable { kind: Kind::WrongSymbol, detail: symbol.into_owned() },
                },
                Ok(Event::Diff { symbol, event_ms, diff }) => match changes.as_ref().zip(self.number(&symbol)) {
                    Some((changes, at)) => {
                        changes.put(at, event_ms, diff);
                        return Ok(Took::Change(at));
                    }
                    None => Unreadable { kind: Kind::WrongSymbol, detail: symbol.into_owned() },
                },
                Ok(Event::Answer { .. }) => return Ok(Took::Answer),
                Ok(Event::Refused { why, .. }) => return Err(format!("{ws} refused the subscription: {why}").into()),
                Ok(Event::Shutdown { .. }) => return Ok(Took::Shutdown),
                Ok(other) => Unreadable { kind: Kind::UnknownEvent, detail: other.name().to_owned() },
                Err(why) => why,
            },
            Message::Binary(bytes) => Unreadable { kind: Kind::Binary, detail: format!("{} bytes", bytes.len()) },
            _ => return Ok(Took::Other),
        };
        skipped.note(&odd, tell);
        Ok(Took::Other)
    }

    /// The number of a symbol that is collected.
    fn number(&self, symbol: &str) -> Option<usize> {
        self.feed.symbols.binary_search_by(|name| name.as_str().cmp(symbol)).ok()
    }
}

/// The next message; that there is none is an error as well.
pub(super) async fn next(socket: &mut Socket) -> Result<Message, Error> {
    socket.next().await.unwrap_or(Err(Error::ConnectionClosed))
}

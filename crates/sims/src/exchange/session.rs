//! One WebSocket connection: reads from the tape, obeys commands, keeps an eye on the client, and suffers what the script says.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    FAREWELL, Offence, SocketFault,
    desk::{Desk, Fate, Order},
    outbox::Outbox,
    stopped,
    tape::{Next, Printed, Tape},
    wants::Wants,
    watch_client::{Client, Pinged},
    wire::Wire,
};

pub(crate) type Socket = WebSocketStream<Wire>;

/// How a connection goes on.
pub(crate) enum Flow {
    On,
    /// It is over.
    Over,
    /// Nothing more is sent or read, and nothing closed.
    Freeze,
}

pub(crate) struct Session {
    pub(crate) socket: Socket,
    pub(crate) desk: Arc<Desk>,
    listening: Listening,
    wants: Wants,
    outbox: Outbox,
    client: Client,
    /// When the connection is closed by the exchange.
    pub(crate) ends: Instant,
    pub(crate) silent: bool,
    pub(crate) deaf: bool,
}

/// A place on the tape, given up however the session ends.
struct Listening {
    tape: Arc<Tape>,
    session: Option<u64>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.end();
    }
}

impl Listening {
    fn end(&mut self) {
        if let Some(session) = self.session.take() {
            self.tape.leave(session);
        }
    }

    async fn next(&self) -> (u64, Next) {
        match self.session {
            Some(session) => (session, self.tape.next(session).await),
            None => std::future::pending().await,
        }
    }
}

impl Session {
    pub(crate) fn new(socket: Socket, desk: Arc<Desk>, wants: Wants, fate: Fate) -> Self {
        let now = Instant::now();
        // A lifetime beyond what the clock can express is one of years.
        let ends = now.checked_add(desk.limits.lifetime).unwrap_or(now + std::time::Duration::from_secs(1 << 30));
        Self {
            socket,
            listening: Listening { tape: Arc::clone(&desk.tape), session: None },
            wants,
            outbox: Outbox::new(fate, desk.garble_every),
            client: Client::new(&desk.limits),
            ends,
            desk,
            silent: false,
            deaf: false,
        }
    }

    /// A session listens as long as it has subscribed to something.
    fn listen(&mut self) {
        match (self.wants.is_empty() || self.silent, self.listening.session) {
            (false, None) => self.listening.session = Some(self.listening.tape.join()),
            (true, Some(_)) => self.listening.end(),
            _ => {}
        }
    }

    pub(crate) async fn run(
        mut self,
        mut stop: watch::Receiver<bool>,
        mut orders: watch::Receiver<Order>,
    ) -> tungstenite::Result<()> {
        self.listen();
        loop {
            let patience = self.client.patience();
            let held = self.outbox.held_until();
            // The client first: nothing is sent after its close frame was seen.
            let flow = tokio::select! { biased;
                frame = self.socket.next(), if !self.deaf => match frame {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(error),
                    Some(Ok(Message::Close(_))) => return self.answer_close().await,
                    Some(Ok(message)) => self.take(message).await?,
                },
                () = stopped(&mut stop) => return self.close(1001).await,
                Ok(()) = orders.changed() => {
                    let order = *orders.borrow_and_update();
                    self.obey(order).await?
                }
                () = sleep_until(self.ends) => return self.close(1001).await,
                () = sleep_until(patience), if !self.deaf => match self.client.ping(self.desk.tape.now_ms()) {
                    Pinged::Send(payload) => {
                        self.socket.send(Message::Ping(payload.into())).await?;
                        Flow::On
                    }
                    Pinged::GiveUp => return self.offend(Offence::NoPong).await,
                },
                () = sleep_until(held.unwrap_or(patience)), if held.is_some() => {
                    let marks = self.outbox.release(&mut self.socket).await?;
                    if let Some(session) = self.listening.session {
                        self.listening.tape.sent_late(session, &marks);
                    }
                    Flow::On
                }
                (session, next) = self.listening.next() => match next {
                    Next::Send(ticks, after) => self.send(session, &ticks, after).await?,
                    Next::Close => return self.close(1000).await,
                    Next::TooSlow => return self.close(1008).await,
                },
            };
            match flow {
                Flow::On => {}
                Flow::Over => return Ok(()),
                Flow::Freeze => {
                    self.listening.end();
                    tokio::select! {
                        () = stopped(&mut stop) => {}
                        _ = orders.changed() => {}
                    }
                    return Ok(());
                }
            }
        }
    }

    /// A frame from the client.
    async fn take(&mut self, message: Message) -> tungstenite::Result<Flow> {
        if !self.client.may_speak() {
            self.offend(Offence::TooManyMessages).await?;
            return Ok(Flow::Over);
        }
        match message {
            Message::Text(text) => {
                let answer = self.wants.command(&text);
                self.listen();
                self.socket.send(Message::text(answer)).await?;
            }
            Message::Pong(payload) => match self.client.pong(&payload) {
                Some(true) => self.desk.note(|log| log.pongs += 1),
                Some(false) => {
                    self.offend(Offence::WrongPong).await?;
                    return Ok(Flow::Over);
                }
                None => {}
            },
            _ => {}
        }
        Ok(Flow::On)
    }

    async fn obey(&mut self, order: Order) -> tungstenite::Result<Flow> {
        match order {
            Order::Nothing => {}
            Order::Cut(again) => {
                if let Some(session) = self.listening.session {
                    self.listening.tape.rewind(session, again);
                }
                return Ok(Flow::Over);
            }
            Order::Shutdown(lead) => self.announce(lead).await?,
        }
        Ok(Flow::On)
    }

    async fn announce(&mut self, lead: std::time::Duration) -> tungstenite::Result<()> {
        let text = self.wants.shutdown(self.desk.tape.now_ms());
        self.socket.send(Message::text(text)).await?;
        self.ends = self.ends.min(Instant::now() + lead);
        Ok(())
    }

    async fn send(&mut self, session: u64, ticks: &[Printed], after: u64) -> tungstenite::Result<Flow> {
        let begin = after - ticks.len() as u64;
        let mut messages = Vec::new();
        for (at, Printed { tick, place }) in ticks.iter().enumerate() {
            self.wants.write(tick, &self.desk.tape, &mut messages);
            for out in messages.drain(..) {
                let strikes = self.outbox.strikes(&out.stream);
                for fault in &strikes {
                    self.desk.struck(fault.name());
                }
                if let Some(end) =
                    strikes.iter().find(|fault| fault.is_end() && !matches!(fault, SocketFault::Shutdown(_)))
                {
                    self.flush(session, begin + at as u64).await?;
                    return self.end(*end).await;
                }
                for fault in &strikes {
                    match fault {
                        SocketFault::Shutdown(lead) => self.announce(*lead).await?,
                        SocketFault::Ping => {
                            let payload = self.client.extra_ping();
                            self.socket.send(Message::Ping(payload.into())).await?;
                        }
                        _ => {}
                    }
                }
                self.outbox.put(&mut self.socket, out, (tick.symbol, *place), &strikes).await?;
            }
        }
        self.flush(session, after).await?;
        Ok(Flow::On)
    }

    async fn flush(&mut self, session: u64, after: u64) -> tungstenite::Result<()> {
        self.socket.flush().await?;
        let marks = self.outbox.written();
        self.listening.tape.wrote(session, after, &marks);
        Ok(())
    }

    /// The script ends the connection, or makes it useless.
    async fn end(&mut self, fault: SocketFault) -> tungstenite::Result<Flow> {
        match fault {
            SocketFault::Close(code) => {
                let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
                self.socket.send(Message::Close(Some(frame))).await?;
                Ok(Flow::Over)
            }
            SocketFault::Freeze => Ok(Flow::Freeze),
            SocketFault::Silence => {
                self.silent = true;
                self.listen();
                Ok(Flow::On)
            }
            SocketFault::Deaf => {
                self.deaf = true;
                Ok(Flow::On)
            }
            _ => {
                self.socket.get_ref().reset();
                Ok(Flow::Over)
            }
        }
    }

    /// The answer was queued when the client's frame was read; reading on sends it.
    async fn answer_close(&mut self) -> tungstenite::Result<()> {
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(FAREWELL, rest).await;
        Ok(())
    }

    async fn offend(&mut self, offence: Offence) -> tungstenite::Result<()> {
        self.desk.offence(offence);
        self.close(1008).await
    }

    async fn close(&mut self, code: u16) -> tungstenite::Result<()> {
        let goodbye = async {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok(())
        };
        timeout(FAREWELL, goodbye).await.unwrap_or(Ok(()))
    }
}

/// Trades that were written: symbol and place.
pub(crate) type Marks = Vec<(usize, usize)>;

/// For messages that wait for those after them.
pub(crate) type Held = VecDeque<(u64, String, Option<(usize, usize)>)>;

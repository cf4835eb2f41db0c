//! The WebSocket side: one session per connection, reading from the tape.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        self, Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    FAREWELL, stopped,
    tape::{Next, Tape, Tick},
};

/// Binance pings every 20 s.
const PING_EVERY: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<TcpStream>;

pub(crate) async fn serve(
    listener: TcpListener,
    tape: Arc<Tape>,
    garble_every: Option<u64>,
    mut stop: watch::Receiver<bool>,
    cut: watch::Receiver<u64>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                sessions.spawn(connection(stream, Arc::clone(&tape), garble_every, stop.clone(), cut.clone()));
            }
            Some(_) = sessions.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    let all_gone = async { while sessions.join_next().await.is_some() {} };
    let _ = timeout(FAREWELL, all_gone).await;
}

/// What the client asked for.
struct Wants {
    streams: BTreeSet<String>,
    /// Whether messages come as `{"stream":…,"data":…}`.
    wrapped: bool,
}

impl Wants {
    /// `/ws`, `/ws/a/b`, `/stream`, `/stream?streams=a/b`
    fn from_address(path: &str, query: Option<&str>) -> Option<Self> {
        let wrapped = path == "/stream";
        let names = if wrapped {
            query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("streams=")).unwrap_or_default()
        } else {
            path.strip_prefix("/ws")?.trim_start_matches('/')
        };
        let streams = names.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(Self { streams, wrapped })
    }

    fn contains(&self, stream: &str) -> bool {
        self.streams.contains(stream)
    }

    fn write(&self, tick: &Tick) -> Message {
        if self.wrapped {
            Message::text(format!(r#"{{"stream":"{}","data":{}}}"#, tick.stream, tick.data))
        } else {
            Message::text(tick.data.clone())
        }
    }
}

async fn connection(
    stream: TcpStream,
    tape: Arc<Tape>,
    garble_every: Option<u64>,
    stop: watch::Receiver<bool>,
    mut cut: watch::Receiver<u64>,
) {
    cut.mark_unchanged();
    let mut wants = None;
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let route = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        wants = Wants::from_address(request.uri().path(), request.uri().query());
        if wants.is_some() {
            return Ok(response);
        }
        let mut refusal =
            ErrorResponse::new(Some("paths are /ws/<stream> and /stream?streams=<stream>/<stream>".into()));
        *refusal.status_mut() = tungstenite::http::StatusCode::NOT_FOUND;
        Err(refusal)
    };
    let Ok(Ok(socket)) = timeout(Duration::from_secs(5), accept_hdr_async(stream, route)).await else { return };
    let Some(wants) = wants else { return };
    let mut session =
        Session { socket, listening: Listening { tape, session: None }, wants, garbler: Garbler::new(garble_every) };
    session.listen();
    // An error is a connection that broke: nobody is left to tell.
    let _ = session.run(stop, cut).await;
}

struct Session {
    socket: Socket,
    listening: Listening,
    wants: Wants,
    garbler: Garbler,
}

/// A place on the tape, given up however the session ends.
struct Listening {
    tape: Arc<Tape>,
    session: Option<u64>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.tape.leave(session);
        }
    }
}

impl Listening {
    fn rewind(&self, messages: u64) {
        if let Some(session) = self.session {
            self.tape.rewind(session, messages);
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
    /// A session listens as long as it has subscribed to something.
    fn listen(&mut self) {
        match (self.wants.streams.is_empty(), self.listening.session) {
            (false, None) => self.listening.session = Some(self.listening.tape.join()),
            (true, Some(session)) => {
                self.listening.session = None;
                self.listening.tape.leave(session);
            }
            _ => {}
        }
    }

    async fn run(&mut self, mut stop: watch::Receiver<bool>, mut cut: watch::Receiver<u64>) -> tungstenite::Result<()> {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            // The client first: nothing is sent after its close frame was seen.
            tokio::select! { biased;
                frame = self.socket.next() => match frame {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(error),
                    Some(Ok(Message::Close(_))) => return self.answer_close().await,
                    Some(Ok(Message::Text(text))) => {
                        let answer = self.command(&text);
                        self.listen();
                        self.socket.send(Message::text(answer)).await?;
                    }
                    Some(Ok(_)) => {}
                },
                () = stopped(&mut stop) => return self.close(CloseCode::Away).await,
                Ok(()) = cut.changed() => {
                    let again = *cut.borrow_and_update();
                    self.listening.rewind(again);
                    return Ok(());
                }
                _ = ping.tick() => self.socket.send(Message::Ping(self.listening.tape.now_ms().to_string().into())).await?,
                (session, next) = self.listening.next() => match next {
                    Next::Send(ticks, after) => self.send(session, &ticks, after).await?,
                    Next::Close => return self.close(CloseCode::Normal).await,
                    Next::TooSlow => return self.close(CloseCode::Policy).await,
                },
            }
        }
    }

    async fn send(&mut self, session: u64, ticks: &[Tick], after: u64) -> tungstenite::Result<()> {
        for tick in ticks.iter().filter(|tick| self.wants.contains(&tick.stream)) {
            let message = self.wants.write(tick);
            let broken = self.garbler.after(&message);
            self.socket.feed(message).await?;
            if let Some(broken) = broken {
                self.socket.feed(broken).await?;
            }
        }
        self.socket.flush().await?;
        self.listening.tape.wrote(session, after, |stream| self.wants.contains(stream));
        Ok(())
    }

    /// The answer was queued when the client's frame was read; reading on sends it.
    async fn answer_close(&mut self) -> tungstenite::Result<()> {
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(FAREWELL, rest).await;
        Ok(())
    }

    async fn close(&mut self, code: CloseCode) -> tungstenite::Result<()> {
        let goodbye = async {
            self.socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await?;
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok(())
        };
        timeout(FAREWELL, goodbye).await.unwrap_or(Ok(()))
    }

    /// `{"method":"SUBSCRIBE","params":["a@aggTrade"],"id":1}` and its relatives.
    fn command(&mut self, text: &str) -> String {
        let refuse = |code: u8, msg: &str| json!({ "code": code, "msg": msg }).to_string();
        let Ok(command) = serde_json::from_str::<Value>(text) else {
            return refuse(3, "Invalid JSON");
        };
        let params: Vec<String> = match &command["params"] {
            Value::Array(list) => list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        let result = match command["method"].as_str() {
            Some("SUBSCRIBE") => {
                self.wants.streams.extend(params);
                Value::Null
            }
            Some("UNSUBSCRIBE") => {
                self.wants.streams.retain(|name| !params.contains(name));
                Value::Null
            }
            Some("LIST_SUBSCRIPTIONS") => json!(self.wants.streams),
            Some(_) => return refuse(2, "Invalid request: unknown method"),
            None => return refuse(2, "Invalid request: missing method"),
        };
        json!({ "result": result, "id": command["id"] }).to_string()
    }
}

/// Breaks a copy of every n-th message, each time in another way.
struct Garbler {
    every: Option<u64>,
    messages: u64,
    ways: u64,
}

impl Garbler {
    fn new(every: Option<u64>) -> Self {
        Self { every: every.filter(|every| *every > 0), messages: 0, ways: 0 }
    }

    fn after(&mut self, message: &Message) -> Option<Message> {
        self.messages += 1;
        if !self.messages.is_multiple_of(self.every?) {
            return None;
        }
        self.ways += 1;
        let text = message.to_text().unwrap_or_default();
        Some(match self.ways % 7 {
            1 => Message::text(&text[..text.len() / 2]),
            2 => Message::text(text.replace("\"p\":\"", "\"p\":\"-")),
            3 => Message::text(text.replace("\"q\":", "\"quantity\":")),
            4 => Message::text(text.replace("aggTrade", "notATrade")),
            5 => Message::binary(text.as_bytes().to_vec()),
            6 => Message::text("[]"),
            _ => Message::text(text.replace("\"f\":", "\"f\":1e99,\"was\":")),
        })
    }
}

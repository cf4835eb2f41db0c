//! Whether a program is ready, asked from where its network is.

use std::{
    cell::Cell,
    env,
    io::{self, BufRead, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use super::Theatre;
use crate::process::{OURSELVES, Running, Spec, StartError};

/// The first argument of the process that asks for us.
const MARK: &str = "--softstop-asker";
/// How long a connection may take: everything is on this machine.
const CONNECT: Duration = Duration::from_millis(200);
/// How long an answer may take; while nobody has asked to stop, and to see when it stops serving.
const PATIENT: Duration = Duration::from_secs(1);
const BRISK: Duration = Duration::from_millis(100);
/// And the rest of it, which says nothing more.
const REST: Duration = Duration::from_millis(100);
/// How much longer the process that asks may take to say so.
const RELAY: Duration = Duration::from_secs(2);

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It accepts connections; of HTTP, a status from 200 to 399.
    Ready,
    /// It refuses them, or answers with another status.
    Unready,
    /// It said nothing in time.
    Silent,
}

/// What is asked: HTTP, `http://host:port/path`, or TCP, `host:port`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question<'a> {
    Http(&'a str),
    Tcp(&'a str),
}

/// Asks, itself where the network of a program is ours, else by a process in that network.
#[derive(Default)]
pub(super) struct Asker {
    inside: Option<(Running, Cell<u64>)>,
}

impl Asker {
    /// For the network of this program.
    pub(super) fn new(theatre: &Theatre<'_>, of: &Running) -> Result<Self, StartError> {
        if !theatre.stage.namespaces.network {
            return Ok(Self::default());
        }
        let mut spec = Spec::new(OURSELVES).args([MARK]);
        spec.stdin = crate::process::Input::Silent;
        spec.trampoline.clone_from(&theatre.trampoline);
        Ok(Self { inside: Some((theatre.inside(spec, of)?, Cell::new(0))) })
    }

    /// `brisk`: rather no answer than a late one.
    pub(super) fn ask(&self, question: Question<'_>, brisk: bool) -> Answer {
        let limit = if brisk { BRISK } else { PATIENT };
        let Some((running, asked)) = &self.inside else { return ask(question, limit) };
        asked.set(asked.get() + 1);
        let (kind, address) = match question {
            Question::Http(address) => ("http", address),
            Question::Tcp(address) => ("tcp", address),
        };
        let line = format!("{} {} {kind} {address}\n", asked.get(), limit.as_millis());
        if running.feed(line.as_bytes()).is_err() {
            return Answer::Silent;
        }
        let mut answer = None;
        let number = asked.get().to_string();
        running.wait_for(Instant::now() + CONNECT + limit + RELAY, |seen| {
            // The last line answers the last question.
            let last = seen.output.lines().next_back().filter(|line| line.complete).map(|line| line.text());
            answer = last
                .and_then(|line| line.split_once(' ').filter(|(to, _)| *to == number).map(|(_, said)| said.to_owned()));
            answer.is_some() || seen.exit.is_some()
        });
        match answer.as_deref() {
            Some("ready") => Answer::Ready,
            Some("unready") => Answer::Unready,
            _ => Answer::Silent,
        }
    }
}

/// Answers what is asked on the standard input, if this process was started for that; false if not.
pub(crate) fn play() -> bool {
    if env::args_os().nth(1).is_none_or(|first| first != MARK) {
        return false;
    }
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [number, limit, kind, address] = words[..] else { break };
        let limit = limit.parse().map_or(PATIENT, Duration::from_millis);
        let said = match ask(if kind == "http" { Question::Http(address) } else { Question::Tcp(address) }, limit) {
            Answer::Ready => "ready",
            Answer::Unready => "unready",
            Answer::Silent => "silent",
        };
        // Nobody may be there any more to hear it.
        if writeln!(io::stdout(), "{number} {said}").is_err() {
            break;
        }
    }
    true
}

fn ask(question: Question<'_>, limit: Duration) -> Answer {
    let asked = match question {
        Question::Http(address) => status(address, limit).map(|status| (200..400).contains(&status)),
        Question::Tcp(address) => connect(address).map(|_| true),
    };
    match asked {
        Ok(true) => Answer::Ready,
        Ok(false) => Answer::Unready,
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => Answer::Silent,
        Err(_) => Answer::Unready,
    }
}

/// To the first of its addresses that accepts.
fn connect(address: &str) -> io::Result<TcpStream> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// The status with which `http://host:port/path` answers.
fn status(address: &str, limit: Duration) -> io::Result<u16> {
    let rest = address.strip_prefix("http://").unwrap_or(address);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let mut stream = connect(&if has_port { host.to_owned() } else { format!("{host}:80") })?;
    stream.set_read_timeout(Some(limit))?;
    // At once: who answers before it has read all resets the connection.
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.rsplit(' ').next()?.parse().ok());
    // To the end: closed before, the connection would be reset, and the program might complain of that in its log.
    let until = Instant::now() + REST;
    stream.set_read_timeout(Some(REST))?;
    while Instant::now() < until && matches!(stream.read(&mut [0; 8192]), Ok(1..)) {}
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Shutdown, TcpListener},
        thread,
    };

    use super::*;

    #[test]
    fn who_answers_can_say_all_of_it() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            let _ = stream.read(&mut [0; 1000]);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            stream.write_all(&[b'x'; 64 << 10])?;
            stream.shutdown(Shutdown::Write)?;
            // An error if the other end was closed before all was read there.
            stream.read(&mut [0; 1000])
        });

        assert_eq!(ask(Question::Http(&format!("http://{address}/")), PATIENT), Answer::Ready);
        assert_eq!(server.join().unwrap().unwrap(), 0);
    }

    /// Answers one connection with this text; none: says nothing until the other end is closed.
    fn serve(answer: Option<&'static str>) -> String {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            match answer {
                Some(answer) => {
                    let _ = stream.read(&mut [0; 1000]);
                    write!(stream, "{answer}").unwrap();
                }
                None => while matches!(stream.read(&mut [0; 1000]), Ok(1..)) {},
            }
        });
        address
    }

    #[test]
    fn the_status_says_whether_it_is_ready() {
        for (answer, expected) in [
            (Some("HTTP/1.1 204 No Content\r\n\r\n"), Answer::Ready),
            (Some("HTTP/1.1 503 Draining\r\n\r\n"), Answer::Unready),
            (Some("no HTTP at all"), Answer::Unready),
            (None, Answer::Silent),
        ] {
            let address = format!("http://{}/health", serve(answer));

            assert_eq!(ask(Question::Http(&address), BRISK), expected, "{answer:?}");
        }
    }

    #[test]
    fn who_accepts_is_ready_and_who_refuses_is_not() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();

        assert_eq!(ask(Question::Tcp(&address), BRISK), Answer::Ready);
        drop(socket);
        assert_eq!(ask(Question::Tcp(&address), BRISK), Answer::Unready);
    }
}

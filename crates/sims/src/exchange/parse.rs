//! Scripts as text.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use super::script::{Event, Happening, RequestFault, Rule, Script, SocketFault};

/// A script that is not understood: which sentence, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    sentence: String,
    what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script: {:?}: {}", self.sentence, self.what)
    }
}

impl std::error::Error for ScriptError {}

/// Sentences end with a line or a `;`; what follows a `#` is a comment. Times are milliseconds.
///
/// ```text
/// seed 7
/// socket NUMBERS [of STREAM] [after N] [every N] [chance P] FAULT
///     half-open | refuse STATUS | drop | close CODE | freeze | silence | deaf | shutdown MS | ping |
///     skip N | repeat N | late N | garble | split BYTES | fragment FRAMES
/// request PATH NUMBERS [every N] [chance P] FAULT
///     delay MS | status CODE [retry SECONDS] | ban MS | stale | slow BYTES_PER_SECOND | truncate | break | drop | hang | skew MS
/// market SYMBOL after TRADES hole TRADES
/// market SYMBOL after TRADES halt MS
/// ```
///
/// NUMBERS is `*`, `3`, `3..5` or `3..`; PATH is `*` or how the path ends, such as `depth` or `depth?symbol=BTCUSDT`; STREAM is how its
/// name ends, such as `@depth`.
impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            for sentence in line.split(';').map(str::trim).filter(|sentence| !sentence.is_empty()) {
                let mut words = Words(sentence.split_whitespace().collect());
                read(&mut script, &mut words)
                    .and_then(|()| words.done())
                    .map_err(|what| ScriptError { sentence: sentence.to_owned(), what })?;
            }
        }
        Ok(script)
    }
}

fn read(script: &mut Script, words: &mut Words<'_>) -> Result<(), String> {
    match words.next("seed, socket, request or market")? {
        "seed" => script.seed = words.number("a seed")?,
        "socket" => {
            let numbers = words.numbers()?;
            let rule = words.conditions(numbers, None)?;
            let fault = socket(words)?;
            script.sockets.push(with(rule, fault));
        }
        "request" => {
            let path = words.next("the end of a path, or *")?;
            let numbers = words.numbers()?;
            let rule = words.conditions(numbers, (path != "*").then(|| path.to_owned()))?;
            if rule.after.is_some() {
                return Err("`after` counts messages of a connection; for requests say NUMBERS".into());
            }
            let fault = request(words)?;
            script.requests.push(with(rule, fault));
        }
        "market" => {
            let symbol = words.next("a symbol")?.to_owned();
            if words.next("after")? != "after" {
                return Err("expected `market SYMBOL after TRADES`".into());
            }
            let at = words.number("how many trades come before")?;
            let happening = match words.next("hole or halt")? {
                "hole" => Happening::Hole(words.number("how many trades")?),
                "halt" => Happening::Halt(words.number("milliseconds")?),
                other => return Err(format!("{other:?}: expected hole or halt")),
            };
            script.market.push(Event { symbol, at, happening });
        }
        other => return Err(format!("{other:?}: expected seed, socket, request or market")),
    }
    Ok(())
}

fn with<F>(rule: Rule<()>, fault: F) -> Rule<F> {
    let Rule { numbers, of, after, every, chance, fault: () } = rule;
    Rule { numbers, of, after, every, chance, fault }
}

fn socket(words: &mut Words<'_>) -> Result<SocketFault, String> {
    Ok(match words.next("a fault")? {
        "half-open" => SocketFault::HalfOpen,
        "refuse" => SocketFault::Refuse(words.status()?),
        "drop" => SocketFault::Drop,
        "close" => SocketFault::Close(words.number("a close code")?),
        "freeze" => SocketFault::Freeze,
        "silence" => SocketFault::Silence,
        "deaf" => SocketFault::Deaf,
        "shutdown" => SocketFault::Shutdown(words.time()?),
        "ping" => SocketFault::Ping,
        "skip" => SocketFault::Skip(words.number("how many trades")?),
        "repeat" => SocketFault::Repeat(words.number("how many times")?),
        "late" => SocketFault::Late(words.number("how many messages")?),
        "garble" => SocketFault::Garble,
        "split" => SocketFault::Split(words.number("how many bytes")?),
        "fragment" => SocketFault::Fragment(words.number("how many frames")?),
        other => return Err(format!("{other:?}: there is no such fault for a socket")),
    })
}

fn request(words: &mut Words<'_>) -> Result<RequestFault, String> {
    Ok(match words.next("a fault")? {
        "delay" => RequestFault::Delay(words.time()?),
        "status" => RequestFault::Status(
            words.status()?,
            if words.take("retry") { Some(words.number("how many seconds")?) } else { None },
        ),
        "ban" => RequestFault::Ban(words.time()?),
        "stale" => RequestFault::Stale,
        "slow" => RequestFault::Slow(words.number("bytes a second")?),
        "truncate" => RequestFault::Truncate,
        "break" => RequestFault::Break,
        "drop" => RequestFault::Drop,
        "hang" => RequestFault::Hang,
        "skew" => RequestFault::Skew(words.number("milliseconds")?),
        other => return Err(format!("{other:?}: there is no such fault for a request")),
    })
}

/// The words that are left of a sentence.
struct Words<'a>(std::collections::VecDeque<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self, expected: &str) -> Result<&'a str, String> {
        self.0.pop_front().ok_or_else(|| format!("it ends where {expected} should be"))
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.0.front() == Some(&word);
        if is_next {
            self.0.pop_front();
        }
        is_next
    }

    fn number<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        word.parse().map_err(|_| format!("{word:?}: expected {what}"))
    }

    fn status(&mut self) -> Result<u16, String> {
        let status = self.number("a status")?;
        let known = (400..600).contains(&status).then_some(status);
        known.ok_or_else(|| format!("status {status}: it has to be 400 to 599"))
    }

    fn time(&mut self) -> Result<Duration, String> {
        self.number("milliseconds").map(Duration::from_millis)
    }

    fn numbers(&mut self) -> Result<RangeInclusive<u64>, String> {
        let word = self.next("which ones")?;
        let range = match word.split_once("..") {
            _ if word == "*" => Some(1..=u64::MAX),
            None => word.parse().ok().map(|number| number..=number),
            Some((first, "")) => first.parse().ok().map(|first| first..=u64::MAX),
            Some((first, last)) => first.parse().ok().zip(last.parse().ok()).map(|(first, last)| first..=last),
        };
        let range = range.filter(|range| !range.is_empty());
        range.ok_or_else(|| format!("{word:?}: expected *, 3, 3..5 or 3.."))
    }

    fn conditions(&mut self, numbers: RangeInclusive<u64>, of: Option<String>) -> Result<Rule<()>, String> {
        let mut rule = Rule { numbers, of, ..Rule::new(()) };
        loop {
            if self.take("of") {
                rule.of = Some(self.next("the end of a stream's name")?.to_owned());
            } else if self.take("after") {
                rule.after = Some(self.number("how many messages")?);
            } else if self.take("every") {
                let every: u64 = self.number("a number")?;
                rule.every = Some(every).filter(|every| *every > 0);
                rule.every.ok_or("every 0: it has to be 1 or more")?;
            } else if self.take("chance") {
                let chance: f64 = self.number("a share")?;
                rule.chance = Some(chance).filter(|chance| (0.0..=1.0).contains(chance));
                rule.chance.ok_or_else(|| format!("chance {chance}: it has to be 0.0 to 1.0"))?;
            } else {
                return Ok(rule);
            }
        }
    }

    fn done(&self) -> Result<(), String> {
        self.0.front().map_or(Ok(()), |word| Err(format!("{word:?}: the sentence should have ended before it")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_becomes_its_rule() {
        let script: Script = "
            seed 3            # for chances
            socket 1 after 500 drop; socket 2..5 after 100 every 10 skip 3
            socket * chance 0.25 shutdown 1500
            socket 3 of @depth late 40
            request depth 1..2 stale
            request * 3.. every 2 status 429 retry 2
            market AAA after 500 hole 20; market AAA after 600 halt 5000
        "
        .parse()
        .unwrap();

        let expected = Script::new(3)
            .socket(Rule::new(SocketFault::Drop).number(1).after(500))
            .socket(Rule::new(SocketFault::Skip(3)).numbers(2..=5).after(100).every(10))
            .socket(Rule::new(SocketFault::Shutdown(Duration::from_millis(1500))).chance(0.25))
            .socket(Rule::new(SocketFault::Late(40)).number(3).of("@depth"))
            .request(Rule::new(RequestFault::Stale).of("depth").numbers(1..=2))
            .request(Rule::new(RequestFault::Status(429, Some(2))).numbers(3..=u64::MAX).every(2))
            .event("AAA", 500, Happening::Hole(20))
            .event("AAA", 600, Happening::Halt(5000));
        assert_eq!(script, expected);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let wrong = [
            ("nothing", "\"nothing\": expected seed"),
            ("socket x drop", "\"x\": expected *"),
            ("socket 5..3 drop", "\"5..3\": expected *"),
            ("socket * oops", "\"oops\": there is no such fault"),
            ("socket * close", "it ends where a close code should be"),
            ("socket * drop drop", "\"drop\": the sentence should have ended"),
            ("socket * every 0 drop", "every 0"),
            ("request * * chance 2 hang", "chance 2"),
            ("request depth * after 3 stale", "`after` counts messages"),
            ("request depth * status 200", "status 200"),
            ("market AAA at 5 hole 1", "expected `market SYMBOL after"),
        ];
        for (text, named) in wrong {
            let error = text.parse::<Script>().unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("script: "), "{error}");
        }
    }
}

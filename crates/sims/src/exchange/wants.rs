//! What a client listens to, and the messages that this makes of what happens.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    market::{Kind, Tick},
    replay::micros,
    tape::Tape,
    trade::decimal,
};

/// What the client asked for.
#[derive(Debug)]
pub(crate) struct Wants {
    streams: BTreeSet<String>,
    /// Whether messages come as `{"stream":…,"data":…}`.
    combined: bool,
    /// Whether times are microseconds.
    micros: bool,
    most: usize,
    /// For each symbol of the market, the streams that are made from others.
    made: Vec<Made>,
}

#[derive(Debug, Default, Clone)]
struct Made {
    symbol: String,
    aggregates: bool,
    singles: bool,
    ticker: bool,
    /// Name, number of prices, whether each 100 ms.
    partial: Vec<(Arc<str>, usize, bool)>,
}

/// A message, and whether it is an aggregate: the only one that counts as a trade that was sent.
pub(crate) struct Out {
    pub(crate) stream: Arc<str>,
    pub(crate) text: String,
    pub(crate) is_trade: bool,
}

const METHODS: [&str; 5] = ["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"];

impl Wants {
    /// `/ws`, `/ws/a/b`, `/stream`, `/stream?streams=a/b`, each with `timeUnit=MICROSECOND` if wanted.
    pub(crate) fn from_address(path: &str, query: Option<&str>, symbols: &[String], most: usize) -> Option<Self> {
        let combined = path.trim_end_matches('/') == "/stream";
        let value = |name: &str| {
            let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let names = if combined {
            value("streams").unwrap_or_default()
        } else {
            path.strip_prefix("/ws")?.trim_start_matches('/')
        };
        let streams: BTreeSet<_> = names.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if streams.len() > most {
            return None;
        }
        let micros = value("timeUnit").is_some_and(|unit| unit.eq_ignore_ascii_case("MICROSECOND"));
        let made = symbols.iter().map(|symbol| Made { symbol: symbol.clone(), ..Made::default() }).collect();
        let mut wants = Self { streams, combined, micros, most, made };
        wants.remember();
        Some(wants)
    }

    fn remember(&mut self) {
        for made in &mut self.made {
            let lower = made.symbol.to_ascii_lowercase();
            let wants = |stream: &str| self.streams.contains(&format!("{lower}@{stream}"));
            made.aggregates = wants("aggTrade");
            made.singles = wants("trade");
            made.ticker = wants("bookTicker");
            let partial = [5, 10, 20].into_iter().flat_map(|levels| [(levels, false), (levels, true)]);
            let partial = partial
                .map(|(levels, fast)| (format!("depth{levels}{}", if fast { "@100ms" } else { "" }), levels, fast));
            let partial = partial.filter(|(name, ..)| wants(name));
            made.partial =
                partial.map(|(name, levels, fast)| (format!("{lower}@{name}").into(), levels, fast)).collect();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The messages that this client gets of it.
    pub(crate) fn write(&self, tick: &Tick, tape: &Tape, out: &mut Vec<Out>) {
        let made = &self.made[tick.symbol];
        let is_trade = matches!(tick.kind, Kind::Trade(..));
        if if is_trade { made.aggregates } else { self.streams.contains(&*tick.stream) } {
            out.push(self.out(&tick.stream, &tick.data, is_trade));
        }
        match tick.kind {
            Kind::Trade(trade, best) => {
                let lower = || made.symbol.to_ascii_lowercase();
                for single in trade.singles().filter(|_| made.singles) {
                    let data = single.to_event(&made.symbol, tick.at_ms + 1);
                    out.push(self.out(&format!("{}@trade", lower()).into(), &data, false));
                }
                if let Some(best) = best.filter(|_| made.ticker) {
                    let [bid, bids, ask, asks] = [best.bid.0, best.bid.1, best.ask.0, best.ask.1].map(decimal);
                    let data = format!(
                        r#"{{"u":{},"s":"{}","b":"{bid}","B":"{bids}","a":"{ask}","A":"{asks}"}}"#,
                        best.id, made.symbol
                    );
                    out.push(self.out(&format!("{}@bookTicker", lower()).into(), &data, false));
                }
            }
            Kind::Diff | Kind::SlowDiff => {
                let fast = tick.kind == Kind::Diff;
                for (stream, levels, _) in made.partial.iter().filter(|partial| partial.2 == fast) {
                    let data = tape.read(|world| world.books[tick.symbol].now.to_rest(*levels));
                    out.push(self.out(stream, &data, false));
                }
            }
            Kind::Other => {}
        }
    }

    fn out(&self, stream: &Arc<str>, data: &str, is_trade: bool) -> Out {
        Out { stream: Arc::clone(stream), text: self.wrap(stream, data), is_trade }
    }

    pub(crate) fn shutdown(&self, at_ms: u64) -> String {
        self.wrap("!serverShutdown", &format!(r#"{{"e":"serverShutdown","E":{at_ms}}}"#))
    }

    fn wrap(&self, stream: &str, data: &str) -> String {
        let changed = if self.micros { Some(micros(data)) } else { None };
        let data = changed.as_deref().unwrap_or(data);
        if self.combined { format!(r#"{{"stream":"{stream}","data":{data}}}"#) } else { data.to_owned() }
    }

    /// `{"method":"SUBSCRIBE","params":["a@aggTrade"],"id":1}` and its relatives; what is answered.
    pub(crate) fn command(&mut self, text: &str) -> String {
        match self.obey(text) {
            Ok((result, id)) => format!(r#"{{"result":{result},"id":{id}}}"#),
            Err((code, msg)) => json!({ "code": code, "msg": msg }).to_string(),
        }
    }

    fn obey(&mut self, text: &str) -> Result<(Value, Value), (u8, String)> {
        let invalid = |what: &str| (2, format!("Invalid request: {what}"));
        let command: Value = serde_json::from_str(text).map_err(|error| (3, format!("Invalid JSON: {error}")))?;
        let end = format!("at line 1 column {}", text.len());
        let id = command.get("id").cloned().unwrap_or(Value::Null);
        let id_is_fine = match &id {
            Value::Null => true,
            Value::Number(number) => number.is_i64(),
            Value::String(text) => text.len() <= 36 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            _ => false,
        };
        if !id_is_fine {
            return Err(invalid("request ID must be an unsigned integer"));
        }
        let Some(method) = command.get("method") else {
            return Err(invalid(&format!("missing field `method` {end}")));
        };
        let method = method.as_str().unwrap_or_default();
        let params = command["params"].as_array().cloned().unwrap_or_default();
        let names = || -> Result<Vec<String>, _> {
            let name = |name: &Value| name.as_str().map(str::to_owned).ok_or_else(|| invalid("params must be strings"));
            params.iter().map(name).collect()
        };
        let property = || match params.first() {
            Some(Value::String(name)) if name == "combined" => Ok(()),
            Some(Value::String(_)) => Err((0, "Unknown property".to_owned())),
            _ => Err(invalid("property name must be a string")),
        };
        let result = match method {
            "SUBSCRIBE" => {
                let names = names()?;
                let known = names.iter().filter(|name| self.streams.contains(*name)).count();
                if self.streams.len() + names.len() - known > self.most {
                    return Err(invalid("too many parameters"));
                }
                self.streams.extend(names);
                Value::Null
            }
            "UNSUBSCRIBE" => {
                let names = names()?;
                self.streams.retain(|name| !names.contains(name));
                Value::Null
            }
            "LIST_SUBSCRIPTIONS" => json!(self.streams),
            "SET_PROPERTY" => {
                property()?;
                let value = params.get(1).and_then(Value::as_bool);
                self.combined = value.ok_or_else(|| (1, "Invalid value type: expected Boolean".to_owned()))?;
                Value::Null
            }
            "GET_PROPERTY" => {
                property()?;
                json!(self.combined)
            }
            other => {
                let known = METHODS.map(|method| format!("`{method}`")).join(", ");
                return Err(invalid(&format!("unknown variant `{other}`, expected one of {known} {end}")));
            }
        };
        self.remember();
        Ok((result, id))
    }
}

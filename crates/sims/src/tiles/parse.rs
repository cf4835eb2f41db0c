//! Scripts as JSON.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use serde_json::Value;

use super::{
    script::{
        At, Connections, Cut, Delay, Encoding, Fault, Framing, How, Limit, Payload, RetryAfter, Rule, Script, Site, To,
    },
    tile::DEEPEST,
    which::Which,
};

/// A script that is not understood: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    at: String,
    what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script: {}: {}", self.at, self.what)
    }
}

impl std::error::Error for ScriptError {}

type Result<T> = std::result::Result<T, ScriptError>;

impl Script {
    /// Reads a script. Every field may be left out; one that is not known is an error.
    ///
    /// ```
    /// # use sims::tiles::{Fault, Limit, RetryAfter, Rule, Script};
    /// # use std::time::Duration;
    /// let script = Script::from_json(r#"{
    ///     "seed": 7,
    ///     "rules": [
    ///         {"share": 0.01, "tries": [1, 2], "fault": {"status": {"code": 500}}},
    ///         {"during_ms": [0, 10000], "fault": {"limit": {"per_second": 1000, "burst": 200}}}
    ///     ],
    ///     "connections": {"at_most": 64}
    /// }"#)?;
    ///
    /// assert_eq!(script.rules[0], Rule::new(Fault::status(500)).share(0.01).first_tries(2));
    /// let window = Duration::ZERO..Duration::from_secs(10);
    /// assert_eq!(script.rules[1], Rule::new(Fault::Limit(Limit::new(1000.0, 200.0))).during(window));
    /// assert_eq!(script.connections.at_most, Some(64));
    /// # Ok::<(), sims::tiles::ScriptError>(())
    /// ```
    ///
    /// A rule has `fault` and, as conditions, `zooms`, `columns`, `rows`, `requests`, `tries` (each `[first, last]`, `[first]` and all after it, or one number),
    /// `tiles` (`["12/3423/1763"]`), `share`, `chance`, `every`, `during_ms` (`[from, to]`, `to` left out: for ever), `host` (`"main"`, `"other"`).
    ///
    /// A fault is an object with one field:
    ///
    /// | field | value |
    /// |---|---|
    /// | `delay` | `{"fixed_ms": 50}`, `{"mean_ms": 50}` or `"never"` |
    /// | `limit` | `{"per_second": 1000, "burst": 200, "code": 429, "retry_after": 1}` |
    /// | `status` | `{"code": 403, "body": "picture", "retry_after": {"date_s": -5}}` |
    /// | `instead` | a body: `"empty"`, `"picture"`, `"html"`, `"json"`, `"xml"`, `"gif"`, `"text"` |
    /// | `redirect` | `{"code": 301, "to": "same"}`; or `"other"`, `"itself"`, `{"hops": 3}` |
    /// | `framing` | `"length"`, `"chunked"`, `"close"` |
    /// | `wrong_length` | bytes: `10`, `-10` |
    /// | `encoding` | `{"label": "br"}`, `"unlabelled"`, `"gzip"`, `{"bomb_bytes": 100000000}` |
    /// | `drip` | bytes a second: `1` |
    /// | `cut` | `{"at": 100, "framing": "length", "how": "close"}`; `at` may be `"head"`, `how` also `"reset"`, `"stall"`, `{"stream": 2}` |
    ///
    /// `retry_after` is a number of seconds, `{"date_s": seconds}`, or `null`; left out, it is 1 for a limit and none for a status.
    /// `connections` has `at_most`, `over_is_503`, `requests`, `announced`, `streams`, `goaway`, and `gone_ms` (`[[1000, 2000]]`).
    ///
    /// # Errors
    /// Text that is not JSON, an unknown field, a value that makes no sense; the message names the place.
    pub fn from_json(text: &str) -> Result<Self> {
        let at = || "text".to_owned();
        let value = serde_json::from_str(text).map_err(|error| ScriptError { at: at(), what: error.to_string() })?;
        let mut fields = Node { at: "script".into(), value: &value }.fields()?;
        let script = Self {
            seed: fields.take("seed").map_or(Ok(0), |node| node.number())?,
            rules: fields.take("rules").map_or(Ok(Vec::new()), |node| node.list()?.into_iter().map(rule).collect())?,
            connections: fields.take("connections").map_or(Ok(Connections::default()), connections)?,
        };
        fields.done()?;
        Ok(script)
    }
}

fn rule(node: Node<'_>) -> Result<Rule> {
    let mut fields = node.fields()?;
    let mut rule = Rule::new(fault(fields.need("fault")?)?);
    rule.which = which(&mut fields)?;
    fields.set("requests", &mut rule.requests, |node| node.range(u64::MAX))?;
    fields.set("tries", &mut rule.tries, |node| node.range(u32::MAX))?;
    fields.set("every", &mut rule.every, |node| node.number())?;
    fields.set("chance", &mut rule.chance, |node| node.share())?;
    fields.set("during_ms", &mut rule.during, |node| node.window())?;
    fields
        .set("host", &mut rule.site, |node| node.one_of(&[("main", Some(Site::Main)), ("other", Some(Site::Other))]))?;
    rule.every = rule.every.max(1);
    fields.done()?;
    Ok(rule)
}

fn which(fields: &mut Fields<'_>) -> Result<Which> {
    let mut which = Which::all();
    fields.set("zooms", &mut which.zooms, |node| node.range(DEEPEST))?;
    fields.set("columns", &mut which.columns, |node| node.range(u32::MAX))?;
    fields.set("rows", &mut which.rows, |node| node.range(u32::MAX))?;
    fields.set("share", &mut which.share, |node| node.share())?;
    fields.set("tiles", &mut which.tiles, |node| {
        node.list()?.into_iter().map(|node| node.text()?.parse().map_err(|error| node.wrong(error))).collect()
    })?;
    Ok(which)
}

fn fault(node: Node<'_>) -> Result<Fault> {
    let (kind, value) = node.kind()?;
    Ok(match kind {
        "delay" => Fault::Delay(delay(value)?),
        "limit" => Fault::Limit(limit(&value)?),
        "status" => status(&value)?,
        "instead" => Fault::Instead(payload(&value)?),
        "redirect" => redirect(&value)?,
        "framing" => Fault::Framing(framing(&value)?),
        "wrong_length" => Fault::WrongLength(value.signed()?),
        "encoding" => Fault::Encoding(encoding(value)?),
        "drip" => Fault::Drip(value.number()?),
        "cut" => Fault::Cut(cut(&value)?),
        _ => return Err(value.wrong("there is no such fault")),
    })
}

fn delay(node: Node<'_>) -> Result<Delay> {
    if node.value == "never" {
        return Ok(Delay::Never);
    }
    match node.kind()? {
        ("fixed_ms", value) => Ok(Delay::Fixed(value.millis()?)),
        ("mean_ms", value) => Ok(Delay::Exponential(value.millis()?)),
        (_, value) => Err(value.wrong("a delay is fixed_ms, mean_ms or \"never\"")),
    }
}

fn limit(node: &Node<'_>) -> Result<Limit> {
    let mut fields = node.fields()?;
    let mut limit = Limit::new(fields.need("per_second")?.positive()?, 1.0);
    fields.set("burst", &mut limit.burst, |node| node.positive())?;
    fields.set("code", &mut limit.code, status_code)?;
    fields.set("retry_after", &mut limit.retry_after, retry_after)?;
    fields.done()?;
    Ok(limit)
}

fn status(node: &Node<'_>) -> Result<Fault> {
    let mut fields = node.fields()?;
    let code = status_code(&fields.need("code")?)?;
    let (mut body, mut retry) = (Payload::Text, None);
    fields.set("body", &mut body, payload)?;
    fields.set("retry_after", &mut retry, retry_after)?;
    fields.done()?;
    Ok(Fault::Status { code, retry_after: retry, body })
}

fn status_code(node: &Node<'_>) -> Result<u16> {
    match node.number()? {
        code @ 200..=599 => Ok(code),
        _ => Err(node.wrong("a status is 200 to 599")),
    }
}

fn retry_after(node: &Node<'_>) -> Result<Option<RetryAfter>> {
    match node.value {
        Value::Null => Ok(None),
        Value::Number(_) => Ok(Some(RetryAfter::Seconds(node.number()?))),
        _ => {
            let mut fields = node.fields()?;
            let date = RetryAfter::Date(fields.need("date_s")?.signed()?);
            fields.done()?;
            Ok(Some(date))
        }
    }
}

fn payload(node: &Node<'_>) -> Result<Payload> {
    node.one_of(&[
        ("empty", Payload::Empty),
        ("picture", Payload::Picture),
        ("html", Payload::Html),
        ("json", Payload::Json),
        ("xml", Payload::Xml),
        ("gif", Payload::Gif),
        ("text", Payload::Text),
    ])
}

fn redirect(node: &Node<'_>) -> Result<Fault> {
    let mut fields = node.fields()?;
    let to = fields.need("to")?;
    let to = match to.value {
        Value::Object(_) => {
            let mut hops = to.fields()?;
            let count = hops.need("hops")?.number()?;
            hops.done()?;
            To::Hops(count)
        }
        _ => to.one_of(&[("same", To::SameHost), ("other", To::OtherHost), ("itself", To::Itself)])?,
    };
    let mut code = 302;
    fields.set("code", &mut code, status_code)?;
    fields.done()?;
    Ok(Fault::Redirect { code, to })
}

fn framing(node: &Node<'_>) -> Result<Framing> {
    node.one_of(&[("length", Framing::Length), ("chunked", Framing::Chunked), ("close", Framing::Close)])
}

fn encoding(node: Node<'_>) -> Result<Encoding> {
    if node.value.is_string() {
        return node.one_of(&[("unlabelled", Encoding::Unlabelled), ("gzip", Encoding::Gzip)]);
    }
    match node.kind()? {
        ("label", value) => Ok(Encoding::Label(value.text()?.to_owned())),
        ("bomb_bytes", value) => Ok(Encoding::Bomb(value.number()?)),
        (_, value) => Err(value.wrong("an encoding is label, bomb_bytes, \"unlabelled\" or \"gzip\"")),
    }
}

fn cut(node: &Node<'_>) -> Result<Cut> {
    let mut fields = node.fields()?;
    let at = fields.need("at")?;
    let at = if at.value == "head" { At::Head } else { At::Byte(at.number()?) };
    let mut cut = Cut { at, framing: Framing::Length, how: How::Close };
    fields.set("framing", &mut cut.framing, framing)?;
    fields.set("how", &mut cut.how, |node| match node.value {
        Value::Object(_) => {
            let mut fields = node.fields()?;
            let reason = fields.need("stream")?.number()?;
            fields.done()?;
            Ok(How::Stream(reason))
        }
        _ => node.one_of(&[("close", How::Close), ("reset", How::Reset), ("stall", How::Stall)]),
    })?;
    fields.done()?;
    Ok(cut)
}

fn connections(node: Node<'_>) -> Result<Connections> {
    let mut fields = node.fields()?;
    let mut connections = Connections::default();
    fields.set("at_most", &mut connections.at_most, |node| node.number().map(Some))?;
    fields.set("over_is_503", &mut connections.over_is_503, Node::truth)?;
    fields.set("requests", &mut connections.requests, |node| node.number().map(Some))?;
    fields.set("announced", &mut connections.announced, Node::truth)?;
    fields.set("streams", &mut connections.streams, |node| node.number().map(Some))?;
    fields.set("goaway", &mut connections.goaway, |node| node.number().map(Some))?;
    fields.set("gone_ms", &mut connections.gone, |node| node.list()?.iter().map(Node::window).collect())?;
    fields.done()?;
    Ok(connections)
}

/// A value and where it stands.
struct Node<'a> {
    at: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    fn wrong(&self, what: impl ToString) -> ScriptError {
        ScriptError { at: self.at.clone(), what: what.to_string() }
    }

    fn fields(&self) -> Result<Fields<'a>> {
        let object = self.value.as_object().ok_or_else(|| self.wrong("it has to be an object"))?;
        let rest = object.iter().map(|(key, value)| (key.as_str(), value)).collect();
        Ok(Fields { at: self.at.clone(), rest })
    }

    /// The name and the value of the one field.
    fn kind(&self) -> Result<(&'a str, Node<'a>)> {
        match self.value.as_object().map(|object| (object.len(), object.iter().next())) {
            Some((1, Some((key, value)))) => Ok((key, Node { at: format!("{}.{key}", self.at), value })),
            _ => Err(self.wrong("it has to be an object with one field")),
        }
    }

    fn list(&self) -> Result<Vec<Node<'a>>> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("it has to be a list"))?;
        let node = |(at, value)| Node { at: format!("{}[{at}]", self.at), value };
        Ok(list.iter().enumerate().map(node).collect())
    }

    fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong("it has to be a text"))
    }

    fn truth(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("it has to be true or false"))
    }

    fn number<T: TryFrom<u64>>(&self) -> Result<T> {
        let number = self.value.as_u64().and_then(|number| number.try_into().ok());
        number.ok_or_else(|| self.wrong("it has to be a whole number that fits"))
    }

    fn signed(&self) -> Result<i64> {
        self.value.as_i64().ok_or_else(|| self.wrong("it has to be a whole number"))
    }

    fn positive(&self) -> Result<f64> {
        self.value.as_f64().filter(|number| *number > 0.0).ok_or_else(|| self.wrong("it has to be a number above 0"))
    }

    fn share(&self) -> Result<f64> {
        let share = self.value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| self.wrong("it has to be 0.0 to 1.0"))
    }

    fn millis(&self) -> Result<Duration> {
        self.number().map(Duration::from_millis)
    }

    /// `[first, last]`, `[first]` and all after it up to `most`, or one number.
    fn range<T: TryFrom<u64> + Copy>(&self, most: T) -> Result<RangeInclusive<T>> {
        if self.value.is_u64() {
            let one = self.number()?;
            return Ok(one..=one);
        }
        match &self.list()?[..] {
            [first] => Ok(first.number()?..=most),
            [first, last] => Ok(first.number()?..=last.number()?),
            _ => Err(self.wrong("it has to be [first, last]")),
        }
    }

    /// `[from, to]` in milliseconds, or `[from]`.
    fn window(&self) -> Result<Range<Duration>> {
        match &self.list()?[..] {
            [from] => Ok(from.millis()?..Duration::MAX),
            [from, to] => Ok(from.millis()?..to.millis()?),
            _ => Err(self.wrong("it has to be [from, to]")),
        }
    }

    fn one_of<T: Clone>(&self, known: &[(&str, T)]) -> Result<T> {
        let found = known.iter().find(|(name, _)| self.value == name);
        let names = || known.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        found.map(|(_, value)| value.clone()).ok_or_else(|| self.wrong(format!("it has to be one of {}", names())))
    }
}

/// What has not been read yet of an object.
struct Fields<'a> {
    at: String,
    rest: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &str) -> Option<Node<'a>> {
        let value = self.rest.remove(key)?;
        Some(Node { at: format!("{}.{key}", self.at), value })
    }

    fn need(&mut self, key: &str) -> Result<Node<'a>> {
        let missing = || ScriptError { at: self.at.clone(), what: format!("{key:?} is missing") };
        let value = self.rest.remove(key).ok_or_else(missing)?;
        Ok(Node { at: format!("{}.{key}", self.at), value })
    }

    fn set<T>(&mut self, key: &str, target: &mut T, read: impl FnOnce(&Node<'a>) -> Result<T>) -> Result<()> {
        if let Some(node) = self.take(key) {
            *target = read(&node)?;
        }
        Ok(())
    }

    fn done(self) -> Result<()> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(ScriptError { at: self.at, what: format!("there is no field {unknown:?}") }),
        }
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

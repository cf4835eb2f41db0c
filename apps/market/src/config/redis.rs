//! The address of Redis as one text.

use std::{fmt, str::FromStr};

use super::{Password, Redis};

impl Password {
    /// Keeps it from being shown.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// To be sent, and for nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl FromStr for Redis {
    type Err = String;

    /// Reads `redis://[[user]:password@]host[:port][/database]`; `%40` stands for `@`, and so on. The rest is as by default.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            // Not the text: there may be a password in it.
            format!("address of Redis: {why}; expected redis://host:6379/0 or redis://user:password@host:6379/0")
        };
        let rest = text.strip_prefix("redis://").ok_or_else(|| {
            wrong(if text.starts_with("rediss://") { "TLS is not spoken" } else { "it does not begin with redis://" })
        })?;
        let (who, place) = rest.rsplit_once('@').map_or((None, rest), |(who, place)| (Some(who), place));
        let (place, db) = place.split_once('/').unwrap_or((place, ""));
        let mut redis = Self::default();
        if !db.is_empty() {
            redis.db = db.parse().map_err(|_| wrong(&format!("the database {db:?} is no number")))?;
        }
        let end_of_name = place.rfind(']').map_or(0, |end| end + 1);
        let host = match place[end_of_name..].rfind(':') {
            Some(colon) => {
                let (host, port) = place.split_at(end_of_name + colon);
                let port = port[1..].parse().ok().filter(|port: &u16| *port > 0);
                redis.port = port.ok_or_else(|| wrong("the port is no number from 1 to 65535"))?;
                host
            }
            None => place,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong("the host is missing or no name"));
        }
        redis.host = host.trim_matches(['[', ']']).to_owned();
        if let Some(who) = who {
            let decoded = |text: &str| decoded(text).ok_or_else(|| wrong("a % is not followed by two digits of UTF-8"));
            let (user, password) = who.split_once(':').ok_or_else(|| wrong("a user without a password"))?;
            redis.username = (!user.is_empty()).then(|| decoded(user)).transpose()?;
            redis.password = Some(Password(decoded(password)?));
        }
        Ok(redis)
    }
}

/// `%40` is `@`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let [first, rest @ ..] = left {
        (bytes, left) = if *first == b'%' {
            let (digits, rest) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            (bytes, rest)
        } else {
            bytes.push(*first);
            (bytes, rest)
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_all_that_it_says() {
        let of = |text: &str| text.parse::<Redis>().unwrap();
        let place = |redis: &Redis| (redis.host.clone(), redis.port, redis.db);

        assert_eq!(place(&of("redis://10.0.0.5")), ("10.0.0.5".into(), 6379, 0));
        assert_eq!(place(&of("redis://cache.local:7000/3")), ("cache.local".into(), 7000, 3));
        assert_eq!(place(&of("redis://[::1]:7000/")), ("::1".into(), 7000, 0));
        assert_eq!(place(&of("redis://[::1]")), ("::1".into(), 6379, 0));
        let with_user = of("redis://me:p%40ss:w@host");
        assert_eq!(with_user.username.as_deref(), Some("me"));
        assert_eq!(with_user.password, Some(Password::new("p@ss:w")));
        assert_eq!(of("redis://:secret@host").username, None);
        assert!(!format!("{with_user:?}").contains("p@ss"));
    }

    #[test]
    fn a_wrong_address_is_said_without_its_password() {
        for (text, says) in [
            ("localhost:6379", "does not begin with redis://"),
            ("rediss://host", "TLS is not spoken"),
            ("redis://", "the host is missing"),
            ("redis://host:0", "the port is no number"),
            ("redis://host:99999", "the port is no number"),
            ("redis://host/0?a=1", "the database \"0?a=1\" is no number"),
            ("redis://host/x", "the database \"x\" is no number"),
            ("redis://user@host", "a user without a password"),
            ("redis://:secret%4@host", "a % is not followed"),
            ("redis://:secret@ho st", "the host is missing or no name"),
        ] {
            let error = text.parse::<Redis>().unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{text}: {error}");
        }
    }
}

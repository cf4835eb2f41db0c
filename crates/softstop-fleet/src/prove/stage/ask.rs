//! Whether a program is ready, asked from outside.

use std::{
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

pub(super) fn connects(address: &str) -> bool {
    let addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
}

/// Whether `http://host:port/path` answers with a status from 200 to 399.
pub(super) fn answers(address: &str) -> bool {
    use std::io::{Read, Write};
    let rest = address.strip_prefix("http://").unwrap_or(address);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let ask = || {
        let to = with_port.to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_millis(200)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        std::str::from_utf8(&head).ok()?.rsplit(' ').next()?.parse::<u16>().ok()
    };
    ask().is_some_and(|status| (200..400).contains(&status))
}

//! The sockets that listen in a network of its own, asked by sock_diag(7).
//!
//! `/proc/net/tcp` says the same, but the kernel walks its table of all connections for it, which takes a millisecond even where
//! there is none. A netlink socket belongs to the network it was made in, so the keeper makes it and hands it over.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv, send, socket_with,
};

/// A TCP socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// What `/proc/PID/fd` calls it.
    pub inode: u64,
    /// Where.
    pub address: SocketAddr,
}

/// Asks one network.
pub(super) struct Network(Mutex<OwnedFd>);

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 1 | 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// TCP_LISTEN is state 10.
const LISTEN: u32 = 1 << 10;
/// Of a netlink message, and of what is asked: header and inet_diag_req_v2.
const HEAD: usize = 16;
const REQUEST: u32 = 72;
/// Of more than this the kernel makes several messages.
const BUFFER: usize = 32 * 1024;

impl Network {
    /// The network that this process is in, for [`Self::new`].
    pub(super) fn open() -> io::Result<OwnedFd> {
        Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?)
    }

    pub(super) fn new(socket: OwnedFd) -> Self {
        Self(Mutex::new(socket))
    }

    pub(super) fn listening(&self) -> io::Result<Vec<Listener>> {
        // Nobody panics with it in hand; and what is left of an answer would be told by its number.
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            send(&*socket, &request(family), SendFlags::empty())?;
            let mut buffer = vec![0; BUFFER];
            loop {
                let (_, length) = recv(&*socket, buffer.as_mut_slice(), RecvFlags::empty())?;
                if read(buffer.get(..length).unwrap_or_default(), &mut found)? {
                    break;
                }
            }
        }
        Ok(found)
    }
}

fn request(family: u8) -> Vec<u8> {
    let mut message = Vec::with_capacity(REQUEST as usize);
    message.extend(REQUEST.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    message.extend([0; 8]); // sequence number, sender
    message.extend([family, IPPROTO_TCP, 0, 0]); // family, protocol, extensions, padding
    message.extend(LISTEN.to_ne_bytes());
    message.extend([0; 48]); // any socket
    message
}

/// Takes in the messages of an answer; true if it ends with them.
fn read(mut messages: &[u8], found: &mut Vec<Listener>) -> io::Result<bool> {
    while let Some((head, _)) = messages.split_at_checked(HEAD) {
        let (length, kind) = (u32_at(head, 0) as usize, u16_at(head, 4));
        let body = messages.get(HEAD..length).ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(io::Error::from_raw_os_error(-(u32_at(body, 0).cast_signed()))),
            _ => found.push(listener(body).ok_or(io::ErrorKind::InvalidData)?),
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// inet_diag_msg: family, state, timer, retransmissions; ports and addresses as they travel; five numbers, the last the inode.
fn listener(body: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(*body.get(4..)?.first_chunk()?);
    let ip = match *body.first()? {
        AF_INET => IpAddr::from(Ipv4Addr::from(*body.get(8..)?.first_chunk::<4>()?)),
        _ => IpAddr::from(Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?)),
    };
    let inode = u64::from(u32::from_ne_bytes(*body.get(68..)?.first_chunk()?));
    Some(Listener { inode, address: SocketAddr::new(ip, port) })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_are_listed_while_they_listen() {
        let network = Network::new(Network::open().unwrap());
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(host) else { continue };
            let address = socket.local_addr().unwrap();
            let seen = || network.listening().unwrap().into_iter().any(|listener| listener.address == address);

            assert!(seen(), "{address}");
            drop(socket);
            assert!(!seen(), "{address}");
        }
    }

    #[test]
    fn an_answer_cut_short_is_an_error() {
        let mut message = request(AF_INET);
        message.truncate(40);

        assert!(read(&message, &mut Vec::new()).is_err());
    }
}

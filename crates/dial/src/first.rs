//! The first of several addresses that answers.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

/// How long an address is waited for before the next one is tried beside it (RFC 8305, section 8).
const NEXT: Duration = Duration::from_millis(250);

/// The first connection to any of these addresses. While one is silent the next is tried beside it: of IPv6 and IPv4 only one may work.
///
/// # Errors
/// That of the last address, where there is no connection to any.
///
/// # Cancel safety
/// Dropped before it completes, all calls end; those that come too late end with it as well.
pub(crate) async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut rest = in_turns(addresses).into_iter();
    let mut calls: Vec<Pin<Box<F>>> = Vec::new();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        calls.extend(rest.next().map(|address| Box::pin(connect(address))));
        if calls.is_empty() {
            return Err(error);
        }
        tokio::select! { biased;
            done = any(&mut calls) => match done {
                Ok(connection) => return Ok(connection),
                Err(failed) => error = failed,
            },
            () = sleep(NEXT), if rest.len() > 0 => {}
        }
    }
}

/// The result of the call that ends first, which is taken out.
async fn any<F: Future>(calls: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for at in 0..calls.len() {
            if let Poll::Ready(done) = calls[at].as_mut().poll(cx) {
                drop(calls.swap_remove(at));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

/// Each kind in its order, one after the other, beginning with that of the first.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == six);
    let most = one.len().max(other.len());
    (0..most).flat_map(|at| [one.get(at).copied(), other.get(at).copied()]).flatten().collect()
}

#[cfg(test)]
#[path = "first_tests.rs"]
mod tests;

use std::{
    future::pending,
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::time::{Instant, timeout};

use super::*;

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// How many calls are open.
#[derive(Default)]
struct Open(AtomicU32);

struct Call<'a>(&'a Open);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Open {
    /// Port 1 is never heard, port 2 refuses at once, others take 10 ms.
    async fn call(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _call = Call(self);
        match address.port() {
            1 => pending().await,
            2 => Err(io::Error::other(format!("{address} refuses"))),
            _ => {
                sleep(Duration::from_millis(10)).await;
                Ok(address)
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_silent_costs_a_quarter_of_a_second() {
    for (list, expected, took) in [
        (vec!["127.0.0.1:80"], "127.0.0.1:80", 10),
        (vec!["[::1]:1", "127.0.0.1:80"], "127.0.0.1:80", 260),
        (vec!["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:80"], "127.0.0.1:80", 260),
        (vec!["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:80"], "127.0.0.3:80", 510),
        (vec!["[::1]:2", "127.0.0.1:80"], "127.0.0.1:80", 10),
        (vec!["[::1]:80", "127.0.0.1:80"], "[::1]:80", 10),
    ] {
        let (open, began) = (Open::default(), Instant::now());

        let found = first(addresses(&list), |address| open.call(address)).await.unwrap();

        assert_eq!((found.to_string().as_str(), began.elapsed().as_millis()), (expected, took), "{list:?}");
        assert_eq!(open.0.load(Ordering::Relaxed), 0, "the others have ended");
    }
}

#[tokio::test(start_paused = true)]
async fn no_connection_to_any_address_is_the_error_of_the_last() {
    let (open, began) = (Open::default(), Instant::now());
    let error = first(addresses(&["[::1]:2", "127.0.0.1:2"]), |address| open.call(address)).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), began.elapsed()), ("127.0.0.1:2 refuses", Duration::ZERO));

    let none = first(Vec::new(), |address| open.call(address)).await.unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::AddrNotAvailable);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_no_call_open() {
    let open = Open::default();
    let calling = first(addresses(&["[::1]:1", "127.0.0.1:1"]), |address| open.call(address));

    timeout(Duration::from_secs(10), calling).await.unwrap_err();

    assert_eq!(open.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_name_with_a_dead_address_is_reached_over_the_other() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    // Nobody listens at this one of all loopback addresses.
    let refuses = SocketAddr::from(([127, 0, 0, 2], there.port()));

    let stream = first(vec![refuses, there], tokio::net::TcpStream::connect).await.unwrap();

    assert_eq!(stream.peer_addr().unwrap(), there);
}

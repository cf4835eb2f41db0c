#![expect(clippy::disallowed_methods, reason = "the exchange of a test needs no scope")]

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A client of an exchange that answers so many requests on each connection, and then closes it, or breaks off in the next answer.
fn client(answers: usize, breaks: bool) -> (Client, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let connect: Connect = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        let (near, mut far) = duplex(4096);
        tokio::spawn(async move {
            let mut request = [0; 4096];
            for _ in 0..answers {
                assert!(far.read(&mut request).await.unwrap() > 0);
                far.write_all(ANSWER).await.unwrap();
            }
            // Nobody looks at the connection meanwhile.
            sleep(Duration::from_millis(500)).await;
            if breaks && far.read(&mut request).await.unwrap() > 0 {
                far.write_all(&ANSWER[..ANSWER.len() - 1]).await.unwrap();
            }
        });
        Box::pin(async move { Ok(Box::new(near) as Box<dyn crate::net::Connection>) })
    });
    let to = "http://exchange".parse().unwrap();
    (Client::new(to, connect, Duration::from_secs(10), Allowance::new()), connections)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_while_nobody_asked_costs_no_request() {
    let (mut client, connections) = client(1, false);

    for _ in 0..3 {
        assert_eq!(client.get("/api/v3/time", 1, Purpose::Trades).await.unwrap(), "{}");
        // It closes it meanwhile.
        sleep(Duration::from_secs(1)).await;
    }

    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_not_asked_for_again_by_itself() {
    let (mut client, connections) = client(1, true);

    assert_eq!(client.get("/api/v3/time", 1, Purpose::Trades).await.unwrap(), "{}");
    assert!(matches!(client.get("/api/v3/time", 1, Purpose::Trades).await, Err(Trouble::Unanswered(_))));

    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

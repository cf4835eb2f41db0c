use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sims::tiles::{Config, Format, Origin, Site, Tile, World};
use tokio::task::JoinSet;

use super::{client::Client, truth};

const CONNECTIONS: usize = 64;
const TILES: u32 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_connections_get_twenty_thousand_tiles_and_each_is_logged_once() {
    let world = World { mean_size: 1000, ..World::default() };
    let origin = Arc::new(Origin::start(Config { world, ..Config::default() }).await.unwrap());
    let next = Arc::new(AtomicU32::new(0));
    let mut clients = JoinSet::new();

    for _ in 0..CONNECTIONS {
        let (origin, next) = (Arc::clone(&origin), Arc::clone(&next));
        clients.spawn(async move {
            let mut client = Client::connect(origin.address()).await;
            loop {
                let x = next.fetch_add(1, Ordering::Relaxed);
                if x >= TILES {
                    return;
                }
                let tile = Tile::new(15, x, x / 2);
                let seen = client.get(&format!("/{tile}.png")).await;
                assert!(seen.body == truth(&origin, Format::Png, tile).bytes, "{tile}");
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }

    origin.until(|log| log.in_flight() == 0).await;
    let log = origin.log();
    let tiles = log.tiles();
    assert_eq!((log.entries().len(), tiles.len()), (TILES as usize, TILES as usize));
    assert!(tiles.values().all(|asked| (asked.requests, asked.served) == (1, 1)));
    assert!(log.asked_again().is_empty());
    assert_eq!(log.opened(Site::Main), CONNECTIONS as u64);
    assert!(log.most_in_flight(Site::Main) <= CONNECTIONS);
    let windows = log.windows(Duration::from_millis(100));
    assert_eq!(windows.iter().map(|window| window.requests).sum::<u64>(), u64::from(TILES));
}

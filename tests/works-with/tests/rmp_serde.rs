//! rmp-serde: MessagePack values straight from a socket.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::time::Duration;

use grapeshot_core::{sleep, spawn, test};
use grapeshot_net::memory::{Builder, Faults};
use grapeshot_net::{TcpListener, TcpStream};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Shot {
    gunner: String,
    grapes: Vec<u32>,
    range: Option<f64>,
}

fn shot(number: u32) -> Shot {
    let gunner = format!("gunner {number}");
    Shot { gunner, grapes: (0..number * 10).collect(), range: number.is_multiple_of(2).then_some(0.5) }
}

/// DESIGN §6: `from_read` on the socket, `write` to it; the answer to each value comes before the next is sent.
#[test]
fn values_go_both_ways_over_tcp() {
    test::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut served = 0;
            // The error of the end: the client is done.
            while let Ok(shot) = rmp_serde::from_read::<_, Shot>(&stream) {
                sleep(Duration::from_millis(10));
                rmp_serde::encode::write_named(&mut stream, &Shot { range: Some(1.5), ..shot }).unwrap();
                served += 1;
            }
            served
        });
        let mut stream = TcpStream::connect(address).unwrap();
        for number in 0..10 {
            rmp_serde::encode::write_named(&mut stream, &shot(number)).unwrap();
            let answer: Shot = rmp_serde::from_read(&stream).unwrap();
            assert_eq!(answer, Shot { range: Some(1.5), ..shot(number) });
        }
        drop(stream);
        assert_eq!(server.join().unwrap(), 10);
    });
}

/// Values follow each other without a separator, and arrive in pieces.
#[test]
fn values_are_whole_however_the_stream_cuts_them() {
    test::run(|| {
        let faults = Faults::new().short_reads(3).delays(Duration::ZERO..Duration::from_millis(5));
        let (mut near, far) = Builder::new().capacity(7).to_far(faults).pair();
        let writer = spawn(move || {
            for number in 0..20 {
                rmp_serde::encode::write(&mut near, &shot(number)).unwrap();
            }
        });
        for number in 0..20 {
            assert_eq!(rmp_serde::from_read::<_, Shot>(&far).unwrap(), shot(number));
        }
        writer.join().unwrap();
        rmp_serde::from_read::<_, Shot>(&far).unwrap_err();
    });
}

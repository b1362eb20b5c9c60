//! redis: its connection trait over our socket, against a real Redis server.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise, and their helpers are tests as well")]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use grapeshot_core::test::Test;
use grapeshot_core::{sleep, spawn};
use grapeshot_harness::{Program, Ready, Running, TempDir, require, unused_addr};
use grapeshot_net::TcpStream;
use redis::{Commands, ConnectionLike, Parser, RedisResult, Value};

/// A connection of ours, as the crate wants it.
struct Connection {
    stream: TcpStream,
    parser: Parser,
    open: bool,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Connection> {
        Ok(Connection { stream: TcpStream::connect(address)?, parser: Parser::new(), open: true })
    }

    fn send(&mut self, commands: &[u8]) -> RedisResult<()> {
        let sent = self.stream.write_all(commands);
        self.open &= sent.is_ok();
        Ok(sent?)
    }

    fn receive(&mut self) -> RedisResult<Value> {
        let received = self.parser.parse_value(&self.stream);
        self.open &= received.is_ok();
        received
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.send(command)?;
        self.receive()?.extract_error()
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.send(commands)?;
        let answers: RedisResult<Vec<Value>> = (0..offset + count).map(|_| self.receive()).collect();
        Ok(answers?.split_off(offset))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").query::<String>(self).is_ok_and(|answer| answer == "PONG")
    }

    fn is_open(&self) -> bool {
        self.open
    }
}

/// A server of our own, in a folder of its own; it takes a port, but cannot choose one.
fn start() -> Option<(Running, SocketAddr, TempDir)> {
    let path = require("redis-server")?;
    for _ in 0..5 {
        let (address, folder) = (unused_addr().unwrap(), TempDir::new().unwrap());
        let program = Program::new(&path)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--port", &address.port().to_string()])
            .current_dir(folder.path())
            .ready_when(Ready::line("Ready to accept connections"));
        match program.start() {
            Ok(running) => return Some((running, address, folder)),
            // Somebody else took the port first.
            Err(error) if error.to_string().contains("Address already in use") => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no port stays free");
}

/// Commands of every shape the crate has: typed, pipelined, in a transaction, and one that fails.
#[test]
fn commands_pipelines_and_errors_work() {
    let Some((_running, address, _folder)) = start() else { return };
    Test::new().real_time().run(move || {
        let mut redis = Connection::open(address).unwrap();
        assert!(redis.check_connection());
        let _: () = redis.set("shot", "grape").unwrap();
        assert_eq!(redis.get::<_, String>("shot").unwrap(), "grape");
        assert_eq!(redis.get::<_, Option<String>>("none").unwrap(), None);
        let (one, two): (i64, i64) =
            redis::pipe().set("n", 40).ignore().incr("n", 1).incr("n", 1).query(&mut redis).unwrap();
        assert_eq!((one, two), (41, 42));
        let (three,): (i64,) = redis::pipe().atomic().incr("n", 1).query(&mut redis).unwrap();
        assert_eq!(three, 43);
        let big = vec![7_u8; 1 << 20];
        let _: () = redis.set("big", &big).unwrap();
        assert!(redis.get::<_, Vec<u8>>("big").unwrap() == big);
        let error = redis.incr::<_, _, i64>("shot", 1).unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
        assert!(redis.is_open(), "a refused command costs no connection");
        assert_eq!(redis.incr::<_, _, i64>("n", 1).unwrap(), 44);
    });
}

/// A command that waits for others holds up its own coroutine alone.
#[test]
fn a_blocking_command_holds_up_its_own_coroutine() {
    let Some((_running, address, _folder)) = start() else { return };
    Test::new().real_time().run(move || {
        let waiters: Vec<_> = (0..20)
            .map(|_| {
                spawn(move || {
                    let mut redis = Connection::open(address).unwrap();
                    let (_list, item): (String, u64) = redis.blpop("queue", 0.0).unwrap();
                    item
                })
            })
            .collect();
        let mut redis = Connection::open(address).unwrap();
        for item in 0..20_u64 {
            let _: () = redis.rpush("queue", item).unwrap();
            sleep(Duration::from_millis(1));
        }
        let mut items: Vec<u64> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        items.sort_unstable();
        assert!(items.into_iter().eq(0..20));
    });
}

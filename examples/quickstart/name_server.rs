//! A name server that knows one name, for the self-test: a private one, so that nothing leaves the machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use grapeshot::dns::proto::{RData, Record, RecordType, Request, ResponseCode};
use grapeshot::net::UdpSocket;
use grapeshot::spawn;

/// Longer than any question of the self-test.
const LONGEST_QUESTION: usize = 512;

/// Answers until it is dropped.
pub(crate) struct NameServer {
    socket: Rc<UdpSocket>,
    address: SocketAddr,
}

impl NameServer {
    pub(crate) const HOST: &str = "shot.example.org";
    pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    pub(crate) fn start() -> io::Result<NameServer> {
        let socket = Rc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        let address = socket.local_addr()?;
        let answering = socket.clone();
        // Its error is that the socket was closed.
        spawn(move || answer_all(&answering));
        Ok(NameServer { socket, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.socket.close();
    }
}

fn answer_all(socket: &UdpSocket) -> io::Result<()> {
    let mut question = [0; LONGEST_QUESTION];
    loop {
        let (len, client) = socket.recv_from(&mut question)?;
        if let Ok(request) = Request::parse(&question[..len]) {
            socket.send_to(&answer(&request), client)?;
        }
    }
}

fn answer(request: &Request) -> Vec<u8> {
    let name = request.name();
    let is_known = name.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(NameServer::HOST);
    let code = if is_known { ResponseCode::NoError } else { ResponseCode::NXDomain };
    let known = is_known && request.record_type() == RecordType::A;
    let record = known.then(|| Record::from_rdata(name.clone(), 60, RData::A(NameServer::ADDRESS.into())));
    request.respond(code).answers(record).encode_for_datagram()
}

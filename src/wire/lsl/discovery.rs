//! Finding streams: a query goes out over UDP, to groups of machines and to those that the config
//! names; every sender looks for itself whether it is meant, and answers with what it is.
//!
//! liblsl finds streams too, but does not tell where they are.

use super::config::Config;
use super::description::{self, Short};
use super::{Query, StreamFacts};
use crate::error::{Error, Result};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A query is sent again this often until it is answered.
const AGAIN: Duration = Duration::from_millis(500);
/// How long others may answer after the first.
const GRACE: Duration = Duration::from_millis(100);
/// How often it looks for answers.
const GLANCE: Duration = Duration::from_millis(2);
/// More answers are not kept.
const MAX_FOUND: usize = 1024;

/// A stream that answered.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it says of itself, without the channels.
    pub facts: StreamFacts,
    pub(super) session: String,
    /// TCP: samples and the full description.
    pub(super) data: SocketAddr,
    /// UDP: the sender's clock.
    pub(super) service: SocketAddr,
}

/// A search under way.
pub struct Search {
    sockets: Vec<(UdpSocket, Vec<u8>)>,
    config: Config,
    /// The answers to this search begin with it.
    id: String,
    sent: Option<Instant>,
    found: Vec<Found>,
    datagram: Vec<u8>,
}

impl Search {
    /// Prepares a search for the streams that match; nothing is sent yet.
    pub fn new(query: &Query) -> Result<Self> {
        Self::with(Config::get().clone(), query)
    }

    fn with(config: Config, query: &Query) -> Result<Self> {
        let id = rand::random::<u64>().to_string();
        let mut predicate = format!("session_id='{}'", config.session);
        let own = query.to_predicate()?;
        if !own.is_empty() {
            predicate = format!("{predicate} and {own}");
        }
        let mut sockets = Vec::new();
        let mut failed = None;
        for ipv4 in [true, false] {
            if !(if ipv4 { config.ipv4 } else { config.ipv6 }) {
                continue;
            }
            match socket(&config, ipv4) {
                Ok((socket, port)) => {
                    let question = format!("LSL:shortinfo\r\n{predicate}\r\n{port} {id}\r\n");
                    sockets.push((socket, question.into_bytes()));
                }
                Err(e) => failed = Some(e),
            }
        }
        if let (true, Some(e)) = (sockets.is_empty(), failed) {
            return Err(Error::run(format!("LSL discovery failed: {e}")));
        }
        let (found, datagram) = (Vec::new(), vec![0; 64 << 10]);
        Ok(Self { sockets, config, id, sent: None, found, datagram })
    }

    /// Waits at most `wait_s` for streams; returns, by name, those that answered since the last
    /// call, soon after the first.
    pub fn wait(&mut self, wait_s: f64) -> Vec<Found> {
        let mut end = Instant::now() + duration(wait_s);
        while Instant::now() < end {
            let nothing = self.found.is_empty();
            self.look();
            if nothing && !self.found.is_empty() {
                end = end.min(Instant::now() + GRACE);
            }
        }
        self.take()
    }

    /// Every stream that answers within `wait_s`, by name.
    pub fn all(&mut self, wait_s: f64) -> Vec<Found> {
        let end = Instant::now() + duration(wait_s);
        while Instant::now() < end {
            self.look();
        }
        self.take()
    }

    fn take(&mut self) -> Vec<Found> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|a, b| (&a.facts.name, &a.facts.uid).cmp(&(&b.facts.name, &b.facts.uid)));
        found
    }

    /// Asks, if it is time, and takes the answers that have come, or waits for a moment.
    fn look(&mut self) {
        if self.sent.is_none_or(|sent| sent.elapsed() >= AGAIN) {
            self.ask();
            self.sent = Some(Instant::now());
        }
        let mut came = false;
        for i in 0..self.sockets.len() {
            if let Ok((length, from)) = self.sockets[i].0.recv_from(&mut self.datagram) {
                self.heard(length, from);
                came = true;
            }
        }
        if !came {
            std::thread::sleep(GLANCE);
        }
    }

    /// Sends the question everywhere. A target that cannot be reached may be reached otherwise.
    fn ask(&self) {
        for (socket, question) in &self.sockets {
            let ipv4 = socket.local_addr().is_ok_and(|a| a.is_ipv4());
            let interfaces: Vec<_> = match self.config.interfaces.as_slice() {
                [] => vec![None],
                some => some.iter().map(Some).collect(),
            };
            for interface in interfaces {
                if let (true, Some(interface)) = (ipv4, interface) {
                    let _ = SockRef::from(socket).set_multicast_if_v4(interface);
                }
                for target in self.config.targets.iter().filter(|t| t.is_ipv4() == ipv4) {
                    let _ = socket.send_to(question, target);
                }
            }
        }
    }

    /// Keeps the answer in the first `length` bytes of the datagram, if it is one.
    fn heard(&mut self, length: usize, from: SocketAddr) {
        let text = String::from_utf8_lossy(&self.datagram[..length]);
        let Some((id, xml)) = text.split_once('\n') else { return };
        if id.trim() != self.id {
            return;
        }
        match description::short(xml) {
            Ok(short) => self.keep(short, from),
            Err(e) => tracing::debug!("an answer from {from} is passed over: {e}"),
        }
    }

    fn keep(&mut self, short: Short, from: SocketAddr) {
        let ports = if from.is_ipv4() { short.v4 } else { short.v6 };
        if ports.data == 0 {
            return;
        }
        let [mut data, mut service] = [from; 2];
        data.set_port(ports.data);
        service.set_port(ports.service);
        let found = Found { facts: short.facts, session: short.session, data, service };
        match self.found.iter().position(|f| f.facts.uid == found.facts.uid) {
            // IPv4 goes first, as in liblsl; else the way of the first answer is the fastest.
            Some(i) if data.is_ipv4() && self.found[i].data.is_ipv6() => self.found[i] = found,
            None if self.found.len() < MAX_FOUND => self.found.push(found),
            _ => {}
        }
    }
}

/// A socket for questions and answers, and its port, which firewalls let through if it is one of
/// those set aside for LSL.
fn socket(config: &Config, ipv4: bool) -> io::Result<(UdpSocket, u16)> {
    let domain = if ipv4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    let any: IpAddr =
        if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    if ipv4 {
        socket.set_broadcast(true)?;
        socket.set_multicast_ttl_v4(config.ttl)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_hops_v6(config.ttl)?;
    }
    let (base, range) = config.ports;
    let mut ports = (base..base.saturating_add(range)).chain([0]);
    let bound = ports.any(|port| socket.bind(&SocketAddr::new(any, port).into()).is_ok());
    if !bound {
        return Err(io::Error::other("no UDP port is free"));
    }
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from(socket);
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// `s` seconds, within what a wait can be.
fn duration(s: f64) -> Duration {
    Duration::from_secs_f64(s.clamp(0.0, 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(target: SocketAddr) -> Config {
        let config = Config { targets: vec![target], session: "lab".into(), ..Config::default() };
        Config { ipv4: target.is_ipv4(), ipv6: target.is_ipv6(), interfaces: Vec::new(), ..config }
    }

    fn answer(uid: &str, name: &str) -> String {
        format!(
            "<info><name>{name}</name><type>EEG</type><channel_count>2</channel_count>\
             <channel_format>float32</channel_format><nominal_srate>100</nominal_srate>\
             <uid>{uid}</uid><session_id>lab</session_id><v4data_port>1001</v4data_port>\
             <v4service_port>1002</v4service_port><v6data_port>1003</v6data_port>\
             <v6service_port>1004</v6service_port></info>"
        )
    }

    /// Answers the first question with what `answers` makes of its id; returns the question.
    fn sender(
        socket: UdpSocket,
        answers: impl Fn(&str) -> Vec<String> + Send + 'static,
    ) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut datagram = [0; 4096];
            let (length, from) = socket.recv_from(&mut datagram).unwrap();
            let question = String::from_utf8(datagram[..length].to_vec()).unwrap();
            let (port, id) = question.lines().nth(2).unwrap().split_once(' ').unwrap();
            let to = SocketAddr::new(from.ip(), port.parse().unwrap());
            for answer in answers(id) {
                socket.send_to(answer.as_bytes(), to).unwrap();
            }
            question
        })
    }

    #[test]
    fn answers_are_taken_for_what_they_are() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let query = Query { name: Some("b".into()), ..Query::default() };
        let mut search = Search::with(config(socket.local_addr().unwrap()), &query).unwrap();
        let sender = sender(socket, |id| {
            vec![
                "1\r\n".to_owned() + &answer("0", "another's answer"),
                "no answer at all".to_owned(),
                format!("{id}\r\n<info"),
                format!("{id}\r\n{}", answer("2", "b")),
                format!("{id}\r\n{}", answer("2", "said twice")),
                format!("{id}\r\n{}", answer("1", "a").replace(">1001<", ">0<")),
                format!("{id}\r\n{}", answer("3", "a")),
            ]
        });
        let found = search.wait(10.0);
        let names: Vec<_> = found.iter().map(|f| (&*f.facts.name, &*f.facts.uid)).collect();
        assert_eq!(names, [("a", "3"), ("b", "2")]);
        assert_eq!(found[0].data, "127.0.0.1:1001".parse().unwrap());
        assert_eq!(found[0].service, "127.0.0.1:1002".parse().unwrap());
        assert_eq!(found[0].session, "lab");
        let question = sender.join().unwrap();
        assert!(question.starts_with("LSL:shortinfo\r\nsession_id='lab' and name='b'\r\n"));
        assert!(search.wait(0.0).is_empty(), "what was given is forgotten");
    }

    #[test]
    fn ipv4_goes_before_ipv6_whichever_answers_first() {
        let target = "127.0.0.1:9".parse().unwrap();
        let [v4, v6] = ["127.0.0.1:5", "[fe80::1%7]:5"].map(|from| from.parse().unwrap());
        for order in [[v4, v6], [v6, v4]] {
            let mut search = Search::with(config(target), &Query::default()).unwrap();
            for from in order {
                search.keep(description::short(&answer("1", "a")).unwrap(), from);
            }
            assert_eq!(search.take()[0].data, "127.0.0.1:1001".parse().unwrap());
        }
        let mut search = Search::with(config(target), &Query::default()).unwrap();
        search.keep(description::short(&answer("1", "a")).unwrap(), v6);
        let found = search.take();
        assert_eq!(found[0].data, "[fe80::1%7]:1003".parse().unwrap(), "the scope is kept");
    }
}

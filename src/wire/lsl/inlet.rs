//! Receiving a stream: our own end of the connection, read by who needs the samples. One call of
//! the system brings all that has come, and no thread stands between the socket and the caller.

use super::discovery::Found;
use super::handshake::{self, Answer};
use super::offset::Probe;
use super::ready::readable;
use super::samples::{Layout, Reader};
use super::{StreamFacts, description};
use crate::clock;
use crate::error::{Error, Result};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a sender may take to accept a connection, and to say all it has to say before samples.
const CONNECT: Duration = Duration::from_secs(2);
const TALK: Duration = Duration::from_secs(5);
/// A longer description is refused.
const MAX_DESCRIPTION: usize = 32 << 20;
/// A machine that does not answer for 15 s is gone. A process that is only stopped answers: its
/// system does so for it.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(5))
    .with_interval(Duration::from_secs(2))
    .with_retries(5);

/// One end of a connection; the other is the sender.
pub struct Inlet {
    stream: TcpStream,
    reader: Reader,
    probe: Probe,
    busy: bool,
    /// How long the socket waits, as it was last told.
    timeout_s: f64,
}

/// What a pull brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pulled {
    /// One sample; its time on the sender's clock.
    Sample(f64),
    /// Nothing within the timeout.
    Nothing,
    /// The connection is gone.
    Lost,
}

/// Why there is no connection.
enum Failure {
    /// The sender is not there, or not any more.
    Gone(String),
    /// It is there and cannot be understood.
    Refused(String),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::Gone(e.to_string())
    }
}

impl Inlet {
    /// Connects to a stream, and gives what is known of it now, with its channels. `None` when its
    /// sender is gone.
    pub fn open(found: &Found) -> Result<Option<(Self, StreamFacts)>> {
        let name = &found.facts.name;
        match Self::connect(found) {
            Ok(opened) => Ok(Some(opened)),
            Err(Failure::Gone(why)) => {
                tracing::warn!("`{name}` was found at {}, but does not answer: {why}", found.data);
                Ok(None)
            }
            Err(Failure::Refused(why)) => Err(Error::run(format!(
                "the stream `{name}` at {} cannot be read: {why}",
                found.data
            ))),
        }
    }

    fn connect(found: &Found) -> Result<(Self, StreamFacts), Failure> {
        let mut facts = found.facts.clone();
        facts.channels = description::channels(&full_description(found.data)?, facts.channel_count);
        let probe = Probe::new(found.service)?;
        if probe.offset_s().is_none() {
            tracing::warn!(
                "the sender of `{}` does not tell its time: it is taken for ours",
                facts.name
            );
        }
        let (stream, mut reader) = request_samples(found)?;
        reader.begin(clock::now_s() - probe.offset_s().unwrap_or(0.0));
        SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
        Ok((Self { stream, reader, probe, busy: false, timeout_s: f64::NAN }, facts))
    }

    /// Whether to wait for samples without sleeping: sooner by the time that it takes to wake up,
    /// at the cost of a core.
    pub fn set_busy(&mut self, busy: bool) -> Result<()> {
        self.busy = busy;
        self.stream
            .set_nonblocking(busy)
            .map_err(|e| Error::run(format!("a socket refuses its setting: {e}")))
    }

    /// What to add to the sender's times to get ours, in seconds; `None` as long as it did not tell
    /// its time.
    pub fn clock_offset_s(&self) -> Option<f64> {
        self.probe.offset_s()
    }

    /// Whether the sender's clock was set since the last call.
    pub fn clock_was_reset(&mut self) -> bool {
        self.probe.was_reset()
    }

    /// Takes one sample. Waits for it at most `wait_s`; with 0 it takes what the last wait brought.
    pub fn pull(&mut self, wait_s: f64) -> Pulled {
        let mut end_s = None;
        loop {
            match self.reader.next_sample() {
                Ok(Some(stamp_s)) => return Pulled::Sample(stamp_s),
                Ok(None) if wait_s == 0.0 => return Pulled::Nothing,
                Ok(None) => {}
                Err(nonsense) => {
                    tracing::warn!("a stream makes no sense any more: {nonsense}");
                    return Pulled::Lost;
                }
            }
            let now_s = clock::now_s();
            let end_s = *end_s.get_or_insert(now_s + wait_s);
            if now_s >= end_s {
                return Pulled::Nothing;
            }
            match self.receive(wait_s, end_s) {
                Ok(0) => return Pulled::Lost,
                Ok(n) => self.reader.came(n),
                Err(e) => match e.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Pulled::Nothing,
                    ErrorKind::Interrupted => {}
                    _ => return Pulled::Lost,
                },
            }
        }
    }

    /// Appends the numbers of the last pulled sample; text channels become NaN.
    pub fn numbers(&self, out: &mut Vec<f64>) {
        self.reader.numbers(out);
    }

    /// Appends the first channel of the last pulled sample as text: a marker.
    pub fn text(&self, out: &mut String) {
        self.reader.text(out);
    }

    /// Waits until bytes come, at most `wait_s` or until `end_s`.
    fn receive(&mut self, wait_s: f64, end_s: f64) -> io::Result<usize> {
        if self.busy { self.spin(end_s) } else { self.park(wait_s, end_s) }
    }

    fn spin(&mut self, end_s: f64) -> io::Result<usize> {
        loop {
            match self.stream.read(self.reader.room()) {
                Err(e) if e.kind() == ErrorKind::WouldBlock && clock::now_s() < end_s => {}
                result => return result,
            }
            self.probe.serve();
            std::hint::spin_loop();
        }
    }

    fn park(&mut self, wait_s: f64, end_s: f64) -> io::Result<usize> {
        loop {
            self.probe.serve();
            if !self.probe.is_listening() {
                break;
            }
            let left_s = end_s - clock::now_s();
            if left_s <= 0.0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            let wait_s = left_s.min(self.probe.patience_s());
            let [data, _] = readable([&self.stream, self.probe.socket()], wait_s);
            if data {
                break;
            }
        }
        if self.timeout_s != wait_s {
            self.stream.set_read_timeout(Some(Duration::from_secs_f64(wait_s)))?;
            self.timeout_s = wait_s;
        }
        self.stream.read(self.reader.room())
    }
}

/// Asks a sender for the full description of its stream.
fn full_description(sender: SocketAddr) -> Result<String, Failure> {
    let mut stream = TcpStream::connect_timeout(&sender, CONNECT)?;
    stream.write_all(b"LSL:fullinfo\r\n")?;
    let mut xml = Vec::new();
    let mut part = [0; 16 << 10];
    let end = Instant::now() + TALK;
    loop {
        match read_until(&mut stream, &mut part, end)? {
            0 => break,
            n => xml.extend_from_slice(&part[..n]),
        }
        if xml.len() > MAX_DESCRIPTION {
            return Err(Failure::Refused("its description is longer than 32 MiB".into()));
        }
    }
    if !xml.trim_ascii_end().ends_with(b"</info>") {
        return Err(Failure::Gone("its description broke off".into()));
    }
    Ok(String::from_utf8_lossy(&xml).into_owned())
}

/// Asks a sender for the samples of a stream and checks that both mean the same by them.
fn request_samples(found: &Found) -> Result<(TcpStream, Reader), Failure> {
    let mut stream = TcpStream::connect_timeout(&found.data, CONNECT)?;
    stream.set_nodelay(true)?;
    stream.write_all(handshake::request(found).as_bytes())?;
    let end = Instant::now() + TALK;
    let mut came = Vec::new();
    let mut part = [0; 4 << 10];
    let facts = &found.facts;
    let (length, swapped) = loop {
        let n = read_until(&mut stream, &mut part, end)?;
        came.extend_from_slice(&part[..n]);
        match handshake::answer(&came, &facts.uid, n == 0) {
            Answer::Part => {}
            Answer::Agreed { length, swapped } => break (length, swapped),
            Answer::Gone => return Err(Failure::Gone("it serves another stream now".into())),
            Answer::Refused(why) => return Err(Failure::Refused(why)),
        }
    };
    let mut reader = Reader::new(Layout { swapped, ..facts.layout() });
    // It fits: a longer header is no answer, and a part of samples at most came with it.
    let rest = &came[length..];
    reader.room()[..rest.len()].copy_from_slice(rest);
    reader.came(rest.len());
    for test in [4, 2] {
        loop {
            match reader.next_sample() {
                Ok(Some(_)) if reader.is_test(test) => break,
                Ok(None) => {}
                _ => return Err(Failure::Refused("its samples are not what it said".into())),
            }
            match read_until(&mut stream, reader.room(), end)? {
                0 => return Err(Failure::Gone("it closed the connection".into())),
                n => reader.came(n),
            }
        }
    }
    Ok((stream, reader))
}

/// Reads what has come; 0 at the end of the connection, an error after `end`.
fn read_until(stream: &mut TcpStream, bytes: &mut [u8], end: Instant) -> io::Result<usize> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    match stream.read(bytes) {
        Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(0),
        result => result,
    }
}

#[cfg(test)]
mod tests;

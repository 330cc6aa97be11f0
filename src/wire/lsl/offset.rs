//! How far the sender's clock is from ours: every few seconds a handful of questions over UDP, of
//! which the one that was answered the fastest counts, as in NTP.
//!
//! ```text
//! ours    t0 ---------.            .--> t3       offset of the sender = ((t1 - t0) + (t2 - t3)) / 2
//! sender's             `-> t1   t2             error                <= ((t3 - t0) - (t2 - t1)) / 2
//! ```
//!
//! There is no thread: who waits for samples asks and listens in between ([`Probe::serve`]). Only
//! while an answer is due does it have to wait for both, so that `t3` is not late.

use super::ready::readable;
use crate::clock;
use std::io::{self, Write as _};
use std::net::{SocketAddr, UdpSocket};

/// Questions in a round, and answers that a round needs to count.
const QUESTIONS: u32 = 8;
const ENOUGH: u32 = 6;
/// From one question to the next, and from the end of a round to the next one.
const NEXT_S: f64 = 0.064;
const ROUND_S: f64 = 5.0;
/// Later answers are not waited for.
const PATIENCE_S: f64 = 0.128;
/// Numbers of questions are smaller: senders read a signed integer.
const MAX_ID: u32 = 1 << 31;
/// So many datagrams are looked at in one call.
const MOST_DATAGRAMS: usize = 16;
/// No two clocks drift as far as this between two rounds: one of them was set.
const JUMP_S: f64 = 0.1;

/// Measures the offset of one sender's clock.
pub(super) struct Probe {
    socket: UdpSocket,
    sender: SocketAddr,
    /// The number of the last question, and when it was asked, unless it was answered or given up.
    id: u32,
    asked_s: Option<f64>,
    /// When to ask the next one.
    next_s: f64,
    round: Round,
    offset_s: Option<f64>,
    was_reset: bool,
}

/// What a round has brought so far.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    asked: u32,
    answered: u32,
    best: Option<Answer>,
}

/// What one answer says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    round_trip_s: f64,
    /// What to add to the sender's times to get ours.
    offset_s: f64,
}

impl Probe {
    /// Measures the clock of the sender whose time service listens at `sender`, for a second at
    /// most; later rounds follow as [`Probe::serve`] is called.
    pub fn new(sender: SocketAddr) -> io::Result<Self> {
        let any = if sender.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        let mut probe = Self {
            socket,
            sender,
            id: rand::random::<u32>() % MAX_ID,
            asked_s: None,
            next_s: 0.0,
            round: Round::default(),
            offset_s: None,
            was_reset: false,
        };
        probe.ask_at_once();
        Ok(probe)
    }

    /// Goes through a round without the pauses between its questions.
    fn ask_at_once(&mut self) {
        self.ask();
        while self.round.asked > 0 {
            readable([&self.socket], self.patience_s());
            self.serve();
            if self.round.asked > 0 {
                self.next_s = 0.0;
            }
        }
    }

    /// What to add to the sender's times to get ours; `None` as long as it never answered.
    pub fn offset_s(&self) -> Option<f64> {
        self.offset_s
    }

    /// Whether one of the clocks was set since the last call.
    pub fn was_reset(&mut self) -> bool {
        std::mem::take(&mut self.was_reset)
    }

    /// The socket on which an answer is due, if one is.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// How long the answer that is due is worth waiting for; 0 when none is.
    pub fn patience_s(&self) -> f64 {
        self.asked_s.map_or(0.0, |asked_s| (asked_s + PATIENCE_S - clock::now_s()).max(0.0))
    }

    /// Whether an answer is due.
    pub fn is_listening(&self) -> bool {
        self.asked_s.is_some()
    }

    /// Asks if it is time, takes an answer that has come, gives one up that does not come. Never
    /// waits; most calls only look at the clock.
    pub fn serve(&mut self) {
        let now_s = clock::now_s();
        let Some(asked_s) = self.asked_s else {
            if now_s >= self.next_s {
                self.ask();
            }
            return;
        };
        if let Some(answer) = self.listen(asked_s) {
            self.round.answered += 1;
            self.round.best = Some(match self.round.best {
                Some(best) if best.round_trip_s <= answer.round_trip_s => best,
                _ => answer,
            });
        } else if now_s - asked_s < PATIENCE_S {
            return;
        }
        self.asked_s = None;
        self.next_s = now_s + NEXT_S;
        if self.round.asked == QUESTIONS {
            self.conclude();
            self.next_s = now_s + ROUND_S;
        }
    }

    fn ask(&mut self) {
        self.id = (self.id + 1) % MAX_ID;
        let mut question = [0; 64];
        let asked_s = clock::now_s();
        let mut rest = &mut question[..];
        let _ = write!(rest, "LSL:timedata\r\n{} {asked_s:.9}\r\n", self.id);
        let length = 64 - rest.len();
        // A question that gets lost here is one without an answer.
        let _ = self.socket.send_to(&question[..length], self.sender);
        self.asked_s = Some(asked_s);
        self.round.asked += 1;
    }

    fn listen(&self, asked_s: f64) -> Option<Answer> {
        let mut datagram = [0; 256];
        for _ in 0..MOST_DATAGRAMS {
            let (length, _) = self.socket.recv_from(&mut datagram).ok()?;
            let came_s = clock::now_s();
            let answer = Answer::read(&datagram[..length], self.id, asked_s, came_s);
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    fn conclude(&mut self) {
        let round = std::mem::take(&mut self.round);
        let Some(best) = round.best else { return };
        match self.offset_s {
            Some(_) if round.answered < ENOUGH => return,
            Some(old_s) => {
                self.was_reset |= (best.offset_s - old_s).abs() > JUMP_S + best.round_trip_s;
            }
            None => {}
        }
        self.offset_s = Some(best.offset_s);
    }
}

impl Answer {
    /// Reads the answer to question `id`, asked at `asked_s`, that came at `came_s`: the number of
    /// the question, its time, the sender's times when it came and when it was answered.
    fn read(datagram: &[u8], id: u32, asked_s: f64, came_s: f64) -> Option<Self> {
        let mut words = std::str::from_utf8(datagram).ok()?.split_ascii_whitespace();
        if words.next()?.parse() != Ok(id) {
            return None;
        }
        words.next();
        let mut time_s = || words.next()?.parse().ok().filter(|t: &f64| t.is_finite());
        let (heard_s, said_s) = (time_s()?, time_s()?);
        let round_trip_s = (came_s - asked_s) - (said_s - heard_s);
        let offset_s = ((asked_s - heard_s) + (came_s - said_s)) / 2.0;
        // What a sender says of its times cannot make the way there and back take no time at all.
        (-1e-6..=PATIENCE_S).contains(&round_trip_s).then_some(Self { round_trip_s, offset_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers `rounds` of questions as a sender whose clock is ahead by `ahead_s`, question `n`
    /// after `delay_s(n)`.
    fn sender(
        ahead_s: impl Fn(u32) -> f64 + Send + 'static,
        delay_s: impl Fn(u32) -> f64 + Send + 'static,
    ) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        std::thread::spawn(move || {
            let mut datagram = [0; 256];
            for n in 0.. {
                let Ok((length, from)) = socket.recv_from(&mut datagram) else { return };
                let question = std::str::from_utf8(&datagram[..length]).unwrap();
                let said = question.strip_prefix("LSL:timedata\r\n").unwrap().trim_end();
                let time_s = clock::now_s() + ahead_s(n);
                std::thread::sleep(std::time::Duration::from_secs_f64(delay_s(n)));
                let answer = format!(" {said} {time_s} {time_s}");
                socket.send_to(answer.as_bytes(), from).unwrap();
            }
        });
        address
    }

    #[test]
    fn the_fastest_answer_counts() {
        // All but one answer are late by 20 ms, on the way back: half of it is the error.
        let probe = Probe::new(sender(|_| 1000.0, |n| if n == 5 { 0.0 } else { 0.02 })).unwrap();
        let offset_s = probe.offset_s().unwrap();
        assert!((offset_s + 1000.0).abs() < 0.009, "{offset_s}");
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_and_followed() {
        let mut probe = Probe::new(sender(|n| if n < 16 { 1.0 } else { 7.0 }, |_| 0.0)).unwrap();
        let near = |probe: &Probe, s: f64| (probe.offset_s().unwrap() - s).abs() < 0.05;
        assert!(near(&probe, -1.0));
        probe.ask_at_once();
        assert!(near(&probe, -1.0) && !probe.was_reset());
        probe.ask_at_once();
        assert!(near(&probe, -7.0) && probe.was_reset());
        assert!(!probe.was_reset(), "it is told once");
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let probe = Probe::new(silent.local_addr().unwrap()).unwrap();
        assert_eq!(probe.offset_s(), None);
        assert!(!probe.is_listening());
    }

    #[test]
    fn only_answers_to_the_question_count() {
        let read = |text: &str| Answer::read(text.as_bytes(), 7, 100.0, 100.01);
        let answer = read(" 7 100.0 50.002 50.004").unwrap();
        assert!((answer.round_trip_s - 0.008).abs() < 1e-9);
        assert!((answer.offset_s - 50.002).abs() < 1e-9);
        for wrong in [
            "",
            "7",
            "8 100 50 50",
            "-7 100 50 50",
            "7 100 50",
            "7 100 nan 50",
            "7 100 50 inf",
            "7 100 50 51",
            "7 100 50 49",
            "7 100 x 50",
            "\u{fc}",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

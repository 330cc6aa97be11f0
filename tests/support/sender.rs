//! A sender of our own, for what no real one does: it is found and read as an LSL stream, and then
//! does to each connection what the test says.
#![allow(missing_docs, clippy::unwrap_used)]

use saltatory::clock;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// How it is found and what it sends: 64-bit floats.
#[derive(Clone)]
pub struct Sender {
    pub name: &'static str,
    pub session: String,
    pub labels: &'static [&'static str],
    pub rate_hz: f64,
}

impl Sender {
    /// Starts it; `serve` gets each connection for samples, with its number, behind the handshake.
    pub fn start(self, serve: impl Fn(&Self, usize, TcpStream) + Send + 'static) {
        // Where the config says that others look for it.
        let service = (16_572..16_604)
            .find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok())
            .expect("a free port of LSL");
        let data = TcpListener::bind("127.0.0.1:0").unwrap();
        let info = self.info(data.local_addr().unwrap(), service.local_addr().unwrap());
        let (asked, full) = (self.clone(), info.clone());
        std::thread::spawn(move || asked.answer(&service, &info));
        std::thread::spawn(move || {
            let mut connections = 0;
            loop {
                let mut stream = data.accept().unwrap().0;
                let mut request = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                request.read_line(&mut line).unwrap();
                if line.starts_with("LSL:fullinfo") {
                    stream.write_all(full.as_bytes()).unwrap();
                    continue;
                }
                assert_eq!(line, "LSL:streamfeed/110 one-and-the-same\r\n");
                while line != "\r\n" {
                    line.clear();
                    request.read_line(&mut line).unwrap();
                }
                stream.write_all(&self.agreement()).unwrap();
                serve(&self, connections, stream);
                connections += 1;
            }
        });
    }

    fn info(&self, data: SocketAddr, service: SocketAddr) -> String {
        let channels: String = self
            .labels
            .iter()
            .map(|label| format!("<channel><label>{label}</label></channel>"))
            .collect();
        format!(
            "<?xml version=\"1.0\"?><info><name>{}</name><type>EEG</type><channel_count>{}\
             </channel_count><channel_format>double64</channel_format><source_id>{0}</source_id>\
             <nominal_srate>{}</nominal_srate><version>1.1</version><uid>one-and-the-same</uid>\
             <session_id>{}</session_id><hostname>here</hostname><v4data_port>{}</v4data_port>\
             <v4service_port>{}</v4service_port><desc><channels>{channels}</channels></desc></info>",
            self.name,
            self.labels.len(),
            self.rate_hz,
            self.session,
            data.port(),
            service.port(),
        )
    }

    /// Answers who looks for it and who asks for the time.
    fn answer(&self, service: &UdpSocket, info: &str) {
        let mut datagram = [0; 4096];
        loop {
            let (length, from) = service.recv_from(&mut datagram).unwrap();
            let time_s = clock::now_s();
            let text = std::str::from_utf8(&datagram[..length]).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            match lines[..] {
                ["LSL:shortinfo", query, back]
                    if query.contains(&self.session) && query.contains(self.name) =>
                {
                    let (port, id) = back.split_once(' ').unwrap();
                    let to = SocketAddr::new(from.ip(), port.parse().unwrap());
                    service.send_to(format!("{id}\r\n{info}").as_bytes(), to).unwrap();
                }
                ["LSL:timedata", question] => {
                    let answer = format!(" {question} {time_s} {time_s}");
                    service.send_to(answer.as_bytes(), from).unwrap();
                }
                _ => {}
            }
        }
    }

    /// The answer to a request for samples, and the two that both sides know.
    fn agreement(&self) -> Vec<u8> {
        let order = if cfg!(target_endian = "little") { 1234 } else { 4321 };
        let mut bytes = format!(
            "LSL/110 200 OK\r\nUID: one-and-the-same\r\nByte-Order: {order}\r\n\
             Suppress-Subnormals: 0\r\nData-Protocol-Version: 110\r\n\r\n"
        )
        .into_bytes();
        for offset in [4, 2] {
            let sign = |k: usize| if k % 2 == 0 { 1.0 } else { -1.0 };
            let values = (0..self.labels.len()).map(|k| (k + offset + 16_777_217) as f64 * sign(k));
            bytes.extend(sample(123_456.789, values));
        }
        bytes
    }

    /// Sends samples as they fall due, in chunks, for `seconds` or until nobody listens. Sample `i`
    /// is due, and was taken, `i` periods after `start_s`.
    pub fn stream(&self, stream: &mut TcpStream, start_s: f64, seconds: f64) {
        const CHUNK: u64 = 16;
        let end_s = clock::now_s() + seconds;
        let mut i = ((clock::now_s() - start_s) * self.rate_hz).ceil() as u64;
        while clock::now_s() < end_s {
            let due_s = start_s + (i + CHUNK) as f64 / self.rate_hz;
            std::thread::sleep(Duration::from_secs_f64((due_s - clock::now_s()).max(0.0)));
            let chunk: Vec<u8> = (i..i + CHUNK)
                .flat_map(|i| {
                    let values = (0..self.labels.len() as u64)
                        .map(move |c| ((i * (c + 3) * 7919 + c * 104_729) % 1009) as f64 / 50.0);
                    sample(start_s + i as f64 / self.rate_hz, values)
                })
                .collect();
            if stream.write_all(&chunk).is_err() {
                return;
            }
            i += CHUNK;
        }
    }
}

fn sample(stamp_s: f64, values: impl Iterator<Item = f64>) -> Vec<u8> {
    let numbers = std::iter::once(stamp_s).chain(values).flat_map(f64::to_ne_bytes);
    std::iter::once(2).chain(numbers).collect()
}

//! A sender for tests, written from the protocol and not from our reader.

use super::samples::Layout;
use super::{Format, Found, StreamFacts};
use crate::clock;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// One value of a sample.
#[derive(Debug, Clone)]
pub enum Value {
    /// Of a numeric stream.
    Number(f64),
    /// Of a stream of texts.
    Text(Vec<u8>),
}

/// The bytes of a sample.
pub fn sample(layout: &Layout, stamp_s: Option<f64>, values: &[Value]) -> Vec<u8> {
    assert_eq!(values.len(), layout.channels);
    let order = |mut bytes: Vec<u8>| {
        if layout.swapped {
            bytes.reverse();
        }
        bytes
    };
    let mut out = match stamp_s {
        None => vec![1],
        Some(s) => [vec![2], order(s.to_ne_bytes().to_vec())].concat(),
    };
    for value in values {
        match value {
            Value::Text(text) if text.len() < 256 => {
                out.extend([1, text.len() as u8]);
                out.extend(text);
            }
            Value::Text(text) => {
                out.push(4);
                out.extend(order((text.len() as u32).to_ne_bytes().to_vec()));
                out.extend(text);
            }
            Value::Number(v) => out.extend(order(match layout.format {
                Format::Int8 => (*v as i8).to_ne_bytes().to_vec(),
                Format::Int16 => (*v as i16).to_ne_bytes().to_vec(),
                Format::Int32 => (*v as i32).to_ne_bytes().to_vec(),
                Format::Int64 => (*v as i64).to_ne_bytes().to_vec(),
                Format::Float32 => (*v as f32).to_ne_bytes().to_vec(),
                Format::Double64 => v.to_ne_bytes().to_vec(),
                Format::String => panic!("a number among texts"),
            })),
        }
    }
    out
}

/// The bytes of the test pattern `offset`, as `sample::assign_test_pattern` of liblsl makes it.
pub fn test_pattern(layout: &Layout, offset: i64) -> Vec<u8> {
    let values: Vec<Value> = (0..layout.channels as i64)
        .map(|k| {
            let sign = if k % 2 == 0 { 1 } else { -1 };
            let number = match layout.format {
                Format::Float32 => k + offset,
                Format::Double64 => k + offset + 16_777_217,
                Format::Int32 => (k + offset + 65_537) % 2_147_483_647,
                Format::Int16 => (k + offset + 257) % 32_767,
                Format::Int8 => (k + offset + 1) % 127,
                Format::Int64 => 2 + k + offset + 2_147_483_647,
                Format::String => return Value::Text(((k + 10) * sign).to_string().into_bytes()),
            };
            Value::Number((number * sign) as f64)
        })
        .collect();
    sample(layout, Some(123_456.789), &values)
}

/// What a sender says when all is well, up to its first sample.
pub fn agreement(layout: &Layout, uid: &str) -> Vec<u8> {
    let order = if layout.swapped == cfg!(target_endian = "little") { 4321 } else { 1234 };
    let mut bytes = format!(
        "LSL/110 200 OK\r\nUID: {uid}\r\nByte-Order: {order}\r\nSuppress-Subnormals: 0\r\n\
         Data-Protocol-Version: 110\r\n\r\n"
    )
    .into_bytes();
    bytes.extend(test_pattern(layout, 4));
    bytes.extend(test_pattern(layout, 2));
    bytes
}

/// Listens on `address` and serves one inlet: its description, its clock, which is ahead of ours by
/// 100 s, and then the connection for samples, which `serve` gets behind the request.
pub fn sender(
    address: &str,
    layout: Layout,
    serve: impl FnOnce(TcpStream) + Send + 'static,
) -> Found {
    let data = TcpListener::bind((address, 0)).unwrap();
    let service = UdpSocket::bind((address, 0)).unwrap();
    let found = found(layout, data.local_addr().unwrap(), service.local_addr().unwrap());
    std::thread::spawn(move || tell_time(&service));
    std::thread::spawn(move || {
        let mut serve = Some(serve);
        while let Some(serve_one) = serve.take() {
            let (mut stream, _) = data.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            if request[..length].starts_with(b"LSL:fullinfo\r\n") {
                let channel = "<channel><label>first</label></channel>";
                let xml = format!("<info><desc><channels>{channel}</channels></desc></info>");
                stream.write_all(xml.as_bytes()).unwrap();
                serve = Some(serve_one);
            } else {
                assert!(request[..length].starts_with(b"LSL:streamfeed/110 uid-1\r\n"));
                assert!(request[..length].ends_with(b"\r\n\r\n"));
                serve_one(stream);
            }
        }
    });
    found
}

fn found(layout: Layout, data: SocketAddr, service: SocketAddr) -> Found {
    Found {
        facts: StreamFacts {
            name: "fake".into(),
            kind: "EEG".into(),
            rate_hz: layout.rate_hz,
            format: layout.format,
            channel_count: layout.channels,
            channels: Vec::new(),
            source_id: "fake".into(),
            uid: "uid-1".into(),
            host: "here".into(),
        },
        session: "default".into(),
        data,
        service,
    }
}

/// Answers questions about the time until none comes for a while.
fn tell_time(service: &UdpSocket) {
    service.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut datagram = [0; 256];
    while let Ok((length, from)) = service.recv_from(&mut datagram) {
        let question = std::str::from_utf8(&datagram[..length]).unwrap();
        let said = question.strip_prefix("LSL:timedata\r\n").unwrap().trim_end();
        let time_s = clock::now_s() + 100.0;
        service.send_to(format!(" {said} {time_s} {time_s}").as_bytes(), from).unwrap();
    }
}

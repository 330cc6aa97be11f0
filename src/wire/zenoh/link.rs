//! A connection over zenoh.
//!
//! Who asks publishes under `saltatory/ask/ID` and hears `saltatory/answer/ID`; ID is its own. Messages go out at once
//! (`express`), before everything else, and are dropped where they cannot. Zenoh's own threads send, receive and take a
//! lost connection up again.

use super::access::{Access, Endpoint, Token};
use super::message::MAX_BYTES;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;
use zenoh::Wait as _;
use zenoh::config::Config;
use zenoh::key_expr::KeyExpr;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::Sample;
use zenoh::session::Session;

/// For how long nothing may come before a connection counts as lost; so often as a fourth of it there is a sign of life.
const LEASE_MS: u64 = 2000;
/// How long an attempt to connect may take.
const OPEN_MS: u64 = 2000;
/// The pauses between attempts to take up a lost connection: the shortest and the longest.
const RETRY_MS: [u64; 2] = [100, 400];
/// The most clients of a host.
const MAX_CLIENTS: usize = 64;

/// A connection: that of a client to its host, or that of a host to all its clients.
pub struct Link {
    /// In this order they end.
    asking: Option<Publisher<'static>>,
    _hearing: Subscriber<()>,
    session: Session,
}

/// The way back to who has asked.
#[derive(Clone)]
pub struct Back {
    client: String,
    session: Session,
    key: KeyExpr<'static>,
}

impl Link {
    /// Connects to the host at `place`; `heard` gets what it says, on a thread of zenoh's. Ends when it is dropped. Where
    /// nobody listens the error is of the kind [`ErrorKind::Missing`](crate::error::ErrorKind::Missing).
    pub fn connect(
        place: &Endpoint,
        access: &Access,
        heard: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> Result<Self> {
        let config = client_config(place, access)?;
        reach(place)?;
        let session = open(&config).map_err(|e| refused(&e.to_string()))?;
        let own = session.zid();
        let hear = move |sample: Sample| heard(&sample.payload().to_bytes());
        let hearing = session
            .declare_subscriber(format!("saltatory/answer/{own}"))
            .callback(hear)
            .wait()
            .map_err(failed)?;
        let asking = session
            .declare_publisher(format!("saltatory/ask/{own}"))
            .express(true)
            .priority(Priority::RealTime)
            .congestion_control(CongestionControl::Drop)
            .wait()
            .map_err(failed)?;
        Ok(Self { asking: Some(asking), _hearing: hearing, session })
    }

    /// Lets clients connect at `place`; `asked` gets what they say, on a thread of zenoh's.
    pub fn listen(
        place: &Endpoint,
        access: &Access,
        asked: impl Fn(&Back, &[u8]) + Send + Sync + 'static,
    ) -> Result<Self> {
        let session = open(&host_config(place, access)?)?;
        let answering = session.clone();
        let hear = move |sample: Sample| {
            if let Some(back) = Back::to_sender_of(&sample, &answering) {
                asked(&back, &sample.payload().to_bytes());
            }
        };
        let hearing =
            session.declare_subscriber("saltatory/ask/*").callback(hear).wait().map_err(failed)?;
        Ok(Self { asking: None, _hearing: hearing, session })
    }

    /// Whether this build can reach other hosts: it can.
    pub fn check() -> Result<()> {
        Ok(())
    }

    /// Sends `bytes` to the host, if there is a connection.
    pub fn ask(&self, bytes: &[u8]) {
        if let Some(asking) = &self.asking {
            // Whoever waits for the answer notices that there is none.
            let _ = asking.put(bytes).wait();
        }
    }
}

impl Back {
    fn to_sender_of(sample: &Sample, session: &Session) -> Option<Self> {
        let client = sample.key_expr().as_str().rsplit('/').next()?.to_owned();
        let key = KeyExpr::new(format!("saltatory/answer/{client}")).ok()?;
        Some(Self { client, session: session.clone(), key })
    }

    /// Who has asked.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// Sends `bytes` to who has asked, if they are still there.
    pub fn answer(&self, bytes: &[u8]) {
        let putting = self.session.put(&self.key, bytes).express(true).priority(Priority::RealTime);
        let _ = putting.congestion_control(CongestionControl::Drop).wait();
    }
}

/// The session must be closed by hand: what hears for it holds it.
impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.session.close().wait();
    }
}

/// Whether anybody listens at `place`.
fn reach(place: &Endpoint) -> Result<()> {
    let unreachable =
        |e: &dyn std::fmt::Display| Error::missing(format!("it cannot be reached: {e}"));
    let mut outcome = Err(unreachable(&"its name is not known"));
    for address in place.address().to_socket_addrs().map_err(|e| unreachable(&e))? {
        match TcpStream::connect_timeout(&address, Duration::from_millis(OPEN_MS)) {
            Ok(_) => return Ok(()),
            Err(e) => outcome = Err(unreachable(&e)),
        }
    }
    outcome
}

/// What it means that somebody listens, but no connection comes about because of `e`.
fn refused(e: &str) -> Error {
    // Behind that, zenoh says where in its own files it was.
    let why = e.split(" at /").next().unwrap_or(e);
    if why.contains("close message") || why.contains("UsrPwd") {
        return Error::mismatch("it refuses the token, or wants one (`token_file`)");
    }
    let meaning = match why.contains("certificate") {
        true => "its certificate is not trusted",
        false => "no connection comes about",
    };
    Error::mismatch(format!("{meaning}: {why}"))
}

fn open(settings: &[(&str, Value)]) -> Result<Session> {
    let config = Config::from_json5(&nested(settings).to_string()).map_err(failed)?;
    zenoh::open(config).wait().map_err(failed)
}

/// Settings whose keys are paths, as objects in objects.
fn nested(settings: &[(&str, Value)]) -> Value {
    let mut whole = json!({});
    for (path, value) in settings {
        let place = path.split('/').fold(&mut whole, |at, key| &mut at[key]);
        *place = value.clone();
    }
    whole
}

fn failed(e: zenoh::Error) -> Error {
    Error::run(e.to_string())
}

fn client_config(place: &Endpoint, access: &Access) -> Result<Vec<(&'static str, Value)>> {
    place.check(access)?;
    let mut settings = common(place);
    settings.extend([
        ("listen/endpoints", json!([])),
        ("connect/endpoints", json!([place.text])),
        ("connect/timeout_ms", json!(0)),
        ("connect/exit_on_failure", json!(true)),
        ("connect/retry/period_init_ms", json!(RETRY_MS[0])),
        ("connect/retry/period_max_ms", json!(RETRY_MS[1])),
    ]);
    if let Some(path) = &access.token_file {
        let token = Token::one(path)?;
        settings.push(("transport/auth/usrpwd/user", json!(token.name)));
        settings.push(("transport/auth/usrpwd/password", json!(token.secret)));
    }
    if let Some(path) = &access.ca {
        settings.push(("transport/link/tls/root_ca_certificate", file(path)?));
    }
    Ok(settings)
}

fn host_config(place: &Endpoint, access: &Access) -> Result<Vec<(&'static str, Value)>> {
    place.check(access)?;
    let mut settings = common(place);
    settings.extend([
        ("connect/endpoints", json!([])),
        ("listen/endpoints", json!([place.text])),
        ("transport/unicast/max_sessions", json!(MAX_CLIENTS)),
    ]);
    if let Some(path) = &access.token_file {
        Token::all(path)?;
        settings.push(("transport/auth/usrpwd/dictionary_file", file(path)?));
    }
    match (&access.certificate, place.is_tls) {
        (Some((certificate, key)), true) => settings.extend([
            ("transport/link/tls/listen_certificate", file(certificate)?),
            ("transport/link/tls/listen_private_key", file(key)?),
        ]),
        (None, false) => {}
        (None, true) => return Err(Error::config("TLS takes a certificate and its key")),
        (Some(_), false) => {
            return Err(Error::config("a certificate is of use with tls/HOST:PORT only"));
        }
    }
    Ok(settings)
}

/// What both sides want: nobody is looked for, and nobody else is told.
fn common(place: &Endpoint) -> Vec<(&'static str, Value)> {
    vec![
        ("mode", json!("peer")),
        ("scouting/multicast/enabled", json!(false)),
        ("scouting/gossip/enabled", json!(false)),
        ("transport/link/protocols", json!([if place.is_tls { "tls" } else { "tcp" }])),
        ("transport/link/tx/lease", json!(LEASE_MS)),
        ("transport/link/tx/queue/size/real_time", json!(16)),
        ("transport/link/rx/max_message_size", json!(MAX_BYTES + (1 << 16))),
        ("transport/unicast/open_timeout", json!(OPEN_MS)),
        ("transport/unicast/accept_timeout", json!(OPEN_MS)),
    ]
}

/// The path of a file that is there.
fn file(path: &Path) -> Result<Value> {
    let whole = std::fs::canonicalize(path);
    let whole =
        whole.map_err(|e| Error::input(format!("cannot be read: {e}")).at(path.display()))?;
    Ok(json!(whole.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zenoh_takes_the_settings_of_both_sides() {
        let place = Endpoint::parse("tcp/127.0.0.1:7447").unwrap();
        for settings in [client_config, host_config] {
            let settings = settings(&place, &Access::default()).unwrap();
            let config = Config::from_json5(&nested(&settings).to_string()).unwrap();
            assert!(config.get_json("transport/link/tx/lease").unwrap() == LEASE_MS.to_string());
        }
    }
}

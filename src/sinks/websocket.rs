//! Serves decisions, and what a page draws beside them, over WebSocket: one JSON message for each, to everyone
//! who listens.
//!
//! The first message on a connection names classes and stages, and says what each input shows. A client that falls behind is told
//! how many messages it missed (`{"missed": n}`) and goes on; it holds up nobody. At the end of the
//! run everyone gets what is still to come, and a close frame. What clients missed is in the ledger
//! (`missed`). Listens on loopback only, and only to programs and to pages served from this machine.

use super::messages::Messages;
use super::picture::Format;
use super::{Delivery, RunFacts, Sink};
use crate::error::{Error, Result};
use crate::frame::Spec;
use crate::ledger::{Cause, Counters};
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

/// Messages that a slow client may be behind before it misses some.
const BACKLOG: usize = 1024;
/// How long a slow client may take for the last messages.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is sent to everyone; `None` is the end.
type News = Option<Utf8Bytes>;

/// Serves decisions, embeddings, graphs, rankings, texts and pictures over WebSocket on this machine, one JSON
/// message each.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on; loopback only.
    #[serde(default = "address")]
    pub listen: SocketAddr,
    /// How pictures are sent: `png`, exact to 8 bits a colour, or `jpeg`, smaller.
    #[serde(default = "png")]
    pub pictures: Format,
}

fn png() -> Format {
    Format::Png
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8765))
}

impl crate::kind::Settings<dyn Sink> for Settings {
    const EXAMPLE: &'static str = "listen = \"127.0.0.1:8765\"\npictures = \"png\"\n";

    fn build(self) -> Result<Box<dyn Sink>> {
        if !self.listen.ip().is_loopback() {
            let message = "only loopback (127.0.0.1 or [::1]) is open without a token and TLS";
            return Err(Error::setting("listen", message));
        }
        let (messages, _) = broadcast::channel(BACKLOG);
        Ok(Box::new(Socket {
            listen: self.listen,
            pictures: self.pictures,
            says: Messages::default(),
            messages,
            server: None,
        }))
    }
}

/// The sink.
struct Socket {
    listen: SocketAddr,
    pictures: Format,
    says: Messages,
    messages: broadcast::Sender<News>,
    server: Option<Server>,
}

/// The thread on which the server runs, and what ends it.
struct Server {
    thread: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// What every connection shares.
#[derive(Clone)]
struct Shared {
    hello: Utf8Bytes,
    messages: broadcast::Sender<News>,
    page: Arc<Counters>,
}

/// What is still to be sent on one connection. Whatever is left when the run ends was missed.
struct Backlog {
    messages: broadcast::Receiver<News>,
    page: Arc<Counters>,
    /// Whether the client has left by itself, and so misses nothing.
    left: bool,
}

impl Drop for Backlog {
    fn drop(&mut self) {
        // The one that is being sent, and those behind it but for the end.
        let missed = if self.left { 0 } else { self.messages.len() as u64 };
        self.page.add(Cause::Missed, missed);
    }
}

impl Sink for Socket {
    fn open(&mut self, inputs: &[Spec], run: &RunFacts) -> Result<()> {
        self.says = Messages::of(inputs, run, Some(self.pictures))?;
        let hello = serde_json::Value::Object(self.says.head());
        let (messages, page) = (self.messages.clone(), run.page.clone());
        let shared = Shared { hello: hello.to_string().into(), messages, page };
        self.server = Some(serve(self.listen, shared)?);
        Ok(())
    }

    fn write(&mut self, delivery: &Delivery) -> Result<()> {
        if self.messages.receiver_count() == 0 {
            return Ok(());
        }
        if let Some(text) = self.says.message(delivery)? {
            // An error means that the last listener has just left.
            let _ = self.messages.send(Some(text.into()));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let _ = self.messages.send(None);
        let _ = server.end.send(());
        server.thread.join().map_err(|_| Error::run("the server stopped by a fault of ours"))
    }
}

/// Binds the port and starts the server's thread.
fn serve(listen: SocketAddr, shared: Shared) -> Result<Server> {
    let failed = |e: std::io::Error| Error::run(format!("cannot listen on {listen}: {e}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(listen)).map_err(failed)?;
    let messages = shared.messages.clone();
    let app = axum::Router::new().route("/", axum::routing::get(connect)).with_state(shared);
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("websocket".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = axum::serve(listener, app).into_future() => {
                        if let Err(e) = served {
                            tracing::error!("the websocket server stopped: {e}");
                        }
                    }
                    _ = ended => {}
                }
                let since = Instant::now();
                while messages.receiver_count() > 0 && since.elapsed() < GOODBYE {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        })
        .map_err(failed)?;
    Ok(Server { thread, end })
}

async fn connect(
    State(shared): State<Shared>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_from_this_machine(&headers) {
        let message = "only pages served from this machine may listen";
        return (StatusCode::FORBIDDEN, message).into_response();
    }
    upgrade.on_upgrade(move |socket| talk(socket, shared))
}

/// A browser says which page a connection comes from; programs say nothing.
fn is_from_this_machine(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, host)| host);
    let host = host.map(|h| h.rsplit_once(':').map_or(h, |(name, _)| name));
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

async fn talk(mut socket: WebSocket, shared: Shared) {
    let Shared { hello, messages, page } = shared;
    let mut backlog = Backlog { messages: messages.subscribe(), page, left: false };
    drop(messages);
    let mut text = hello;
    while socket.send(Message::Text(text)).await.is_ok() {
        text = tokio::select! {
            message = backlog.messages.recv() => match message {
                Ok(Some(text)) => text,
                Ok(None) => {
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
                Err(broadcast::error::RecvError::Lagged(n)) => {
                    tracing::warn!("a websocket client missed {n} messages");
                    backlog.page.add(Cause::Missed, n);
                    format!("{{\"missed\":{n}}}").into()
                }
                Err(broadcast::error::RecvError::Closed) => return,
            },
            // What a client sends is not looked at, but its leaving is.
            () = leaving(&mut socket) => break,
        };
    }
    backlog.left = true;
}

/// Comes back when the client has left.
async fn leaving(socket: &mut WebSocket) {
    while let Some(Ok(_)) = socket.recv().await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink on a port of its own, and what it is given.
    fn free_port() -> (Box<dyn Sink>, SocketAddr, Spec) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap();
        let sink =
            crate::kind::Settings::build(Settings { listen, pictures: Format::Png }).unwrap();
        let classes = vec!["left".to_owned(), "right".to_owned()];
        let payload = crate::frame::Payload::Scores;
        (sink, listen, Spec { payload, rows: 1, cols: 2, classes, ..Spec::markers() })
    }

    #[test]
    fn the_last_decisions_are_heard() {
        let (mut sink, listen, spec) = free_port();
        sink.open(std::slice::from_ref(&spec), &RunFacts::default()).unwrap();
        let (mut client, _) = tungstenite::connect(format!("ws://{listen}/")).unwrap();
        // The hello comes after the subscription, so nothing is missed from here on.
        client.read().unwrap();
        let mut delivery = Delivery::with_room(&spec, 0);
        delivery.frame.resize(1, 2);
        for i in 0..500 {
            delivery.frame.span.last = i;
            sink.write(&delivery).unwrap();
        }
        sink.close().unwrap();
        for i in 0..500 {
            let text = client.read().unwrap().into_text().unwrap();
            assert!(text.contains(&format!("\"last_sample\":{i},")), "{i}: {text}");
        }
        assert!(client.read().unwrap().is_close());
    }

    #[test]
    fn what_a_slow_client_misses_is_counted() {
        const SENT: u64 = 100_000;
        let (mut sink, listen, spec) = free_port();
        let page = Counters::new("websocket");
        let run = RunFacts { page: page.clone(), ..RunFacts::default() };
        sink.open(std::slice::from_ref(&spec), &run).unwrap();
        let (mut client, _) = tungstenite::connect(format!("ws://{listen}/")).unwrap();
        client.read().unwrap();
        let mut delivery = Delivery::with_room(&spec, 0);
        delivery.frame.resize(1, 2);
        (0..SENT).for_each(|_| sink.write(&delivery).unwrap());
        let client = std::thread::spawn(move || {
            let texts = std::iter::from_fn(|| client.read().ok()?.into_text().ok());
            texts.filter(|text| text.contains("label")).count() as u64
        });
        sink.close().unwrap();
        let (heard, missed) = (client.join().unwrap(), page.get(Cause::Missed));
        assert_eq!(heard + missed, SENT);
        assert!(missed > 0 && heard > 0, "{heard} {missed}");
    }

    #[test]
    fn a_client_gets_pictures_with_their_age() {
        use base64::Engine as _;
        let (mut sink, listen, _) = free_port();
        let colours = ["red", "green", "blue"].map(crate::frame::Channel::named).to_vec();
        let payload = crate::frame::Payload::Image;
        let spec = Spec { payload, rows: 2, cols: 6, channels: colours, ..Spec::markers() };
        let run = RunFacts { stages: vec!["onnx".into()], ..RunFacts::default() };
        sink.open(std::slice::from_ref(&spec), &run).unwrap();
        let (mut client, _) = tungstenite::connect(format!("ws://{listen}/")).unwrap();
        let mut next = || -> serde_json::Value {
            serde_json::from_str(&client.read().unwrap().into_text().unwrap()).unwrap()
        };
        assert_eq!(next()["inputs"][0]["width"], 2);
        let mut delivery = Delivery::with_room(&spec, 1);
        delivery.frame.resize(2, 6);
        let pixels: Vec<u8> = (0..12).map(|i| 20 * i).collect();
        let data = pixels.iter().map(|v| f64::from(*v) / 255.0);
        delivery.frame.data.iter_mut().zip(data).for_each(|(to, v)| *to = v);
        (delivery.emitted_s, delivery.frame.span.last_s, delivery.stage_ns[0]) = (5.0, 4.5, 7000);
        sink.write(&delivery).unwrap();
        let message = next();
        assert_eq!(
            (&message["age_newest_ms"], &message["stages_us"]["onnx"]),
            (&500.0.into(), &7.0.into())
        );
        assert!(message.get("label").is_none() && message["image"]["format"] == "png");
        let file = message["image"]["data"].as_str().unwrap();
        let file = base64::engine::general_purpose::STANDARD.decode(file).unwrap();
        let got = image::load_from_memory(&file).unwrap();
        assert_eq!((got.width(), got.height(), got.into_rgb8().into_raw()), (2, 2, pixels));
        sink.close().unwrap();
    }

    #[test]
    fn pages_from_elsewhere_are_kept_out() {
        let from = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            is_from_this_machine(&headers)
        };
        assert!(is_from_this_machine(&HeaderMap::new()));
        assert!(
            from("http://localhost:5173") && from("http://127.0.0.1") && from("http://[::1]:80")
        );
        assert!(
            !from("http://evil.example") && !from("null") && !from("http://localhost.evil.example")
        );
    }
}

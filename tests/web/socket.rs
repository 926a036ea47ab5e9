//! A WebSocket's other side.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error, Message};

pub(crate) struct Socket {
    inner: WebSocketStream<TcpStream>,
}

impl Socket {
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Self {
        Self::try_open(address, query, &[]).await.expect("an open socket")
    }

    /// With these headers; the status, when it is refused.
    pub(crate) async fn try_open(
        address: SocketAddr,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, StatusCode> {
        let mut request = format!("ws://{address}/api/killfeed/ws{query}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((inner, _)) => Ok(Self { inner }),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.inner.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message that is no ping, which is answered; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        match self.message().await? {
            Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
            Message::Close(_) => None,
            other => panic!("{other:?}"),
        }
    }

    /// The same, as it is.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let next = async {
            loop {
                match self.inner.next().await {
                    Some(Ok(Message::Ping(_))) => {}
                    other => return other.and_then(Result::ok),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(100), next).await.expect("a message or the end")
    }

    /// Says what it wants, and waits until it is done; answers what is followed then.
    pub(crate) async fn ask(&mut self, wish: Value) -> Value {
        self.send(wish.to_string()).await;
        loop {
            let answer = self.next().await.expect("an answer");
            if answer["event"] != "killmail" {
                assert_eq!(answer["event"], "subscribed", "{answer}");
                return answer["topics"].clone();
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, topics: &[&str]) -> Value {
        self.ask(json!({"subscribe": topics})).await
    }

    /// Ids and topics of the next `count` events.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<(i64, String)> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            let event = self.next().await.expect("the socket stays");
            assert_eq!(event["event"], "killmail", "{event}");
            assert_eq!(event["system_id"], event["killmail"]["solar_system_id"]);
            events.push((event["event_id"].as_i64().unwrap(), event["topic"].as_str().unwrap().to_owned()));
        }
        events
    }

    pub(crate) async fn ids(&mut self, count: usize) -> Vec<i64> {
        self.events(count).await.into_iter().map(|(id, _)| id).collect()
    }

    /// The socket below: what it sends is neither read nor answered any more.
    pub(crate) fn into_inner(self) -> TcpStream {
        self.inner.into_inner()
    }
}

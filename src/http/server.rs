//! Connections and tasks: their bounds, and their end.
//!
//! HTTP/1.1 only: behind it every connection is one task, owned here. A head that does not arrive, or an idle connection, is closed after
//! [`HEAD_MAX`], and one that takes nothing of what it asked for after a minute; beyond [`CONNECTIONS_MAX`] connections new ones wait in the system's queue.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::killfeed::{Collection, Peer};
use super::patience::Patient;
use super::{State, Waiting, router, waiting};
use crate::telemetry;

const CONNECTIONS_MAX: usize = 8192;
const HEAD_MAX: Duration = Duration::from_secs(30);
/// How long answers under way have after `shutdown`.
const GRACE: Duration = Duration::from_secs(5);
/// The same before the database was open: every answer is short, and the worker is to start.
const GRACE_WAITING: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, then lets what is under way finish for a few seconds. Live streams end at once.
///
/// Runs what the routes need too: the tail of the killfeed, the collection of its log, the history of the pipelines, the upkeep of the metrics. When it returns, nothing of it is left running;
/// dropping it ends everything as well.
pub async fn serve(listener: TcpListener, state: State, shutdown: CancellationToken) {
    let mut background = JoinSet::new();
    background.spawn(telemetry::upkeep(state.metrics.clone(), shutdown.clone()));
    background.spawn(state.history.clone().run(state.pipelines.clone(), shutdown.clone()));
    background.spawn(state.tail.clone().run(state.hub.clone(), shutdown.clone()));
    let collection = Collection { store: state.store.clone(), settings: state.killfeed, limits: state.limits.clone() };
    background.spawn(collection.run(shutdown.clone()));
    let streams = state.streams.clone();
    // Sockets are no part of their connections' tasks: they end with this, however this ends.
    let closing = streams.closing();
    let connections = connections(&listener, router(state), &shutdown).await;
    drop(listener);
    drop(closing);
    finish(connections, GRACE).await;
    let _ = tokio::time::timeout(GRACE, streams.left()).await;
    background.shutdown().await;
}

/// Answers what can be answered while the worker waits for something (see [`Waiting`]), until `over`. The listener stays: who connects
/// after that is answered by [`serve`].
pub async fn serve_waiting(
    listener: &TcpListener,
    waiting: Waiting,
    metrics: PrometheusHandle,
    over: CancellationToken,
) {
    let connections = connections(listener, waiting::router(waiting, metrics), &over).await;
    finish(connections, GRACE_WAITING).await;
}

/// Serves each connection that comes, until `shutdown`; those that are left then are being ended.
async fn connections(listener: &TcpListener, router: Router, shutdown: &CancellationToken) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    while let Some((stream, peer)) = accept(listener, &mut connections, shutdown).await {
        let service = TowerToHyperService::new(Named { inner: router.clone(), peer });
        connections.spawn(connection(stream, service, shutdown.clone()));
    }
    connections
}

async fn finish(mut connections: JoinSet<()>, grace: Duration) {
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::info!(connections = connections.len(), "cut connections that did not end");
    }
    connections.shutdown().await;
}

/// The next connection; `None` when it is time to stop.
async fn accept(
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, Peer)> {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, address)) => return Some((stream, Peer::new(address.ip()))),
                Err(error) => {
                    // Out of file descriptors, most likely: no use in trying again at once.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
        }
    }
}

/// The routes, with each request told who is at the other end.
#[derive(Debug, Clone)]
struct Named {
    inner: Router,
    peer: Peer,
}

impl<B> Service<Request<B>> for Named
where
    Router: Service<Request<B>>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.inner.call(request)
    }
}

async fn connection(stream: TcpStream, service: TowerToHyperService<Named>, shutdown: CancellationToken) {
    // Events are small and should leave at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set nodelay");
    }
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut serving = pin!(builder.serve_connection_with_upgrades(TokioIo::new(Patient::new(stream)), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

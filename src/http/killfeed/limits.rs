//! How much one address may ask of the killfeed. This machine's own programs are trusted with more.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::super::error::ApiError;

/// Live streams and sockets of this machine itself.
const STREAMS_HERE: usize = 5_000;
const POLLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("above 0");
const POLLS_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("above 0");
/// A place becomes free when somebody leaves: nobody knows when.
const STREAMS_AGAIN: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::http) struct Peer(IpAddr);

impl Peer {
    /// Of IPv6 the network: a host has many addresses in it.
    pub(in crate::http) fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }

    fn is_here(self) -> bool {
        self.0.is_loopback()
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    /// As the connection has it: without a connection, it is this process that asks.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(Ipv6Addr::LOCALHOST.into())))
    }
}

/// Who has how many streams, and polls how often.
#[derive(Debug)]
pub(in crate::http) struct Limits {
    streams_max: usize,
    streams: Mutex<HashMap<Peer, usize>>,
    polls: RateLimiter<Peer, HashMapStateStore<Peer>, DefaultClock>,
}

impl Limits {
    pub(in crate::http) fn new(streams_max: usize) -> Self {
        let quota = Quota::per_second(POLLS_PER_SECOND).allow_burst(POLLS_AT_ONCE);
        Self { streams_max, streams: Mutex::default(), polls: RateLimiter::hashmap(quota) }
    }

    /// A place for a live stream or socket of this address, which is free again when it is dropped.
    pub(in crate::http) fn stream(self: &Arc<Self>, peer: Peer) -> Result<Stream, ApiError> {
        let most = if peer.is_here() { STREAMS_HERE } else { self.streams_max };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.get(&peer).copied().unwrap_or(0);
        if open >= most {
            metrics::counter!("broadside_stream_refused_total").increment(1);
            let message = format!("{open} live streams of this address are open, which is all it may have");
            return Err(ApiError::too_many(message, STREAMS_AGAIN));
        }
        streams.insert(peer, open + 1);
        Ok(Stream { of: self.clone(), peer })
    }

    /// Counts a poll of this address.
    pub(in crate::http) fn poll(&self, peer: Peer) -> Result<(), ApiError> {
        if peer.is_here() {
            return Ok(());
        }
        self.polls.check_key(&peer).map_err(|refused| {
            let wait = refused.wait_time_from(self.polls.clock().now());
            ApiError::too_many(format!("this address may poll {POLLS_PER_SECOND} times a second"), wait)
        })
    }

    /// Forgets the addresses that have not polled for a while.
    pub(in crate::http) fn tidy(&self) {
        self.polls.retain_recent();
    }
}

/// The place of a live stream or socket.
#[derive(Debug)]
pub(in crate::http) struct Stream {
    of: Arc<Limits>,
    peer: Peer,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut streams = self.of.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.peer) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse().expect("an address"))
    }

    #[test]
    fn an_address_has_so_many_streams_and_gets_a_place_back() {
        let limits = Arc::new(Limits::new(2));
        let one = limits.stream(peer("192.0.2.1")).expect("free");
        let _two = limits.stream(peer("::ffff:192.0.2.1")).expect("free");
        assert!(limits.stream(peer("192.0.2.1")).is_err());
        let _other = limits.stream(peer("192.0.2.2")).expect("free");
        drop(one);
        let _again = limits.stream(peer("192.0.2.1")).expect("free");
        let here: Vec<_> = (0..100).map(|_| limits.stream(peer("127.0.0.1")).expect("free")).collect();
        drop(here);
        assert_eq!(limits.streams.lock().expect("sound").len(), 2, "nothing is kept of who has left");
    }

    #[test]
    fn an_address_polls_so_often_and_this_machine_as_it_likes() {
        let limits = Limits::new(1);
        let polls = |address| (0..200).filter(|_| limits.poll(peer(address)).is_ok()).count();
        // A few more may fit into the time that this takes.
        assert!((100..120).contains(&polls("192.0.2.1")));
        assert!((100..120).contains(&polls("2001:db8::1")));
        assert!(polls("2001:db8::2") < 20, "it is the same network");
        assert_eq!((polls("127.0.0.1"), polls("::1")), (200, 200));
    }
}

//! Open and closed batches of one batcher.
//!
//! A batch is open while it may grow, closed once it only waits for a sink worker. An open batch is identified by its key and
//! partition. All batches have the same timeout, so the order of opening is the order of deadlines.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Trigger;
use crate::message::BatchKey;

/// When batches close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) size: usize,
    pub(crate) bytes: Option<usize>,
    pub(crate) timeout: Duration,
    pub(crate) eager: bool,
}

/// Which batch a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) key: BatchKey,
    pub(crate) partition: Option<u64>,
}

#[derive(Debug)]
struct Open<M> {
    serial: u64,
    messages: Vec<M>,
    bytes: usize,
    flush: bool,
}

impl<M> Open<M> {
    /// Which of these rules says that nothing more may be added.
    fn full(&self, rules: Rules) -> Option<Trigger> {
        match rules.bytes {
            _ if self.messages.len() >= rules.size => Some(Trigger::Size),
            Some(ceiling) if self.bytes >= ceiling => Some(Trigger::Bytes),
            _ => None,
        }
    }
}

/// A batch that waits for a sink worker.
#[derive(Debug)]
pub(crate) struct Closed<M> {
    pub(crate) id: Id,
    pub(crate) trigger: Trigger,
    pub(crate) messages: Vec<M>,
}

/// The batches of one batcher.
#[derive(Debug)]
pub(crate) struct Accumulator<M> {
    rules: Rules,
    /// The open batch that got the last message, kept out of the map: runs of one key are the rule.
    current: Option<(Id, Open<M>)>,
    open: HashMap<Id, Open<M>>,
    /// Opening order; entries whose serial is gone are stale.
    opened: VecDeque<(Instant, Id, u64)>,
    closed: VecDeque<Closed<M>>,
    serial: u64,
    len: usize,
}

impl<M> Accumulator<M> {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            current: None,
            open: HashMap::new(),
            opened: VecDeque::new(),
            closed: VecDeque::new(),
            serial: 0,
            len: 0,
        }
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    /// Changes the rules, between two deliveries. They hold for what waits too: open batches that are full now are closed, as large as they were allowed to
    /// be, and closed ones are made as large as they may be now.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        let before = std::mem::replace(&mut self.rules, rules);
        if rules.size != before.size && rules.bytes.is_none() {
            self.regroup_closed();
        }
        if rules.bytes.is_some() && before.bytes.is_none() {
            // how many bytes they hold, nobody has counted
            return self.close_all(Trigger::Bytes);
        }
        self.set_current_aside();
        self.tidy();
        let opened = std::mem::take(&mut self.opened);
        for (at, id, serial) in opened {
            let full = self.open.get(&id).filter(|open| open.serial == serial).and_then(|open| open.full(rules));
            match full {
                Some(trigger) => {
                    let messages = self.open.remove(&id).map(|open| open.messages).unwrap_or_default();
                    self.closed.push_back(Closed { id, trigger, messages });
                }
                None => self.opened.push_back((at, id, serial)),
            }
        }
    }

    /// Fills closed batches with those of the same id behind them, and splits those that are too large. Each id keeps its order, and what was flushed stays as it is.
    fn regroup_closed(&mut self) {
        let mut last: HashMap<Id, usize> = HashMap::new();
        let mut regrouped: VecDeque<Closed<M>> = VecDeque::new();
        for Closed { id, trigger, messages } in std::mem::take(&mut self.closed) {
            if matches!(trigger, Trigger::Flush | Trigger::Drain) {
                last.remove(&id);
                regrouped.push_back(Closed { id, trigger, messages });
                continue;
            }
            for message in messages {
                let open = last.get(&id).copied().filter(|at| regrouped[*at].messages.len() < self.rules.size);
                let at = open.unwrap_or_else(|| {
                    regrouped.push_back(Closed { id, trigger, messages: Vec::new() });
                    last.insert(id, regrouped.len() - 1);
                    regrouped.len() - 1
                });
                regrouped[at].messages.push(message);
            }
        }
        self.closed = regrouped;
    }

    /// Messages in open and closed batches.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a message of `bytes` size. `flush` closes its batch at the end of this run of one id, or of the delivery.
    pub(crate) fn push(&mut self, id: Id, message: M, bytes: usize, flush: bool, now: Instant) {
        if self.current.as_ref().is_none_or(|(current, _)| *current != id) {
            self.set_current_aside();
            self.current = self.open.remove(&id).map(|open| (id, open));
        }
        if let (Some(ceiling), Some((_, open))) = (self.rules.bytes, &self.current)
            && open.bytes + bytes > ceiling
        {
            self.close_current(Trigger::Bytes);
        }
        let (serial, size) = (&mut self.serial, self.rules.size);
        let (_, open) = self.current.get_or_insert_with(|| {
            *serial += 1;
            self.opened.push_back((now, id, *serial));
            (id, Open { serial: *serial, messages: Vec::with_capacity(size.min(128)), bytes: 0, flush: false })
        });
        open.messages.push(message);
        open.bytes += bytes;
        open.flush |= flush;
        let full = open.messages.len() >= size;
        self.len += 1;
        if full {
            self.close_current(Trigger::Size);
        }
    }

    /// The end of a delivery: batches that a message in flush mode marked are closed.
    pub(crate) fn end_delivery(&mut self) {
        self.set_current_aside();
    }

    fn set_current_aside(&mut self) {
        if let Some((id, open)) = self.current.take() {
            if open.flush {
                self.closed.push_back(Closed { id, trigger: Trigger::Flush, messages: open.messages });
            } else {
                self.open.insert(id, open);
            }
        }
    }

    fn close_current(&mut self, trigger: Trigger) {
        if let Some((id, open)) = self.current.take() {
            self.closed.push_back(Closed { id, trigger, messages: open.messages });
        }
    }

    fn is_open(&self, id: &Id, serial: u64) -> bool {
        let open = self.current.as_ref().filter(|(current, _)| current == id).map(|(_, open)| open);
        open.or_else(|| self.open.get(id)).is_some_and(|open| open.serial == serial)
    }

    fn remove(&mut self, id: &Id) -> Option<Open<M>> {
        match self.current.take() {
            Some((current, open)) if current == *id => Some(open),
            other => {
                self.current = other;
                self.open.remove(id)
            }
        }
    }

    /// Forgets stale entries at the front, and all of them when they outnumber the open batches.
    fn tidy(&mut self) {
        while let Some((_, id, serial)) = self.opened.front() {
            if self.is_open(id, *serial) {
                break;
            }
            self.opened.pop_front();
        }
        if self.opened.len() > 64 + 2 * self.open.len() {
            let opened = std::mem::take(&mut self.opened);
            self.opened = opened.into_iter().filter(|(_, id, serial)| self.is_open(id, *serial)).collect();
        }
    }

    /// When the oldest open batch times out.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        self.tidy();
        self.opened.front().map(|(at, ..)| *at + self.rules.timeout)
    }

    /// Closes every open batch that is `batch_timeout` old.
    pub(crate) fn close_due(&mut self, now: Instant) {
        while self.deadline().is_some_and(|at| at <= now) {
            self.close_oldest(Trigger::Timeout);
        }
    }

    /// Closes the oldest open batch.
    pub(crate) fn close_oldest(&mut self, trigger: Trigger) {
        self.tidy();
        if let Some((_, id, _)) = self.opened.pop_front()
            && let Some(open) = self.remove(&id)
        {
            self.closed.push_back(Closed { id, trigger, messages: open.messages });
        }
    }

    /// Closes everything, oldest first.
    pub(crate) fn close_all(&mut self, trigger: Trigger) {
        while self.deadline().is_some() {
            self.close_oldest(trigger);
        }
    }

    /// Whether [`take`](Self::take) would give a batch.
    pub(crate) fn has_batch(&mut self, busy: impl Fn(u64) -> bool) -> bool {
        let free = |id: &Id| id.partition.is_none_or(|p| !busy(p));
        if self.closed.iter().any(|closed| free(&closed.id)) {
            return true;
        }
        self.tidy();
        self.rules.eager && self.opened.iter().any(|(_, id, serial)| free(id) && self.is_open(id, *serial))
    }

    /// Whether no batch waits closed.
    pub(crate) fn has_no_closed(&self) -> bool {
        self.closed.is_empty()
    }

    /// The batch to deliver next to an idle sink worker: the oldest closed one whose partition is not `busy`;
    /// for eager batchers else the oldest open one.
    pub(crate) fn take(&mut self, busy: impl Fn(u64) -> bool) -> Option<Closed<M>> {
        let free = |id: &Id| id.partition.is_none_or(|p| !busy(p));
        if let Some(at) = self.closed.iter().position(|closed| free(&closed.id)) {
            let closed = self.closed.remove(at)?;
            self.len -= closed.messages.len();
            return Some(closed);
        }
        if !self.rules.eager {
            return None;
        }
        self.tidy();
        let at = self.opened.iter().position(|(_, id, serial)| free(id) && self.is_open(id, *serial))?;
        let (_, id, _) = self.opened.remove(at)?;
        let open = self.remove(&id)?;
        self.len -= open.messages.len();
        Some(Closed { id, trigger: Trigger::Eager, messages: open.messages })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(size: usize) -> Rules {
        Rules { size, bytes: None, timeout: Duration::from_millis(200), eager: false }
    }

    fn id(key: u64) -> Id {
        Id { key: BatchKey(key), partition: None }
    }

    fn idle(_: u64) -> bool {
        false
    }

    #[test]
    fn the_timeout_counts_from_the_first_message() {
        let start = Instant::now();
        let mut batches = Accumulator::new(rules(10));
        batches.push(id(0), 'a', 0, false, start);
        batches.push(id(0), 'b', 0, false, start + Duration::from_millis(150));
        batches.close_due(start + Duration::from_millis(199));
        assert!(batches.take(idle).is_none());
        batches.close_due(start + Duration::from_millis(200));
        let batch = batches.take(idle).unwrap();
        assert_eq!((batch.trigger, batch.messages), (Trigger::Timeout, vec!['a', 'b']));
    }

    #[test]
    fn batches_that_wait_closed_become_as_large_as_they_may_be() {
        let mut batches = Accumulator::new(rules(2));
        for n in 0..9 {
            batches.push(id(n % 2), n, 0, n == 7, Instant::now());
        }
        batches.end_delivery();
        let sizes = |batches: &Accumulator<u64>| batches.closed.iter().map(|c| c.messages.clone()).collect::<Vec<_>>();
        assert_eq!(sizes(&batches), [vec![0, 2], vec![1, 3], vec![4, 6], vec![5, 7]]);
        batches.set_rules(rules(3));
        assert_eq!(sizes(&batches), [vec![0, 2, 4], vec![1, 3, 5], vec![6], vec![7]]);
        batches.set_rules(rules(1));
        assert_eq!(sizes(&batches), [[0], [2], [4], [1], [3], [5], [6], [7], [8]], "the open one is full, too");
        assert_eq!(batches.len(), 9);
    }

    #[test]
    fn bytes_are_a_ceiling_that_the_next_message_does_not_break() {
        let mut batches = Accumulator::new(Rules { bytes: Some(10), ..rules(100) });
        for (message, bytes) in [('a', 6), ('b', 4), ('c', 1), ('d', 99), ('e', 1)] {
            batches.push(id(0), message, bytes, false, Instant::now());
        }
        batches.close_all(Trigger::Drain);
        let mut out = Vec::new();
        while let Some(batch) = batches.take(idle) {
            out.push((batch.trigger, batch.messages));
        }
        let bytes = Trigger::Bytes;
        assert_eq!(out, [(bytes, vec!['a', 'b']), (bytes, vec!['c']), (bytes, vec!['d']), (Trigger::Drain, vec!['e'])]);
    }

    #[test]
    fn flush_closes_at_the_end_of_the_run_and_size_wins_over_it() {
        let now = Instant::now();
        let mut batches = Accumulator::new(rules(3));
        batches.push(id(1), 'a', 0, true, now);
        batches.push(id(1), 'b', 0, false, now);
        batches.push(id(2), 'c', 0, false, now);
        let flushed = batches.take(idle).unwrap();
        assert_eq!((flushed.trigger, flushed.messages), (Trigger::Flush, vec!['a', 'b']));
        batches.push(id(2), 'd', 0, true, now);
        batches.push(id(2), 'e', 0, false, now);
        assert_eq!(batches.take(idle).unwrap().trigger, Trigger::Size);
        batches.end_delivery();
        assert_eq!(batches.len(), 0);
    }

    proptest! {
        #[test]
        fn every_message_leaves_once_in_the_order_of_its_batch(
            pushes in proptest::collection::vec((0_u64..4, any::<bool>(), 0_u64..90), 1..300),
            size in 1_usize..7,
            eager in any::<bool>(),
        ) {
            let mut batches = Accumulator::new(Rules { eager, ..rules(size) });
            let mut now = Instant::now();
            let mut out: HashMap<u64, Vec<usize>> = HashMap::new();
            let mut left = 0;
            for (n, (key, flush, wait)) in pushes.iter().enumerate() {
                now += Duration::from_millis(*wait);
                batches.push(id(*key), n, 0, *flush, now);
                left += 1;
                if n % 3 == 0 {
                    batches.end_delivery();
                    batches.close_due(now);
                }
                if n % 5 == 0 && let Some(batch) = batches.take(idle) {
                    prop_assert!(batch.messages.len() <= size && !batch.messages.is_empty());
                    left -= batch.messages.len();
                    out.entry(batch.id.key.0).or_default().extend(batch.messages);
                }
                prop_assert_eq!(batches.len(), left);
            }
            batches.close_all(Trigger::Drain);
            while let Some(batch) = batches.take(idle) {
                out.entry(batch.id.key.0).or_default().extend(batch.messages);
            }
            prop_assert_eq!(batches.len(), 0);
            for (key, messages) in out {
                let expected: Vec<usize> =
                    pushes.iter().enumerate().filter(|(_, p)| p.0 == key).map(|(n, _)| n).collect();
                prop_assert_eq!(messages, expected);
            }
        }
    }
}

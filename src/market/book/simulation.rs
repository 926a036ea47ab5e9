//! Books in a made-up world: orders come, change, move and go from window to window, and pages are read from one or the other of two snapshots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::market::{Cents, Range};

/// Orders on a page.
const PAGE: usize = 3;

fn order(order_id: i64, version: i64) -> Order {
    Order {
        order_id,
        type_id: 34,
        location_id: 60_003_760,
        system_id: 30_000_142,
        volume_total: 1_000,
        volume_remain: 1_000 - version,
        min_volume: 1,
        price: Cents(100),
        is_buy_order: false,
        duration: 90,
        issued: Timestamp::UNIX_EPOCH,
        range: Range::Region,
    }
}

/// One thing that happens to a book between two windows; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Event {
    Come(usize),
    Change(usize),
    Go(usize),
    /// Swaps with its neighbour.
    Move(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_usize..20).prop_map(Event::Come),
        (0_usize..20).prop_map(Event::Change),
        (0_usize..20).prop_map(Event::Go),
        (0_usize..20).prop_map(Event::Move),
    ]
}

/// What happens before a sweep, how far each page lags behind, and in which order the pages are stored.
#[derive(Debug, Clone)]
struct Window {
    events: Vec<Event>,
    lags: Vec<bool>,
    turns: Vec<usize>,
    /// Pages of which no answer comes.
    lost: Vec<usize>,
}

fn window(drift: bool, losses: bool) -> impl Strategy<Value = Window> {
    let lags = prop::collection::vec(if drift { any::<bool>().boxed() } else { Just(false).boxed() }, 8);
    let lost = prop::collection::vec(0_usize..8, 0..=usize::from(losses));
    (prop::collection::vec(event(), 0..4), lags, prop::collection::vec(0_usize..8, 8), lost)
        .prop_map(|(events, lags, turns, lost)| Window { events, lags, turns, lost })
}

/// The game, the store, and the book between them.
struct World {
    snapshots: Vec<Vec<Order>>,
    next_id: i64,
    book: Book,
    /// Open orders as stored.
    stored: BTreeMap<i64, Order>,
    /// Orders that were closed in the last sweep.
    closed: Vec<i64>,
    quality: Quality,
    writes: usize,
}

impl World {
    fn new() -> Self {
        let mut book = Book::default();
        book.load(&[], []);
        let first: Vec<Order> = (1..=7).map(|id| order(id, 0)).collect();
        Self {
            snapshots: vec![first.clone(), first],
            next_id: 8,
            book,
            stored: BTreeMap::new(),
            closed: Vec::new(),
            quality: Quality::Incomplete,
            writes: 0,
        }
    }

    fn now(&self) -> &[Order] {
        self.snapshots.last().expect("there is a first one")
    }

    fn happen(&mut self, events: &[Event]) {
        let mut orders = self.now().to_vec();
        for event in events {
            let place = |at: usize| at % orders.len().max(1);
            match *event {
                Event::Come(at) => {
                    orders.insert(place(at), order(self.next_id, 0));
                    self.next_id += 1;
                }
                Event::Go(at) if !orders.is_empty() => drop(orders.remove(place(at))),
                Event::Change(at) if !orders.is_empty() => {
                    let at = place(at);
                    orders[at].volume_remain -= 1;
                }
                Event::Move(at) if orders.len() > 1 => {
                    let at = at % (orders.len() - 1);
                    orders.swap(at, at + 1);
                }
                _ => {}
            }
        }
        self.snapshots.push(orders);
    }

    /// A page as a server shows it that lags behind by one snapshot or not; `None`: there is no such page.
    fn page(&self, number: usize, lag: bool) -> (Option<Vec<Order>>, u32, i64) {
        let window = self.snapshots.len() - 1 - usize::from(lag);
        let orders = &self.snapshots[window];
        let pages = orders.len().div_ceil(PAGE).max(1);
        let page = (number <= pages).then(|| orders.chunks(PAGE).nth(number - 1).unwrap_or_default().to_vec());
        (page, pages as u32, window as i64 * 300)
    }

    fn sweep(&mut self, window: &Window) {
        let sweep = self.book.sweep() + 1;
        self.book.begin(sweep);
        let known = self.book.tags();
        let lag = |number: usize| window.lags[(number - 1) % window.lags.len()];
        let (_, pages, _) = self.page(1, lag(1));
        let mut read = Vec::new();
        let mut is_whole = true;
        for number in 1..=pages {
            let lost = window.lost.contains(&(number as usize));
            match self.page(number as usize, lag(number as usize)) {
                (Some(orders), count, made) if !lost => {
                    is_whole &= count == pages;
                    let etag = Some(format!("{orders:?}"));
                    let last_modified = Timestamp::from_second(made).ok();
                    let tag = Tag { etag: etag.clone(), last_modified, expires_at: Timestamp::UNIX_EPOCH };
                    let is_same = known.get(&number).is_some_and(|known| known.etag == etag);
                    read.push((number, tag, orders, is_same));
                }
                _ => is_whole = false,
            }
        }
        let is_complete = read.len() == pages as usize;
        let one = read.iter().all(|(_, tag, ..)| tag.last_modified == read[0].1.last_modified);
        let same = read.iter().all(|(.., is_same)| *is_same) && known.len() == pages as usize;
        read.sort_by_key(|(number, ..)| window.turns[(*number as usize - 1) % window.turns.len()]);
        read.chunks(2).for_each(|pages| self.store(pages));
        let quality = match (is_complete, (is_whole && one) || same) {
            (false, _) => Quality::Incomplete,
            (true, true) => Quality::Whole,
            (true, false) => Quality::Mixed,
        };
        self.end(pages, quality);
    }

    fn store(&mut self, pages: &[(u32, Tag, Vec<Order>, bool)]) {
        let decoded: Vec<_> =
            pages.iter().map(|(_, _, orders, _)| Decoded { orders: orders.clone(), ..Decoded::default() }).collect();
        let both = || pages.iter().zip(&decoded);
        let sheets: Vec<Sheet<'_>> = both()
            .filter(|((.., is_same), _)| !is_same)
            .map(|((number, tag, ..), decoded)| Sheet { number: *number, tag, decoded })
            .collect();
        let picked = self.book.pick(&sheets);
        for order in &picked.writes {
            self.writes += 1;
            self.stored.insert(order.order_id, (*order).clone());
        }
        self.book.stored(&sheets, &picked, &[]);
        for (number, tag, _, _) in pages.iter().filter(|(.., is_same)| *is_same) {
            assert!(self.book.unchanged(*number, tag));
        }
    }

    fn end(&mut self, pages: u32, quality: Quality) {
        let now = Timestamp::from_second(self.snapshots.len() as i64 * 300).expect("in range");
        let ending = Ending { name: None, pages, started_at: now, swept_at: now, not_before: now, quality };
        let reckoning = self.book.reckon(&ending);
        self.closed = reckoning.gone.iter().map(|(id, _)| *id).collect();
        for (id, _) in &reckoning.gone {
            assert!(self.stored.remove(id).is_some(), "{id} was open");
        }
        assert_eq!(reckoning.open, self.stored.len());
        self.quality = reckoning.quality;
        self.book.ended(&reckoning, &ending);
    }

    /// Nothing happens for so many windows.
    fn rest(&mut self, windows: usize, like: &Window) {
        for _ in 0..windows {
            self.happen(&[]);
            self.sweep(&Window { events: Vec::new(), lost: Vec::new(), ..like.clone() });
        }
    }

    fn assert_in_step(&self) {
        let truth: BTreeMap<i64, Order> = self.now().iter().map(|order| (order.order_id, order.clone())).collect();
        assert_eq!(self.stored, truth);
    }
}

proptest! {
    #[test]
    fn without_drift_the_store_has_every_order_after_each_sweep_and_what_is_gone_goes_with_the_second(
        windows in prop::collection::vec(window(false, false), 1..12),
    ) {
        let mut world = World::new();
        for window in &windows {
            world.happen(&window.events);
            world.sweep(window);
            prop_assert_eq!(world.quality, Quality::Whole);
            for order in world.now() {
                prop_assert_eq!(world.stored.get(&order.order_id), Some(order));
            }
            let before: Vec<i64> = world.snapshots[world.snapshots.len() - 2].iter().map(|order| order.order_id).collect();
            prop_assert!(world.closed.iter().all(|id| !before.contains(id)), "closed too early");
        }
        world.rest(1, &windows[0]);
        world.assert_in_step();
    }

    #[test]
    fn whatever_was_mixed_and_lost_the_store_is_in_step_once_the_book_has_rested(
        windows in prop::collection::vec(window(true, true), 1..12),
        drift_goes_on in any::<bool>(),
    ) {
        let mut world = World::new();
        for window in &windows {
            world.happen(&window.events);
            world.sweep(window);
        }
        // Pages that lag catch up in the first; then two whole sweeps close what is gone; a page in doubt is read once more in between.
        let lags = if drift_goes_on { windows[0].lags.clone() } else { vec![false; 8] };
        world.rest(6, &Window { lags, ..windows[0].clone() });
        world.assert_in_step();
    }

    #[test]
    fn what_has_not_changed_is_not_written_again(windows in prop::collection::vec(window(false, false), 1..8)) {
        let mut world = World::new();
        let mut different = 0;
        for window in &windows {
            let before: BTreeMap<i64, Order> = world.stored.clone();
            world.happen(&window.events);
            different += world.now().iter().filter(|order| before.get(&order.order_id) != Some(order)).count();
            world.sweep(window);
        }
        prop_assert_eq!(world.writes, different);
    }

    #[test]
    fn an_order_that_is_there_all_the_time_is_not_closed_unless_it_slips_through_four_sweeps(
        windows in prop::collection::vec(window(true, true), 1..12),
    ) {
        let mut world = World::new();
        let mut unseen: BTreeMap<i64, u32> = BTreeMap::new();
        for window in &windows {
            world.happen(&window.events);
            let before: Vec<i64> = world.stored.keys().copied().collect();
            world.sweep(window);
            let there = |id: &i64| world.snapshots.iter().rev().take(2).all(|orders| orders.iter().any(|order| order.order_id == *id));
            for id in before {
                let entry = world.book.orders.get(&id).copied();
                let is_seen = entry.is_some_and(|entry| entry.sweep == world.book.sweep as u32);
                let misses = unseen.entry(id).or_default();
                *misses = if is_seen { 0 } else { *misses + 1 };
                if world.closed.contains(&id) && there(&id) {
                    prop_assert!(*misses >= u32::from(WHOLE_MISSES), "{} was closed after {}", id, misses);
                }
            }
        }
    }
}

#[test]
fn a_page_with_entries_that_are_no_orders_closes_nothing_and_is_read_whole_again() {
    let mut world = World::new();
    let calm = Window { events: Vec::new(), lags: vec![false], turns: vec![0], lost: Vec::new() };
    world.rest(2, &calm);
    for _ in 0..6 {
        let sweep = world.book.sweep() + 1;
        world.book.begin(sweep);
        let tag = Tag { etag: Some("x".to_owned()), last_modified: None, expires_at: Timestamp::UNIX_EPOCH };
        let decoded = Decoded { orders: vec![order(1, 0)], refused: 1, first_refusal: Some("x".to_owned()) };
        let sheets = [Sheet { number: 1, tag: &tag, decoded: &decoded }];
        let picked = world.book.pick(&sheets);
        world.book.stored(&sheets, &picked, &[]);
        world.end(1, Quality::Whole);
        assert_eq!((world.quality, world.closed.len()), (Quality::Incomplete, 0));
        assert_eq!(world.book.tags()[&1].etag, None);
    }
    assert_eq!(world.stored.len(), 7);
}

#[test]
fn what_was_open_before_the_process_began_is_closed_like_the_rest() {
    let mut book = Book::default();
    book.load(&[1, 2], []);
    let mut gone = Vec::new();
    for sweep in 1..=2 {
        book.begin(sweep);
        let tag = Tag { etag: None, last_modified: None, expires_at: Timestamp::UNIX_EPOCH };
        let decoded = Decoded { orders: vec![order(2, 0)], ..Decoded::default() };
        let sheets = [Sheet { number: 1, tag: &tag, decoded: &decoded }];
        let picked = book.pick(&sheets);
        // Whether it differs from what is stored, only the store can tell, and only once.
        assert_eq!(picked.writes.len(), usize::from(sweep == 1));
        book.stored(&sheets, &picked, &[34]);
        let at = Timestamp::UNIX_EPOCH;
        let ending =
            Ending { name: None, pages: 1, started_at: at, swept_at: at, not_before: at, quality: Quality::Whole };
        let reckoning = book.reckon(&ending);
        gone.push(reckoning.gone.clone());
        book.ended(&reckoning, &ending);
    }
    assert_eq!(gone, [vec![], vec![(1, None)]]);
}

//! A page's bytes as orders, and back.
//!
//! The whole page is read at once. Only when that fails each entry is read by itself, so that one that is no order does not take the others with it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cents, Order, Range};
use crate::killmail::wire::cents;

/// What was read from a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoded {
    /// In the order of the page.
    pub orders: Vec<Order>,
    /// Entries that are no orders; the rest of the page is good.
    pub refused: usize,
    /// What is wrong with the first of them.
    pub first_refusal: Option<String>,
}

/// Why a page could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a page of orders: {0}")]
pub struct Error(pub String);

/// As ESI writes it. All fields are required.
#[derive(Deserialize)]
struct Entry<'a> {
    order_id: i64,
    type_id: i64,
    location_id: i64,
    system_id: i64,
    volume_total: i64,
    volume_remain: i64,
    min_volume: i64,
    price: f64,
    is_buy_order: bool,
    duration: i32,
    #[serde(borrow)]
    issued: Cow<'a, str>,
    #[serde(borrow)]
    range: Cow<'a, str>,
}

/// Reads a page: a JSON array of orders.
///
/// # Errors
/// It is no JSON, or no array.
pub fn decode(body: &[u8]) -> Result<Decoded, Error> {
    if let Ok(entries) = serde_json::from_slice::<Vec<Entry<'_>>>(body) {
        let orders: Result<Vec<Order>, String> = entries.iter().map(order).collect();
        if let Ok(orders) = orders {
            return Ok(Decoded { orders, ..Decoded::default() });
        }
    }
    each(body)
}

/// An order as ESI writes it: a price is a number with two decimals.
#[must_use]
pub fn encode(order: &Order) -> String {
    format!(
        "{{\"duration\":{},\"is_buy_order\":{},\"issued\":\"{}\",\"location_id\":{},\"min_volume\":{},\"order_id\":{},\"price\":{},\
         \"range\":\"{}\",\"system_id\":{},\"type_id\":{},\"volume_remain\":{},\"volume_total\":{}}}",
        order.duration,
        order.is_buy_order,
        order.issued,
        order.location_id,
        order.min_volume,
        order.order_id,
        order.price,
        order.range,
        order.system_id,
        order.type_id,
        order.volume_remain,
        order.volume_total
    )
}

fn each(body: &[u8]) -> Result<Decoded, Error> {
    let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| Error(printable(&error.to_string())))?;
    let mut decoded = Decoded::default();
    for (place, entry) in entries.iter().enumerate() {
        let read = serde_json::from_str::<Entry<'_>>(entry.get()).map_err(|error| error.to_string());
        match read.and_then(|entry| order(&entry)) {
            Ok(order) => decoded.orders.push(order),
            Err(error) => {
                decoded.refused += 1;
                decoded.first_refusal.get_or_insert_with(|| printable(&format!("entry {}: {error}", place + 1)));
            }
        }
    }
    Ok(decoded)
}

fn order(entry: &Entry<'_>) -> Result<Order, String> {
    let positive = [("order_id", entry.order_id), ("type_id", entry.type_id)];
    let counts = [
        ("volume_total", entry.volume_total),
        ("volume_remain", entry.volume_remain),
        ("min_volume", entry.min_volume),
    ];
    if let Some((name, value)) = positive.into_iter().find(|(_, value)| *value <= 0) {
        return Err(format!("{name} {value} is no id"));
    }
    if let Some((name, value)) = counts.into_iter().find(|(_, value)| *value < 0) {
        return Err(format!("{name} {value} is below 0"));
    }
    Ok(Order {
        order_id: entry.order_id,
        type_id: entry.type_id,
        location_id: entry.location_id,
        system_id: entry.system_id,
        volume_total: entry.volume_total,
        volume_remain: entry.volume_remain,
        min_volume: entry.min_volume,
        price: cents(entry.price).map(Cents).ok_or_else(|| format!("price {:e} is out of range", entry.price))?,
        is_buy_order: entry.is_buy_order,
        duration: entry.duration,
        issued: entry.issued.parse::<Timestamp>().map_err(|error| format!("issued {:?}: {error}", entry.issued))?,
        range: Range::parse(&entry.range).ok_or_else(|| format!("range {:?} is unknown", entry.range))?,
    })
}

/// One line that a terminal and a log can bear.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(order_id: i64, price: &str) -> String {
        format!(
            r#"{{"duration":90,"is_buy_order":true,"issued":"2026-01-02T03:04:05Z","location_id":60003760,"min_volume":1,"order_id":{order_id},"price":{price},"range":"station","system_id":30000142,"type_id":34,"volume_remain":5,"volume_total":10}}"#
        )
    }

    #[test]
    fn a_page_is_read_whole() {
        let page = format!("[{},{}]", entry(7, "4.85"), entry(8, "1200000000000.01"));
        let decoded = decode(page.as_bytes()).expect("a page");
        let prices: Vec<_> = decoded.orders.iter().map(|order| (order.order_id, order.price)).collect();
        assert_eq!(prices, [(7, Cents(485)), (8, Cents(120_000_000_000_001))]);
        assert_eq!((decoded.refused, decoded.orders[0].range, decoded.orders[0].duration), (0, Range::Station, 90));
        assert_eq!(decode(b" [ ] "), Ok(Decoded::default()));
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let page = format!("[{}]", entry(7, "92233720368547.05"));
        let decoded = decode(page.as_bytes()).expect("a page");
        assert_eq!(format!("[{}]", encode(&decoded.orders[0])), page);
    }

    #[test]
    fn what_is_no_order_is_left_out_and_named_and_the_others_are_read() {
        for (bad, reason) in [
            (r#"{"order_id":1}"#.to_owned(), "missing field"),
            (entry(9, "\"4\""), "invalid type: string"),
            (entry(9, "-1"), "price -1e0 is out of range"),
            (entry(9, "1e300"), "out of range"),
            (entry(0, "1"), "order_id 0 is no id"),
            (entry(9, "1").replace("\"volume_remain\":5", "\"volume_remain\":-5"), "volume_remain -5 is below 0"),
            (entry(9, "1").replace("station", "\\u001b[31m"), "range"),
            (entry(9, "1").replace("2026-01-02T03:04:05Z", "yesterday"), "issued \"yesterday\""),
            ("null".to_owned(), "invalid type: null"),
        ] {
            let page = format!("[{},{bad},{}]", entry(7, "1"), entry(8, "1"));
            let decoded = decode(page.as_bytes()).expect("a page");
            let ids: Vec<_> = decoded.orders.iter().map(|order| order.order_id).collect();
            let said = decoded.first_refusal.expect("a reason");
            assert_eq!((ids, decoded.refused), (vec![7, 8], 1));
            assert!(said.starts_with("entry 2: ") && said.contains(reason) && !said.contains('\u{1b}'), "{said}");
        }
    }

    #[test]
    fn what_is_no_page_is_refused_with_its_reason() {
        let cut = &entry(7, "1")[..50];
        for (body, reason) in [
            ("", "EOF"),
            ("{\"error\":\"Timeout\"}", "invalid type: map"),
            ("<html>", "expected value"),
            (&format!("[{cut}"), "EOF"),
            ("[] []", "trailing characters"),
            (&"[".repeat(100_000), "EOF"),
        ] {
            let error = decode(body.as_bytes()).expect_err(reason).to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
        assert!(decode(b"[\xff]").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body);
        }

        #[test]
        fn a_damaged_page_is_refused_or_read_in_part(at in 0_usize..400, byte in any::<u8>()) {
            let mut page = format!("[{},{}]", entry(7, "1"), entry(8, "1")).into_bytes();
            let at = at % page.len();
            page[at] = byte;
            if let Ok(decoded) = decode(&page) {
                prop_assert!(decoded.orders.len() + decoded.refused <= 2);
            }
        }
    }
}

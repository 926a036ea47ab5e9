//! What the made-up things cost: ESI's averages, and Janice's price list.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::things;

/// Lines of a list; the rest is lost, as upstream.
const LINES_MAX: usize = 1_000;
/// How long ESI's averages hold.
const AVERAGES_HOLD: SignedDuration = SignedDuration::from_hours(1);

/// ISK, by type.
static PRICES: LazyLock<HashMap<i64, f64>> =
    LazyLock::new(|| things::prices().map(|(id, cents)| (id, cents as f64 / 100.0)).collect());

pub(super) fn router() -> Router {
    Router::new()
        .route("/esi/markets/prices", get(averages))
        .route("/esi/markets/prices/", get(averages))
        .route("/janice/pricer", post(list))
}

async fn averages() -> Response {
    let row = |(id, isk): (&i64, &f64)| json!({"type_id": id, "average_price": isk * 0.98, "adjusted_price": isk});
    let rows: Vec<_> = PRICES.iter().map(row).collect();
    match DateTimePrinter::new().timestamp_to_rfc9110_string(&(Timestamp::now() + AVERAGES_HOLD)) {
        Ok(expires) => ([(header::EXPIRES, expires)], Json(rows)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What it does not know is left out.
async fn list(Query(query): Query<HashMap<String, String>>, lines: String) -> Json<Vec<Value>> {
    let market = query.get("market").and_then(|market| market.parse().ok()).unwrap_or(2_i64);
    let known = |line: &str| {
        let id = line.trim().parse().ok()?;
        Some(price(id, *PRICES.get(&id)?, market))
    };
    Json(lines.lines().take(LINES_MAX).filter_map(known).collect())
}

fn price(id: i64, isk: f64, market: i64) -> Value {
    let side = |factor: f64| (isk * factor * 100.0).round() / 100.0;
    let sides = json!({"buyPrice": side(0.95), "splitPrice": side(0.985), "sellPrice": side(1.02)});
    json!({
        "date": Timestamp::now(),
        "market": {"id": market, "name": format!("Market {market}")},
        "immediatePrices": sides,
        "top5AveragePrices": sides,
        "itemType": {"eid": id, "name": format!("Made-up type {id}")},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_known_is_left_out_of_the_list() {
        let Json(rows) = list(Query(HashMap::new()), "587\n999999999\n\nnonsense\n".to_owned()).await;
        let ids: Vec<_> = rows.iter().filter_map(|row| row["itemType"]["eid"].as_i64()).collect();
        assert_eq!(ids, [587]);
        assert!(rows[0]["immediatePrices"]["sellPrice"].as_f64() > Some(0.0));
    }
}

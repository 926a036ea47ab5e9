//! Every metric there is: name, kind, unit, labels, and what it says.

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, as buckets.
    Histogram,
}

/// The unit of a metric's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds, with fractions.
    Seconds,
    /// From 0 to 1.
    Ratio,
    /// Bytes.
    Bytes,
    /// 0 or 1.
    Flag,
}

/// One row of [`METRICS`].
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, help }
}

use Kind::{Counter, Gauge, Histogram};
use Unit::{Bytes, Count, Flag, Ratio, Seconds};

/// Every metric that the worker may emit.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    metric("broadside_source_received_total", Counter, Count, &["pipeline", "source"], "Messages received from the source."),
    metric("broadside_source_lag_seconds", Histogram, Seconds, &["pipeline", "source"], "Age of a kill when it was received."),
    metric("broadside_source_connected", Gauge, Flag, &["pipeline", "source"], "Whether the source is connected: 1 or 0."),
    metric("broadside_source_cut_frames_total", Counter, Count, &["pipeline", "source"], "Frames of a stream that broke off: their kills are lost."),
    metric("broadside_source_skipped_total", Counter, Count, &["pipeline", "source", "reason"], "Records of the source passed over, by why."),
    metric("broadside_zkillboard_sequence", Gauge, Count, &["pipeline"], "Number of the next file of zKillboard to be read."),
    metric("broadside_source_switches_total", Counter, Count, &["pipeline", "source"], "Times that this feed began to serve in the place of the other, returns too."),
    metric("broadside_source_state", Gauge, Flag, &["pipeline", "state"], "Where a pipeline with two feeds stands: 1 for serving, suspect, switched or returning."),
    metric("broadside_source_held", Gauge, Count, &["pipeline", "source"], "Kills of the fallback that wait for the primary to bring them."),
    metric("broadside_source_gap_messages_total", Counter, Count, &["pipeline", "source"], "Kills of the fallback that the primary did not bring."),
    metric("broadside_source_restarts_total", Counter, Count, &["pipeline", "source"], "Times the source was built again after a crash."),
    metric("broadside_messages_settled_total", Counter, Count, &["pipeline", "outcome"], "Messages settled, by outcome."),
    metric("broadside_in_flight", Gauge, Count, &["pipeline"], "Messages received and not yet settled."),
    metric("broadside_ledger_imbalance", Gauge, Count, &["pipeline"], "Received less settled less in flight: anything but 0 is a fault."),
    metric("broadside_oldest_unsettled_seconds", Gauge, Seconds, &["pipeline"], "Age of the oldest message that is not settled: 0 when there is none."),
    metric("broadside_breaker_open", Gauge, Flag, &["pipeline"], "Whether the source is slowed to a trickle of probes because what it brings fails: 1 or 0."),
    metric("broadside_breaker_trips_total", Counter, Count, &["pipeline"], "Times that the breaker has tripped."),
    metric("broadside_failure_ratio", Gauge, Ratio, &["pipeline"], "Share of failures among the messages of the last five minutes."),
    metric("broadside_failure_alert", Gauge, Flag, &["pipeline"], "Whether that share is above the pipeline's alert_above, of a hundred messages at least: 1 or 0."),
    metric("broadside_reloads_total", Counter, Count, &["result"], "Reloads of the pipeline files, by what they came to."),
    metric("broadside_pipeline_state", Gauge, Flag, &["pipeline", "state"], "State of a pipeline: 1 for the one it is in."),
    metric("broadside_acknowledgements_total", Counter, Count, &["pipeline", "result"], "Calls of acknowledgers, by whether they returned."),
    metric("broadside_queue_depth", Gauge, Count, &["pipeline", "group"], "Messages waiting in the queue of a worker group."),
    metric("broadside_queue_capacity", Gauge, Count, &["pipeline", "group"], "Messages that the queue of a worker group can hold."),
    metric("broadside_workers", Gauge, Count, &["pipeline", "group"], "Workers of a group."),
    metric("broadside_worker_messages_total", Counter, Count, &["pipeline", "group"], "Messages that passed a worker group."),
    metric("broadside_worker_failed_total", Counter, Count, &["pipeline", "group"], "Messages that failed in a worker group."),
    metric("broadside_worker_busy_seconds_total", Counter, Seconds, &["pipeline", "group"], "Time that workers spent working, summed over workers."),
    metric("broadside_worker_starved_seconds_total", Counter, Seconds, &["pipeline", "group"], "Time that workers waited for messages, summed over workers."),
    metric("broadside_worker_blocked_seconds_total", Counter, Seconds, &["pipeline", "group"], "Time that workers waited for room downstream, summed over workers."),
    metric("broadside_worker_limited_seconds_total", Counter, Seconds, &["pipeline", "group"], "Time that producers waited for the rate limit."),
    metric("broadside_stage_seconds", Histogram, Seconds, &["pipeline", "stage"], "Time that a stage takes for a message."),
    metric("broadside_batch_size", Histogram, Count, &["pipeline", "batcher"], "Messages in a batch."),
    metric("broadside_batch_seconds", Histogram, Seconds, &["pipeline", "batcher"], "Time to deliver a batch, splits included."),
    metric("broadside_batches_total", Counter, Count, &["pipeline", "batcher", "trigger"], "Batches emitted, by what triggered them."),
    metric("broadside_end_to_end_seconds", Histogram, Seconds, &["pipeline"], "Time from received to settled."),
    metric("broadside_dead_letters", Gauge, Count, &["pipeline", "state"], "Dead letters kept, by state."),
    metric("broadside_replayed_letters_total", Counter, Count, &["result"], "Dead letters that people had sent again, by what became of them: replayed, failed."),
    metric("broadside_dead_letter_retries_total", Counter, Count, &["result"], "Dead letters that were tried again by themselves, by what became of them: replayed, failed."),
    metric("broadside_dead_letters_bytes", Gauge, Bytes, &[], "Payloads of dead letters that are kept; told by one worker of a database."),
    metric("broadside_dead_letter_groups", Gauge, Count, &["state"], "Groups with open dead letters, by state; told by one worker of a database."),
    metric("broadside_dead_letters_expired_total", Counter, Count, &["reason"], "Dead letters dropped: for their age, or because there were too many."),
    metric("broadside_cache_hits_total", Counter, Count, &["cache"], "Look-ups that the cache answered."),
    metric("broadside_cache_misses_total", Counter, Count, &["cache"], "Look-ups that the cache could not answer."),
    metric("broadside_cache_evictions_total", Counter, Count, &["cache"], "Entries that the cache dropped to stay in its bound."),
    metric("broadside_cache_entries", Gauge, Count, &["cache"], "Entries in the cache."),
    metric("broadside_http_client_requests_total", Counter, Count, &["service", "status"], "Calls of outside services, by status, or by what came instead of one."),
    metric("broadside_http_client_seconds", Histogram, Seconds, &["service"], "Time that a call of an outside service takes."),
    metric("broadside_http_client_decisions_total", Counter, Count, &["service", "decision"], "What a client decided: to wait, to try again, to do without a call."),
    metric("broadside_http_client_breaker_open", Gauge, Flag, &["service"], "Whether the service is left alone because calls keep failing: 1 or 0."),
    metric("broadside_rate_limit_tokens_remaining", Gauge, Count, &["service", "group"], "Tokens left for a group of routes, as the service counts them."),
    metric("broadside_detail_total", Counter, Count, &["pipeline", "result"], "Kills that came without items, by how their detail was had: fetched, cached, partial, refused."),
    metric("broadside_tag_differences_total", Counter, Count, &["pipeline", "field"], "Kills of which zKillboard says otherwise than its own rules: npc, solo, awox, points, labels."),
    metric("broadside_refreshes_total", Counter, Count, &["result"], "Attempts to complete kills that were stored in part: completed, postponed, given_up."),
    metric("broadside_prices_total", Counter, Count, &["pipeline", "source"], "Types of kills priced, by whose price it is: a service, rule (0.01 ISK), none."),
    metric("broadside_price_late_total", Counter, Count, &["pipeline"], "Kills priced while a service was down or too slow, to be priced again."),
    metric("broadside_price_wait_seconds", Histogram, Seconds, &[], "Time that kills wait for prices that are not known yet."),
    metric("broadside_price_types_asked_total", Counter, Count, &["service", "why"], "Types asked for: because they were needed, or filled in because there was room."),
    metric("broadside_quotes_dropped_total", Counter, Count, &[], "Prices that were fetched and not stored, because the store was away."),
    metric("broadside_stream_connections", Gauge, Count, &[], "Live killfeed streams open."),
    metric("broadside_stream_events_total", Counter, Count, &[], "Killfeed events handed to live streams."),
    metric("broadside_stream_stalled_total", Counter, Count, &[], "Connections closed because nothing was taken from them for a minute."),
    metric("broadside_stream_refused_total", Counter, Count, &[], "Live streams refused because too many were open, in all or of one address."),
    metric("broadside_killfeed_polls_total", Counter, Count, &["route", "outcome"], "Polls of the killfeed (poll, next, commit), by what became of them: events, empty, moved, refused, failed."),
    metric("broadside_killfeed_events", Gauge, Count, &[], "Events in the killfeed's log, at most: as many as their ids leave room for."),
    metric("broadside_killfeed_clients", Gauge, Count, &[], "Clients whose offsets are kept."),
    metric("broadside_killfeed_lag_events", Gauge, Count, &[], "How many events the client that is farthest behind has not passed yet, counted up to 10,000."),
    metric("broadside_killfeed_collected_total", Counter, Count, &["reason"], "Events deleted from the killfeed's log: passed (old, and nobody needs them), age, count (while somebody did, or young)."),
    metric("broadside_killfeed_clients_forgotten_total", Counter, Count, &[], "Clients forgotten because they were not seen for long."),
    metric("broadside_ready", Gauge, Flag, &[], "Whether the worker is ready, as /readyz says: 1 or 0."),
    metric("broadside_store_ready", Gauge, Flag, &[], "Whether the database answers and no write is held: 1 or 0."),
    metric("broadside_build_info", Gauge, Flag, &["version"], "Which version runs: always 1."),
    metric("broadside_memory_bytes", Gauge, Bytes, &[], "Resident memory of the process."),
    metric("broadside_static_data", Gauge, Count, &["kind"], "Entries of static data in use: types, groups, categories, meta_groups, systems, constellations, regions."),
    metric("broadside_unknowns_total", Counter, Count, &["result"], "Types and systems that the static data lack, by what ESI told of them: found, later, never."),
    metric("broadside_profiles", Gauge, Count, &[], "Surveillance profiles in use."),
    metric("broadside_profiles_broad", Gauge, Count, &[], "Surveillance profiles that are compared with every kill, because no value of a kill leads to them."),
    metric("broadside_profiles_refused", Gauge, Count, &[], "Surveillance profiles that are left out because they cannot be read."),
    metric("broadside_profile_index_rebuild_seconds", Gauge, Seconds, &[], "Time that the last load of all surveillance profiles took."),
    metric("broadside_market_sweep_seconds", Gauge, Seconds, &["region"], "How long the last sweep of a region's market orders took, until it was stored."),
    metric("broadside_market_lag_seconds", Gauge, Seconds, &["region"], "How long after its pages had expired the last sweep of a region was stored."),
    metric("broadside_market_orders", Gauge, Count, &["region"], "Open orders of a region."),
    metric("broadside_market_pages_total", Counter, Count, &["status"], "Pages of sweeps: 200, 304, 404, fresh (not asked for), failed."),
    metric("broadside_market_sweeps_total", Counter, Count, &["quality"], "Sweeps of regions: whole, mixed (pages of several snapshots), incomplete, failed."),
    metric("broadside_market_order_changes_total", Counter, Count, &["change"], "Rows of market orders written: new, changed (reopened ones too), closed, forgotten."),
    metric("broadside_price_job_state", Gauge, Flag, &["state"], "State of the price cache job, as this process last knew it: 1 for the one it is in."),
    metric("broadside_price_job_progress_ratio", Gauge, Ratio, &["market"], "Share of a market's products that the present or last run of the price cache job has done."),
    metric("broadside_price_job_eta_seconds", Gauge, Seconds, &["market"], "Until the price cache job is done with a market."),
    metric("broadside_alerts_total", Counter, Count, &["result"], "Alerts by what became of them: delivered, digested (delivered in a digest), expired (too old), withdrawn (nobody to be told any more), failed (kept as a dead letter); and attempts to be repeated: retried."),
    metric("broadside_alerts_pending", Gauge, Count, &[], "Alerts of the database that wait to be delivered, as the courier last counted them."),
    metric("broadside_alert_targets_disabled", Gauge, Count, &[], "Targets of alerts that are told nothing any more, because they kept refusing."),
    metric("broadside_profile_match_seconds", Histogram, Seconds, &[], "How long it took to find the surveillance profiles that match a kill."),
    metric("broadside_profile_matches_total", Counter, Count, &[], "Matches found: pairs of a kill and a surveillance profile."),
    metric("broadside_profile_candidates_total", Counter, Count, &[], "Entries of the index of profiles that were looked at."),
    metric("broadside_profile_evaluations_total", Counter, Count, &[], "Filters of profiles that had to be evaluated."),
    metric("broadside_market_refused_orders_total", Counter, Count, &["pipeline"], "Entries of pages that are no orders."),
];

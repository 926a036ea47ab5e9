//! What the stages find out about a kill: what it is (`tag`) and what it is worth (`price`). Stored beside it, never in it.

/// What `tag` found. What could not be told, because static data lacks it, is absent; `is_whole` says whether that is so of anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tagged {
    /// Of everything fitted: each once, sorted.
    pub module_tags: Vec<&'static str>,
    /// Of the victim's ship: `frigate`, `capsule`, …
    pub ship_class: Option<&'static str>,
    /// `highsec`, `lowsec`, `nullsec`, `wspace`, `pochven`, `abyssal`, `drifter`.
    pub system_class: Option<&'static str>,
    pub constellation_id: Option<i64>,
    pub region_id: Option<i64>,
    pub security_status: Option<f64>,
    pub npc: bool,
    pub solo: Option<bool>,
    pub awox: Option<bool>,
    pub points: Option<i64>,
    /// zKillboard's, but for those of the value, which [`Worth`] decides: each once, sorted.
    pub labels: Vec<String>,
    /// By position: 0 is the victim.
    pub measures: Vec<Measures>,
    /// Nothing was missing that could be known.
    pub is_whole: bool,
}

/// What a participant gave and took, as `tags::measures` defines it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measures {
    /// Kilograms.
    pub mass_balance: Option<f64>,
    /// 1: as much as expected.
    pub usefulness: Option<f64>,
}

/// What `price` found. Money in ISK cents, exact; `None`: more than can be written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Worth {
    /// Destroyed and dropped.
    pub total: Option<i64>,
    /// Hull and items that were destroyed.
    pub destroyed: Option<i64>,
    pub dropped: Option<i64>,
    /// Hull and what lay directly in a fitting slot, destroyed or dropped.
    pub fitted: Option<i64>,
    /// Where the prices come from, as stored in `price_source`.
    pub source: String,
}

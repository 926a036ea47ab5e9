//! deduplicate

/// Ids of kills seen of late.
#[derive(Debug, Default)]
pub struct RecentKills {}

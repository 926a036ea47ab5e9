//! Surveillance profiles: what somebody watches for, as a tree of conditions, and which kills match. Pure.
//!
//! ```text
//! JSON ── parse ──► Filter (validated tree) ──► index ──► the profiles that match a Subject (the values of a kill)
//!                      └── interpret: the same, plainly: the reference of all tests
//! ```
//!
//! A filter is `{"condition": "and", "rules": […]}` (or `or`, or `not` with one rule), nested freely, over leaves `{"field", "operator", "value"}`:
//!
//! ```
//! use broadside::profile::Filter;
//! let dear = r#"{"condition": "and", "rules": [
//!     {"field": "module_tags", "operator": "contains_any", "value": ["T2"]},
//!     {"field": "isk_value", "operator": "gt", "value": 1e8}]}"#;
//! assert!(Filter::parse(dear).is_ok());
//! let error = Filter::parse(r#"{"field": "isk_value", "operator": "above", "value": 1}"#).expect_err("no operator");
//! assert!(error.to_string().starts_with(r#"at operator: found "above"; allowed: eq, ne, in"#));
//! ```
//!
//! Of a field with many values (attackers, tags, labels) a positive operator holds when one value makes it hold; `contains_all` needs all of its list. `ne`,
//! `not_in` and `contains_none` are the exact opposites of `eq`, `in` and `contains_any`. What an absent value means stands in [`filter`].

pub mod broad;
mod decimal;
pub mod document;
pub mod field;
pub mod filter;
pub mod index;
pub mod interpret;
mod json;
pub mod layout;
pub mod operator;
pub mod parse;
pub mod problem;
pub mod schema;
pub mod subject;
mod tally;
pub mod workload;

pub use decimal::security_key;
pub use document::{Document, Format, Target};
pub use field::{Field, Kind};
pub use filter::{Filter, Node, Span, Test, What};
pub use operator::Operator;
pub use problem::Problem;
pub use subject::{Buffers, Subject};
pub use tally::{Matched, Tally};

//! The operators of a filter's leaves.

use super::field::Kind;

/// How a leaf's value is compared with the field's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    Eq,
    Ne,
    In,
    NotIn,
    ContainsAny,
    ContainsAll,
    ContainsNone,
    Gt,
    Gte,
    Lt,
    Lte,
    Between,
    Exists,
}

/// What an operator takes as `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    One,
    /// At least one.
    List,
    /// Low and high, both included.
    Pair,
    /// True or false.
    Flag,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 13] = [
        Self::Eq,
        Self::Ne,
        Self::In,
        Self::NotIn,
        Self::ContainsAny,
        Self::ContainsAll,
        Self::ContainsNone,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::Between,
        Self::Exists,
    ];

    /// As it is written in a filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::ContainsAny => "contains_any",
            Self::ContainsAll => "contains_all",
            Self::ContainsNone => "contains_none",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Between => "between",
            Self::Exists => "exists",
        }
    }

    /// The operator of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }

    /// What it takes.
    #[must_use]
    pub const fn takes(self) -> Takes {
        match self {
            Self::Eq | Self::Ne | Self::Gt | Self::Gte | Self::Lt | Self::Lte => Takes::One,
            Self::In | Self::NotIn | Self::ContainsAny | Self::ContainsAll | Self::ContainsNone => Takes::List,
            Self::Between => Takes::Pair,
            Self::Exists => Takes::Flag,
        }
    }

    /// Whether it is the opposite of another: `ne` of `eq`, `not_in` of `in`, `contains_none` of `contains_any`.
    #[must_use]
    pub const fn is_negated(self) -> bool {
        matches!(self, Self::Ne | Self::NotIn | Self::ContainsNone)
    }

    /// Whether fields of this kind have it: flags are only compared, and words have no order.
    #[must_use]
    pub const fn is_of(self, kind: Kind) -> bool {
        match kind {
            Kind::Flag => matches!(self, Self::Eq | Self::Ne | Self::Exists),
            Kind::Text => !matches!(self, Self::Gt | Self::Gte | Self::Lt | Self::Lte | Self::Between),
            Kind::Id | Kind::Count | Kind::Money | Kind::Security => true,
        }
    }
}

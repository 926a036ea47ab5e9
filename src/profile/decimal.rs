//! Numbers as they are written, exactly, and as the integers that filters compare.
//!
//! A kill's numbers lie on a grid: ISK in cents, counts in ones, a security status in the doubles that static data can hold. A number in a filter may lie
//! between two points of it; [`Decimal::floor`] says after which, and whether exactly on it, so that a comparison with it becomes one of integers.

use std::cmp::Ordering;

/// A number of JSON: ±0.d₁d₂d₃… × 10^point, without leading or trailing zeros; no digits: zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    point: i64,
}

/// A point of a grid at or below a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) point: i64,
    /// It is the number itself.
    pub(super) is_exact: bool,
}

impl Decimal {
    /// Of a JSON number; `None`: it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let sign = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if whole.is_empty() || sign.is_empty() || !is_digits(whole) || !is_digits(fraction) || !is_digits(sign) {
            return None;
        }
        // An exponent of more than 18 digits is as good as one of 18.
        let size = sign.trim_start_matches('0').get(..18.min(sign.trim_start_matches('0').len()))?;
        let size = size.parse::<i64>().unwrap_or(0);
        let exponent = if exponent.starts_with('-') { -size } else { size };
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let leading = all.iter().take_while(|digit| **digit == 0).count();
        let end = all.iter().rposition(|digit| *digit != 0).map_or(leading, |last| last + 1);
        let digits = all[leading..end].to_vec();
        let point = if digits.is_empty() { 0 } else { whole.len() as i64 - leading as i64 + exponent };
        Some(Self { is_negative: is_negative && !digits.is_empty(), digits, point })
    }

    /// The greatest multiple of 10^−`places` that is not above it; at the ends of what an `i64` holds, the end.
    pub(super) fn floor(&self, places: i64) -> Floor {
        let point = self.point.saturating_add(places);
        let digit = |place: i64| usize::try_from(place).ok().and_then(|place| self.digits.get(place)).copied();
        // More than 30 digits before the point are beyond any `i64`.
        let whole =
            (0..point.clamp(0, 30)).fold(0_i128, |whole, place| whole * 10 + i128::from(digit(place).unwrap_or(0)));
        let is_exact = self.digits.is_empty() || point >= self.digits.len() as i64;
        let floor = match (self.is_negative, is_exact) {
            (false, _) => whole,
            (true, true) => -whole,
            (true, false) => -whole - 1,
        };
        let clamped = floor.clamp(i64::MIN.into(), i64::MAX.into());
        Floor { point: clamped as i64, is_exact: is_exact && point <= 30 && clamped == floor }
    }

    /// The same among security statuses: the [`security_key`] of the greatest double that is not above it.
    pub(super) fn floor_security(&self) -> Floor {
        // No status is beyond ±1, and what is beyond ±10^9 compares like that.
        let near = if self.point > 9 { 1e9_f64.copysign(self.sign()) } else { self.nearest() };
        let (mut double, mut order) = (near, Self::of(near).cmp(self));
        if order == Ordering::Greater {
            double = near.next_down();
            order = Self::of(double).cmp(self);
        }
        Floor { point: security_key(double), is_exact: order == Ordering::Equal }
    }

    fn sign(&self) -> f64 {
        if self.is_negative { -1.0 } else { 1.0 }
    }

    fn nearest(&self) -> f64 {
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let text = format!("0.{digits}e{}", self.point.max(-10_000));
        text.parse::<f64>().unwrap_or(0.0) * self.sign()
    }

    /// A double as it is written: by the fewest digits that mean no other.
    fn of(double: f64) -> Self {
        Self::parse(&format!("{double:e}")).expect("a double is written as a number")
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |number: &Self| if number.digits.is_empty() { i64::MIN } else { number.point };
        let by_size = size(self).cmp(&size(other)).then_with(|| self.digits.cmp(&other.digits));
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => by_size,
            (true, true) => by_size.reverse(),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A security status as an integer: a greater one has a greater key.
#[must_use]
pub fn security_key(status: f64) -> i64 {
    // One zero, not two.
    let bits = (status + 0.0).to_bits() as i64;
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn floor(text: &str, places: i64) -> (i64, bool) {
        let floor = Decimal::parse(text).expect(text).floor(places);
        (floor.point, floor.is_exact)
    }

    #[test]
    fn a_number_is_on_the_grid_or_between_two_points_of_it() {
        assert_eq!(floor("1e8", 2), (10_000_000_000, true));
        assert_eq!(floor("100000000000000.01", 2), (10_000_000_000_000_001, true));
        assert_eq!(floor("0.005", 2), (0, false));
        assert_eq!(floor("-0.005", 2), (-1, false));
        assert_eq!(floor("-2", 0), (-2, true));
        assert_eq!(floor("-2.5", 0), (-3, false));
        assert_eq!(floor("1e-400", 2), (0, false));
        assert_eq!(floor("0e999999999999999999999", 2), (0, true));
        assert_eq!(floor("1200e-2", 0), (12, true));
        assert_eq!(floor("1e999999999999999999999", 0), (i64::MAX, false));
        assert_eq!(floor("-1e30", 0), (i64::MIN, false));
        assert_eq!(floor("9223372036854775807", 0), (i64::MAX, true));
        assert_eq!(floor("9223372036854775808", 0), (i64::MAX, false));
    }

    #[test]
    fn a_status_between_two_doubles_lies_after_the_lower() {
        let floor = |text: &str| Decimal::parse(text).expect(text).floor_security();
        assert_eq!(floor("0.5"), Floor { point: security_key(0.5), is_exact: true });
        assert_eq!(floor("0.1"), Floor { point: security_key(0.1), is_exact: true });
        assert_eq!(floor("-0.0"), Floor { point: security_key(0.0), is_exact: true });
        let above = floor("0.10000000000000000001");
        assert_eq!((above.point, above.is_exact), (security_key(0.1), false));
        let below = floor("0.09999999999999999999999");
        assert_eq!((below.point, below.is_exact), (security_key(0.1_f64.next_down()), false));
        assert!(floor("1e400").point > security_key(1.0) && floor("-1e400").point < security_key(-1.0));
        assert!(!floor("1e-400").is_exact);
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_the_doubles(a in -1.0_f64..1.0, b in -1.0_f64..1.0) {
            prop_assert_eq!(a.partial_cmp(&b), Some(security_key(a).cmp(&security_key(b))));
        }

        #[test]
        fn decimals_are_ordered_as_numbers(a in -100_000_i64..100_000, b in -100_000_i64..100_000, places in 0_usize..6) {
            let decimal = |value: i64| Decimal::parse(&format!("{value}e-{places}")).expect("a number");
            prop_assert_eq!(decimal(a).cmp(&decimal(b)), a.cmp(&b));
            let scale = 10_i64.pow(places as u32);
            prop_assert_eq!(decimal(a).floor(0), Floor { point: a.div_euclid(scale), is_exact: a % scale == 0 });
        }
    }
}

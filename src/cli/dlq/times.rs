//! Times and sizes in tables: short.

use jiff::Timestamp;

/// How long ago, in the greatest unit that fits: `45s`, `12m`, `3h`, `5d`.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(time.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// To the minute, UTC: `2026-01-31 12:00`.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Counts as bars, one character each, as high as the greatest: `·` is nothing.
pub(super) fn bars(counts: &[i64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &i64| match *count {
        ..=0 => '·',
        count => BARS[usize::try_from((count * 8 - 1) / most).unwrap_or(0).min(7)],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_its_greatest_unit() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, 864_000].map(|age| ago(at(0), at(age)));
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "23h", "1d", "10d"]);
        assert_eq!(ago(at(10), at(0)), "0s", "clocks differ");
    }

    #[test]
    fn bars_are_as_high_as_the_greatest() {
        assert_eq!(bars(&[0, 1, 4, 8]), "·▁▄█");
        assert_eq!(bars(&[0, 0]), "··");
        assert_eq!(bars(&[1, 1_000_000]), "▁█");
    }
}

//! How far the reading of a backfill has come, for people.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use indicatif::{DecimalBytes, HumanCount};

use super::super::progress::Unit;
use crate::sources::{file, history};

/// Of a day, in the bar's units.
const SHARES: u64 = 1000;

/// What is being read.
#[derive(Debug)]
pub(super) enum Reading {
    Files(Arc<file::Progress>),
    Days(Arc<history::Progress>),
}

impl Reading {
    /// The bar's end, and what it counts.
    pub(super) fn total(&self) -> (u64, Unit) {
        match self {
            Self::Files(files) => (files.bytes_total, Unit::Bytes),
            Self::Days(days) => (days.days * SHARES, Unit::Shares),
        }
    }

    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Files(files) => files.bytes_read.load(Ordering::Relaxed),
            Self::Days(days) => {
                let counts = days.present().counts.unwrap_or_default();
                let share = (counts.read.min(counts.kills) * SHARES).checked_div(counts.kills).unwrap_or_default();
                days.days_over.load(Ordering::Relaxed) * SHARES + share
            }
        }
    }

    /// `2026-01-02 (3 of 10): 12,345 of 16,000 kills`; nothing of files, whose bar says it all.
    pub(super) fn words(&self) -> String {
        let Self::Days(days) = self else { return String::new() };
        let present = days.present();
        let Some(day) = present.day else { return String::new() };
        let number = days.days_over.load(Ordering::Relaxed) + 1;
        let kills = match present.counts {
            Some(counts) => format!("{} of {} kills", HumanCount(counts.read), HumanCount(counts.kills)),
            None => match days.arrived(day) {
                0 => "fetching".to_owned(),
                bytes => format!("fetching, {} so far", DecimalBytes(bytes)),
            },
        };
        format!("{day} ({number} of {}): {kills}  ", days.days)
    }

    /// What was read, at the end; nothing of files.
    pub(super) fn summary(&self) -> Option<String> {
        let Self::Days(days) = self else { return None };
        let (present, over) = (days.present(), days.days_over.load(Ordering::Relaxed));
        let before = days.days_before.load(Ordering::Relaxed);
        let counts = present.total;
        let now = present.counts.unwrap_or_default();
        let mut text = format!(
            "days {over} of {}{}; kills {}, {} known before",
            days.days,
            if before > 0 { format!(" ({before} done before)") } else { String::new() },
            HumanCount(counts.read + now.read),
            HumanCount(counts.stored + now.stored)
        );
        if counts.missing > 0 {
            text.push_str(&format!(", {} listed without a killmail", HumanCount(counts.missing)));
        }
        Some(text)
    }
}

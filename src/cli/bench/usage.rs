//! CPU time and memory of this process, where the system tells (Linux).

use std::time::Duration;

/// Of `/proc/self/stat`: what the kernel calls USER_HZ, the same on every Linux that matters.
const TICKS_A_SECOND: u64 = 100;

/// What had been used at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    cpu: Option<Duration>,
}

impl Used {
    pub(super) fn now() -> Self {
        Self { cpu: cpu() }
    }

    /// What was used since, and the memory of the process.
    pub(super) fn line(&self, took: Duration) -> String {
        let cpu = match (cpu(), self.cpu) {
            (Some(now), Some(then)) => {
                let used = now.saturating_sub(then).as_secs_f64();
                format!("cpu {used:.1} s of {:.1} s ({:.0} %)", took.as_secs_f64(), used / took.as_secs_f64() * 100.0)
            }
            _ => "cpu unknown".to_owned(),
        };
        let memory =
            |name: &str| memory(name).map_or("unknown".to_owned(), |kb| format!("{:.1} MB", kb as f64 / 1024.0));
        format!("{cpu}; resident {}, at its peak {}", memory("VmRSS:"), memory("VmHWM:"))
    }
}

fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

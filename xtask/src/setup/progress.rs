//! Progress of one long step: a bar on a terminal, a plain line every tenth of the way otherwise.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Steps of fewer bytes are over so soon that one closing line is enough.
const WORTH_TENTHS: u64 = 50_000_000;

pub struct Meter {
    label: String,
    total: u64,
    bar: Option<ProgressBar>,
    tenths_told: u64,
}

impl Meter {
    /// A step of `total` bytes.
    pub fn new(label: impl Into<String>, total: u64) -> Self {
        let label = label.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{msg:<24} {bar:28} {bytes:>11} of {total_bytes:<11} {bytes_per_sec:>13} {eta:>4} left")
                    .expect("the template names known keys");
            let bar = ProgressBar::new(total).with_style(style);
            bar.set_message(label.clone());
            bar
        });
        if bar.is_none() && total >= WORTH_TENTHS {
            eprintln!("{label}: 0 of {} MB", total / 1_000_000);
        }
        Self { label, total, bar, tenths_told: 0 }
    }

    /// So many bytes of the step are done.
    pub fn set(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done.min(self.total));
            return;
        }
        let tenths = done.saturating_mul(10) / self.total.max(1);
        if self.total >= WORTH_TENTHS && tenths > self.tenths_told && tenths < 10 {
            self.tenths_told = tenths;
            eprintln!("{}: {} %", self.label, tenths * 10);
        }
    }

    /// The step is over; leaves one line that says so.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: done ({:.1} MB)", self.label, self.total as f64 / 1e6);
    }
}

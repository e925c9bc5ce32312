//! Progress of a run's stages: bars on a terminal, plain lines elsewhere (logs, pipes), nothing when hidden.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clock;

/// Where progress goes. Clones share it, so bars and log lines never overwrite each other.
#[derive(Clone)]
pub struct Progress(Output);

#[derive(Clone)]
enum Output {
    Bars(MultiProgress),
    Lines(Arc<Mutex<Box<dyn Write + Send>>>),
    Hidden,
}

impl Progress {
    /// Bars if standard error is a terminal, else plain lines on standard error.
    pub fn auto() -> Self {
        if io::stderr().is_terminal() {
            Self(Output::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10))))
        } else {
            Self::lines(io::stderr())
        }
    }

    /// Plain lines, at most one every few seconds and stage.
    pub fn lines(writer: impl Write + Send + 'static) -> Self {
        Self(Output::Lines(Arc::new(Mutex::new(Box::new(writer)))))
    }

    pub fn hidden() -> Self {
        Self(Output::Hidden)
    }

    /// Starts a stage of `total` steps.
    pub fn stage(&self, name: &str, total: u64) -> Stage {
        self.resumed_stage(name, total, 0)
    }

    /// Starts a stage of which `done` steps were finished before this process started; they do not count for the rate.
    pub fn resumed_stage(&self, name: &str, total: u64, done: u64) -> Stage {
        let bar = match &self.0 {
            Output::Bars(bars) => bars.add(ProgressBar::new(total)),
            _ => ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
        };
        let bar = bar.with_style(style(done)).with_prefix(name.to_owned()).with_position(done);
        if matches!(self.0, Output::Bars(_)) {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        let now = Instant::now();
        let counts = Counts { total, done, first: done, line_at: done, message: String::new() };
        let stage =
            Stage { output: self.0.clone(), bar, name: name.into(), started: now, state: Mutex::new((counts, now)), finished: false };
        if done > 0 {
            stage.print_line(&format!("resumes at {done}/{total}"));
        }
        stage
    }

    /// Runs `write` while no bar is on the screen; everything else that prints to the terminal goes through here.
    pub fn suspend<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.0 {
            Output::Bars(bars) => bars.suspend(write),
            _ => write(),
        }
    }

    /// Prints a line for the user (a result, a hint), above the bars.
    pub fn println(&self, line: &str) {
        print_line(&self.0, line);
    }
}

fn print_line(output: &Output, line: &str) {
    // A closed terminal must not end a training run, so failures to print are of no consequence.
    match output {
        Output::Bars(bars) => drop(bars.println(line)),
        Output::Lines(writer) => drop(writeln!(lock(writer), "{line}")),
        Output::Hidden => {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters and writers stay usable after a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `done` steps were there before this process began.
fn style(done: u64) -> ProgressStyle {
    let pace_of = move |state: &ProgressState| pace(state.pos(), done, state.len().unwrap_or(0), state.elapsed());
    // Short enough that the message still has room on 80 columns.
    ProgressStyle::with_template("{prefix:.bold} {bar:16.cyan/black.bright} {pos}/{len} {rate}, {elapsed}, {left} left  {wide_msg}")
        .expect("the template is well-formed")
        .progress_chars("━━╌")
        .with_key("rate", move |state: &ProgressState, w: &mut dyn fmt::Write| w.write_str(&pace_of(state).0).unwrap_or_default())
        .with_key("left", move |state: &ProgressState, w: &mut dyn fmt::Write| w.write_str(&pace_of(state).1).unwrap_or_default())
}

/// Rate and time left, counting only the steps after the first `before`.
fn pace(done: u64, before: u64, total: u64, elapsed: Duration) -> (String, String) {
    let seconds = elapsed.as_secs_f64();
    let rate = done.saturating_sub(before) as f64 / seconds.max(1e-9);
    if rate <= 0.0 {
        return ("-".into(), "unknown".into());
    }
    let shown = if rate >= 1.0 { format!("{rate:.1}/s") } else { format!("{:.1} s each", 1.0 / rate) };
    (shown, clock::human_duration(total.saturating_sub(done) as f64 / rate))
}

/// One running stage; usable from several threads. Dropping it without [`Stage::finish`] says that it stopped early.
pub struct Stage {
    output: Output,
    bar: ProgressBar,
    name: String,
    started: Instant,
    state: Mutex<(Counts, Instant)>,
    finished: bool,
}

#[derive(Clone, Debug)]
struct Counts {
    total: u64,
    done: u64,
    first: u64,
    /// Position of the last printed line.
    line_at: u64,
    message: String,
}

impl Stage {
    pub fn inc(&self, steps: u64) {
        self.bar.inc(steps);
        self.advance(|c| c.done += steps);
    }

    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        self.advance(|c| c.done = done);
    }

    /// Shows the current key metric, e.g. `loss 0.412`.
    pub fn message(&self, message: impl Into<String>) {
        let message = message.into();
        self.bar.set_message(message.clone());
        lock(&self.state).0.message = message;
    }

    fn advance(&self, change: impl FnOnce(&mut Counts)) {
        let due = {
            let mut state = lock(&self.state);
            change(&mut state.0);
            let due = line_is_due(&state.0, state.1.elapsed());
            if due {
                state.0.line_at = state.0.done;
                state.1 = Instant::now();
            }
            due.then(|| state.0.clone())
        };
        if let Some(counts) = due {
            self.print_line(&counts_line(&counts, self.started.elapsed()));
        }
    }

    /// Plain output only; bars show the same by themselves.
    fn print_line(&self, text: &str) {
        if !matches!(self.output, Output::Bars(_)) {
            print_line(&self.output, &format!("{}: {text}", self.name));
        }
    }

    /// Ends the stage with its result in a few words, which stay on the screen.
    pub fn finish(mut self, result: impl AsRef<str>) {
        self.end("done", result.as_ref());
    }

    fn end(&mut self, how: &str, result: &str) {
        self.finished = true;
        self.bar.finish_and_clear();
        let counts = lock(&self.state).0.clone();
        let took = clock::human_duration(self.started.elapsed().as_secs_f64());
        let separator = if result.is_empty() { "" } else { ": " };
        print_line(&self.output, &format!("{}: {how} {}/{} in {took}{separator}{result}", self.name, counts.done, counts.total));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.finished {
            let message = lock(&self.state).0.message.clone();
            self.end("stopped at", &message);
        }
    }
}

/// A line every ten seconds, or every tenth of the stage if that takes at least two seconds.
fn line_is_due(counts: &Counts, since_line: Duration) -> bool {
    let tenth = counts.done.saturating_sub(counts.line_at) * 10 >= counts.total;
    let last = counts.done >= counts.total; // `finish` speaks then
    !last && (since_line >= Duration::from_secs(10) || tenth && since_line >= Duration::from_secs(2))
}

fn counts_line(counts: &Counts, elapsed: Duration) -> String {
    let (rate, left) = pace(counts.done, counts.first, counts.total, elapsed);
    let percent = 100.0 * counts.done as f64 / counts.total.max(1) as f64;
    let elapsed = clock::human_duration(elapsed.as_secs_f64());
    let comma = if counts.message.is_empty() { "" } else { ", " };
    format!("{}/{} ({percent:.0} %), {rate}, elapsed {elapsed}, left {left}{comma}{}", counts.done, counts.total, counts.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);
    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    #[test]
    fn lines_come_at_a_readable_pace() {
        let counts = |done, line_at| Counts { total: 100, done, first: 0, line_at, message: String::new() };
        for (done, line_at, seconds, due) in
            [(5, 0, 1, false), (10, 0, 1, false), (10, 0, 2, true), (5, 0, 9, false), (5, 0, 10, true), (100, 0, 60, false)]
        {
            assert_eq!(line_is_due(&counts(done, line_at), Duration::from_secs(seconds)), due, "{done} of 100 after {seconds} s");
        }
    }

    #[test]
    fn a_line_has_rate_elapsed_and_time_left() {
        let counts = Counts { total: 2000, done: 500, first: 100, line_at: 0, message: "loss 0.412".into() };
        // 400 steps of this process in 40 s: 10/s; 1500 remain: 150 s.
        assert_eq!(counts_line(&counts, Duration::from_secs(40)), "500/2000 (25 %), 10.0/s, elapsed 40.0 s, left 2 min 30 s, loss 0.412");
        assert_eq!(pace(7, 7, 9, Duration::from_secs(1)), ("-".into(), "unknown".into()));
        let slow = Counts { total: 4, done: 1, first: 0, line_at: 0, message: String::new() };
        assert_eq!(counts_line(&slow, Duration::from_secs(8)), "1/4 (25 %), 8.0 s each, elapsed 8.0 s, left 24.0 s");
    }

    #[test]
    fn stages_say_how_they_ended() {
        let captured = Captured::default();
        let progress = Progress::lines(captured.clone());
        let stage = progress.stage("sft", 3);
        (0..3).for_each(|_| stage.inc(1));
        stage.finish("loss 0.25");
        let stage = progress.resumed_stage("rl", 10, 4);
        stage.message("success 40 %");
        stage.inc(1);
        drop(stage);
        let text = captured.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("sft: done 3/3 in ") && lines[0].ends_with(": loss 0.25"), "{text}");
        assert_eq!(lines[1], "rl: resumes at 4/10");
        assert!(lines[2].starts_with("rl: stopped at 5/10 in ") && lines[2].ends_with(": success 40 %"), "{text}");
    }
}

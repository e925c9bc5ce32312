//! The log: short lines on standard error for the person who watches, everything at debug level in `host.log` for the one who asks later.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use super::error::{Error, Result};
use super::progress::Progress;

/// Overrides what is shown, in `tracing`'s filter syntax, e.g. `warn,twinhost::loader=trace`.
pub const FILTER_VARIABLE: &str = "TWINHOST_LOG";

/// Early lines kept until the run folder is known.
const PENDING_LIMIT: usize = 1 << 18;

/// Handle to the log of this process.
#[derive(Clone, Debug)]
pub struct Logging {
    file: LogFile,
}

/// Starts logging for the whole process. `verbosity`: -1 warnings, 0 progress of the run, 1 debug, 2 trace.
///
/// # Errors
/// If `TWINHOST_LOG` is not a filter, or logging was already started.
pub fn init_logging(verbosity: i8, progress: &Progress) -> Result<Logging> {
    let file = LogFile::default();
    let console = Console { progress: progress.clone(), ansi: io::stderr().is_terminal() };
    let subscriber = subscriber(console_filter(verbosity, std::env::var(FILTER_VARIABLE).ok())?, console, file.clone());
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| Error::Refused("logging was already started in this process".into()))?;
    Ok(Logging { file })
}

impl Logging {
    /// From now on also writes to `path` (appending), beginning with what was logged so far.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_to(&self, path: &Path) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("write", path))?;
        let mut slot = self.file.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Pending(lines) = &*slot {
            file.write_all(lines).map_err(Error::io("write", path))?;
        }
        *slot = Slot::Open(file);
        Ok(())
    }
}

fn console_filter(verbosity: i8, variable: Option<String>) -> Result<EnvFilter> {
    if let Some(text) = variable.filter(|t| !t.trim().is_empty()) {
        return EnvFilter::try_new(&text).map_err(|e| Error::Refused(format!("{FILTER_VARIABLE}=`{text}` is not a log filter: {e}")));
    }
    Ok(EnvFilter::new(match verbosity {
        ..=-1 => "warn",
        0 => "warn,twinhost=info,plugin=info",
        1 => "info,twinhost=debug,plugin=debug",
        2.. => "debug,twinhost=trace,plugin=trace",
    }))
}

fn subscriber<W>(filter: EnvFilter, console: W, file: LogFile) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + IsAnsi + Send + Sync + 'static,
{
    let ansi = console.is_ansi();
    let console =
        tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(ansi).with_writer(console).with_filter(filter);
    let file =
        tracing_subscriber::fmt::layer().with_ansi(false).with_writer(file).with_filter(EnvFilter::new("info,twinhost=debug,plugin=debug"));
    tracing_subscriber::registry().with(console).with(file)
}

trait IsAnsi {
    fn is_ansi(&self) -> bool;
}

/// Standard error, with the bars out of the way while a line is written.
struct Console {
    progress: Progress,
    ansi: bool,
}

impl IsAnsi for Console {
    fn is_ansi(&self) -> bool {
        self.ansi
    }
}

impl<'w> MakeWriter<'w> for Console {
    type Writer = ConsoleLine<'w>;
    fn make_writer(&'w self) -> ConsoleLine<'w> {
        ConsoleLine(&self.progress)
    }
}

struct ConsoleLine<'w>(&'w Progress);

impl Write for ConsoleLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `host.log`, or the lines that wait for it.
#[derive(Clone, Debug, Default)]
struct LogFile(Arc<Mutex<Slot>>);

#[derive(Debug)]
enum Slot {
    Pending(Vec<u8>),
    Open(File),
}

impl Default for Slot {
    fn default() -> Self {
        Self::Pending(Vec::new())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(file) => file.write_all(bytes)?,
            // A command without a run folder (`host check`) never opens the file; what does not fit is on the console.
            Slot::Pending(lines) if lines.len() + bytes.len() <= PENDING_LIMIT => lines.extend(bytes),
            Slot::Pending(_) => {}
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogFile {
    type Writer = Self;
    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);
    impl IsAnsi for Screen {
        fn is_ansi(&self) -> bool {
            false
        }
    }
    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl<'w> MakeWriter<'w> for Screen {
        type Writer = Self;
        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn the_file_has_the_early_lines_and_more_detail_than_the_screen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.log");
        let (screen, logging) = (Screen::default(), Logging { file: LogFile::default() });
        let subscriber = subscriber(console_filter(0, None).unwrap(), screen.clone(), logging.file.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "twinhost", "recipe read");
            logging.write_to(&path).unwrap();
            tracing::debug!(target: "twinhost", "cache hit");
            tracing::info!(target: "some_dependency", "chatter");
        });
        let screen = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        assert!(screen.contains("recipe read") && !screen.contains("cache hit") && !screen.contains("chatter"), "{screen}");
        let file = std::fs::read_to_string(&path).unwrap();
        let (first, second) = (file.find("recipe read").unwrap(), file.find("cache hit").unwrap());
        assert!(first < second && file.contains("chatter") && !file.contains('\x1b'), "{file}");
    }

    #[test]
    fn a_wrong_filter_is_refused_by_name() {
        let error = console_filter(0, Some("twinhost=loud".into())).unwrap_err().to_string();
        assert!(error.contains("TWINHOST_LOG=`twinhost=loud`"), "{error}");
        assert!(console_filter(0, Some(" ".into())).is_ok());
    }
}

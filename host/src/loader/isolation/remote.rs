//! The host's side: starts the child, makes the calls, notices how it ends.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use twinhost_plugin_api::{Error, ErrorKind, HostServices, Result};

use super::memory::{Direction, SharedMemory};
use super::output::forward;
use super::wire::{Reader, Writer};
use crate::loader::manifest::Kind;
use crate::loader::probe::{ended, host_binary};
use crate::loader::services::is_cancelled;
use crate::loader::watchdog::Call;

/// How often the host looks whether the child lives and the user wants to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long a child may take to end in order.
const FAREWELL: Duration = Duration::from_secs(2);

/// What to start, as often as needed.
#[derive(Clone)]
pub struct Launch {
    pub kind: Kind,
    pub library: PathBuf,
    pub component: String,
    pub config: String,
    pub services: HostServices,
    /// A call that takes longer ends the child.
    pub limit: Duration,
    pub status: Arc<Status>,
}

/// What the rest of the host may know of the child.
#[derive(Debug, Default)]
pub struct Status {
    /// The child has ended, and a reset starts it again.
    pub down: AtomicBool,
    /// Its process number, 0 if it has none.
    pub process: AtomicU32,
}

struct Process {
    child: Child,
    memory: SharedMemory,
}

/// A component in a child process.
pub struct Remote {
    launch: Launch,
    process: Option<Process>,
    /// What the component said of itself when it was created.
    pub spec: String,
}

impl Remote {
    /// Starts the child and creates the component there.
    ///
    /// # Errors
    /// As creating it here would give, or how the child ended.
    pub fn start(launch: Launch) -> Result<Self> {
        let mut remote = Self { launch, process: None, spec: String::new() };
        remote.restart()?;
        Ok(remote)
    }

    pub fn is_down(&self) -> bool {
        self.process.is_none()
    }

    /// A fresh child with a fresh component.
    ///
    /// # Errors
    /// As [`Remote::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.end();
        let Some(host) = host_binary() else {
            return Err(Error::unsupported("`isolation: Process` needs the host binary, and this program has not said where it is"));
        };
        let trouble = |e: std::io::Error| Error::io(format!("cannot start a process for it: {e}"));
        let memory = SharedMemory::create().map_err(trouble)?;
        let mut command = Command::new(host);
        command
            .args(["child", "component", "--parent", &std::process::id().to_string()])
            .stdin(Stdio::from(memory.file().map_err(trouble)?))
            .stderr(Stdio::piped());
        // Ctrl-C at the terminal is the host's to handle, not the component's.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(trouble)?;
        if let Some(printed) = child.stderr.take() {
            forward(printed, self.launch.component.clone());
        }
        self.launch.status.process.store(child.id(), Ordering::Relaxed);
        self.process = Some(Process { child, memory });
        let launch = self.launch.clone();
        // Opening libraries and building a scene takes longer than a call.
        let spec = self.exchange(
            Call::Create,
            launch.limit.saturating_mul(4),
            |w| {
                w.u64(launch.kind as u64);
                w.text(launch.library.to_str().ok_or_else(|| Error::io(format!("the path {} is not UTF-8", launch.library.display())))?);
                w.text(&launch.component);
                w.text(&launch.config);
                w.u64(u64::from(launch.services.threads));
                w.u64(launch.services.seed);
                Ok(())
            },
            |r| Ok(r.text()?.to_owned()),
        )?;
        if !self.spec.is_empty() && self.spec != spec {
            return Err(Error::internal("describes itself differently after its process was started again"));
        }
        self.spec = spec;
        self.launch.status.down.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// One call: `write` puts the arguments down, `read` takes the result up.
    ///
    /// # Errors
    /// The component's own, or how its process ended.
    pub fn call<T>(
        &mut self,
        call: Call,
        write: impl FnOnce(&mut Writer<'_>) -> Result<()>,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        self.exchange(call, self.launch.limit, write, read)
    }

    fn exchange<T>(
        &mut self,
        call: Call,
        limit: Duration,
        write: impl FnOnce(&mut Writer<'_>) -> Result<()>,
        read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        let Some(process) = &mut self.process else {
            return Err(Error::internal("its process ended in an earlier call; the next reset starts it again"));
        };
        let seen = process.memory.sent(Direction::Response);
        let mut writer = Writer::new(process.memory.write(Direction::Request));
        writer.u64(call as u64);
        write(&mut writer)?;
        let length = writer.finish()?;
        process.memory.send(Direction::Request, length);

        let mut started = None;
        while !process.memory.wait(Direction::Response, seen, LOOK) {
            process.memory.cancelled().store(u32::from(is_cancelled()), Ordering::Relaxed);
            let started = *started.get_or_insert_with(Instant::now);
            let how = match process.child.try_wait() {
                // The answer may have come together with the end.
                Ok(Some(_)) if process.memory.wait(Direction::Response, seen, Duration::ZERO) => continue,
                Ok(Some(status)) => format!("its process ended with {}", ended(status)),
                Ok(None) if started.elapsed() < limit => continue,
                Ok(None) => format!("did not return for {:.1} s, and its process was ended", started.elapsed().as_secs_f64()),
                Err(e) => format!("its process is lost: {e}"),
            };
            self.kill();
            return Err(Error::internal(format!("{how}; the next reset starts it again")));
        }
        let mut reader = Reader::new(process.memory.read(Direction::Response));
        let outcome = match reader.u64() {
            Ok(0) => return read(&mut reader),
            Ok(_) => reader.error(),
            Err(e) => Err(e),
        };
        let error = outcome.unwrap_or_else(|damage| damage);
        if error.kind == ErrorKind::Panic {
            // A panic may have left the component half changed.
            self.kill();
            return Err(Error { kind: ErrorKind::Internal, ..error }.context("its process was ended after a panic"));
        }
        Err(error)
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        self.launch.status.process.store(0, Ordering::Relaxed);
        self.launch.status.down.store(true, Ordering::Relaxed);
    }

    /// Lets the component close what it holds, within reason.
    fn end(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let mut writer = Writer::new(process.memory.write(Direction::Request));
        writer.u64(Call::Stop as u64);
        if let Ok(length) = writer.finish() {
            process.memory.send(Direction::Request, length);
        }
        let started = Instant::now();
        while started.elapsed() < FAREWELL {
            if !matches!(process.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = process.child.kill();
        let _ = process.child.wait();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.end();
    }
}

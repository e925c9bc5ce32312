//! The child's side: creates one component and does what the host asks, until it asks no more or is gone.

use abi_stable::std_types::{RSlice, RString};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;
use twinhost_plugin_api::v1::env::EnvBox;
use twinhost_plugin_api::v1::policy::PolicyBox;
use twinhost_plugin_api::v1::reward::RewardBox;
use twinhost_plugin_api::{ActMode, ActRequest, Error, ResetRequest, Result};

use super::memory::{Direction, SharedMemory};
use super::wire::{Reader, Writer};
use crate::loader::inspection::inspect;
use crate::loader::manifest::Kind;
use crate::loader::services::{host_services, obey};
use crate::loader::watchdog::Call;
use crate::loader::{libraries, native};

/// How often a child without work looks whether its host is still there.
const LOOK: Duration = Duration::from_secs(1);

enum Component {
    Env(EnvBox),
    Reward(RewardBox),
    Policy(PolicyBox),
}

/// Serves the host with the process number `parent`, whose shared memory is standard input. Returns when there is nothing left to do.
pub fn serve(parent: u32) {
    let mapped = std::io::stdin().as_fd().try_clone_to_owned().map(File::from).and_then(|file| {
        // One view for the calls, and one that stays for ever, through which the wish to stop is read.
        let flag: &'static SharedMemory = Box::leak(Box::new(SharedMemory::map(file.try_clone()?)?));
        Ok((SharedMemory::map(file)?, flag))
    });
    let (mut memory, flag) = match mapped {
        Ok(mapped) => mapped,
        Err(error) => {
            tracing::error!("`host child component` is started by the host only: standard input {error}");
            return;
        }
    };
    close_input();
    obey(flag.cancelled());
    let mut component = None;
    let mut seen = 0;
    loop {
        if !memory.wait(Direction::Request, seen, LOOK) {
            if std::os::unix::process::parent_id() == parent {
                continue;
            }
            return;
        }
        seen = memory.sent(Direction::Request);
        let (request, lane) = memory.answering();
        let Some(length) = answer(&mut component, request, lane) else { return };
        memory.send(Direction::Response, length);
    }
}

/// What the component reads from standard input must not be the memory.
fn close_input() {
    // SAFETY: opens and renames file numbers; a failure leaves standard input as it is, which only a component that reads it would notice.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
        if null >= 0 {
            libc::dup2(null, 0);
            libc::close(null);
        }
    }
}

/// Does what was asked; returns the length of the answer, or `None` if there is no more to do.
fn answer(component: &mut Option<Component>, request: &[u8], lane: &mut [u8]) -> Option<usize> {
    let mut reader = Reader::new(request);
    let call = reader.u64().ok().and_then(|n| u8::try_from(n).ok()).and_then(Call::numbered);
    if call == Some(Call::Stop) {
        return None;
    }
    let mut writer = Writer::new(lane);
    writer.u64(0);
    let outcome = match (call, component.as_mut()) {
        (Some(Call::Create), _) => create(&mut reader, &mut writer).map(|made| *component = Some(made)),
        (Some(call), Some(component)) => component.perform(call, &mut reader, &mut writer),
        _ => Err(Error::internal("the host asked for something unknown")),
    };
    let error = match outcome.and_then(|()| writer.finish()) {
        Ok(length) => return Some(length),
        Err(error) => error,
    };
    let mut writer = Writer::new(lane);
    writer.u64(1);
    writer.error(&error);
    Some(writer.finish().unwrap_or_default())
}

fn create(reader: &mut Reader<'_>, writer: &mut Writer<'_>) -> Result<Component> {
    let kind = reader.u64()?;
    let library = Path::new(reader.text()?);
    let (name, config) = (reader.text()?, reader.text()?);
    let services = host_services(u32::try_from(reader.u64()?).unwrap_or(1), reader.u64()?);
    let refuse = |reason: String| Error::io(format!("{}: {reason}", library.display()));
    let found = inspect(library).map_err(|e| Error::io(e.to_string()))?.ok_or_else(|| refuse("is not a Twinhost plugin".into()))?;
    for requirement in &found.manifest.requires {
        libraries::open(requirement).map_err(refuse)?;
    }
    let module = native::load(library).map_err(refuse)?;
    let (component, spec): (_, RString) = if kind == Kind::Env as u64 {
        let env = module.create_env()(name.into(), config.into(), services).into_result()?;
        let spec = env.spec().into_result()?;
        (Component::Env(env), spec)
    } else if kind == Kind::Reward as u64 {
        let reward = module.create_reward()(name.into(), config.into(), services).into_result()?;
        let spec = reward.spec().into_result()?;
        (Component::Reward(reward), spec)
    } else if kind == Kind::Policy as u64 {
        let policy = module.create_policy()(name.into(), config.into(), services).into_result()?;
        let spec = policy.spec().into_result()?;
        (Component::Policy(policy), spec)
    } else {
        return Err(Error::unsupported("components of this kind cannot live in a process of their own"));
    };
    writer.text(&spec);
    Ok(component)
}

impl Component {
    fn perform(&mut self, call: Call, reader: &mut Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
        match self {
            Component::Env(env) => perform_env(env, call, reader, writer),
            Component::Reward(reward) => match call {
                Call::Reset => reward.reset(&rows(reader)?.into()).into_result(),
                Call::Score => writer.batch(&reward.score(&reader.batch()?).into_result()?),
                other => Err(unknown(other)),
            },
            Component::Policy(policy) => perform_policy(policy, call, reader, writer),
        }
    }
}

fn perform_env(env: &mut EnvBox, call: Call, reader: &mut Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
    match call {
        Call::Reset => {
            let mut request = ResetRequest::new(reader.numbers()?);
            request.auto_reset = reader.u64()? != 0;
            request = request.variant(reader.text()?);
            request.privileged = reader.u64()? != 0;
            writer.batch(&env.reset(&request).into_result()?)
        }
        Call::Step => writer.batch(&env.step(&reader.tensor()?).into_result()?),
        Call::Render => {
            let (row, camera) = (reader.usize()?, reader.text()?);
            writer.tensor(&env.render(row, camera.into(), reader.usize()?, reader.usize()?).into_result()?)
        }
        Call::SaveState => {
            writer.bytes(&env.save_state().into_result()?);
            Ok(())
        }
        Call::LoadState => env.load_state(RSlice::from_slice(reader.bytes()?)).into_result(),
        other => Err(unknown(other)),
    }
}

fn perform_policy(policy: &mut PolicyBox, call: Call, reader: &mut Reader<'_>, writer: &mut Writer<'_>) -> Result<()> {
    match call {
        Call::Reset => policy.reset(&rows(reader)?.into(), &reader.numbers()?.into()).into_result(),
        Call::Act => {
            let mode = if reader.u64()? != 0 { ActMode::Greedy } else { ActMode::Sample };
            let temperature = f32::from_bits(u32::try_from(reader.u64()?).unwrap_or_default());
            let request = ActRequest { mode, temperature, seed: reader.u64()?, training: reader.u64()? != 0 };
            writer.batch(&policy.act(&reader.batch()?, &request).into_result()?)
        }
        Call::SetStatistics => policy.set_statistics(reader.text()?.into()).into_result(),
        Call::Save => policy.save(reader.text()?.into()).into_result(),
        Call::Load => policy.load(reader.text()?.into()).into_result(),
        Call::Digest => {
            writer.text(&policy.digest().into_result()?);
            Ok(())
        }
        other => Err(unknown(other)),
    }
}

fn rows(reader: &mut Reader<'_>) -> Result<Vec<usize>> {
    Ok(reader.numbers()?.into_iter().map(|row| row as usize).collect())
}

fn unknown(call: Call) -> Error {
    Error::internal(format!("`{call}` is not a call of this kind of component"))
}

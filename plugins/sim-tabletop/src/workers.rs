//! Worker threads that own the instances. An OpenGL context cannot change threads, so instances never do either.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use twinhost_plugin_api::{Error, Result};

use crate::cell::Cell;
use crate::instance::{ChunkResult, Instance, Mode};
use crate::observe::Observation;
use crate::render::Renderer;

/// Work for one thread; rows count from its first instance.
enum Job {
    /// Opens the rendering context for observations.
    Prepare,
    Reset(Vec<u64>, Mode),
    /// Actions of this worker's rows, `[rows, C, 7]`.
    Step(Vec<f32>),
    Picture {
        row: usize,
        camera: usize,
        width: usize,
        height: usize,
    },
    Save,
    Load(Vec<Vec<u8>>),
}

enum Answer {
    Ready,
    Observations(Vec<Observation>),
    Chunks(Vec<ChunkResult>),
    Picture(Vec<u8>),
    States(Vec<Vec<u8>>),
}

struct Worker {
    rows: Range<usize>,
    jobs: Option<Sender<Job>>,
    answers: Receiver<Result<Answer>>,
    thread: Option<JoinHandle<()>>,
}

/// Splits the instances over threads in contiguous parts; which thread runs a row never changes what it computes.
pub struct Workers {
    workers: Vec<Worker>,
}

fn serve(cell: &Cell, instances: &mut [Instance], renderer: &mut Renderer, job: Job) -> Result<Answer> {
    match job {
        Job::Prepare => {
            renderer.open(&*cell.any_model()?, cell.config.format())?;
            Ok(Answer::Ready)
        }
        Job::Reset(seeds, mode) => {
            let mut observations = Vec::with_capacity(instances.len());
            for (instance, seed) in instances.iter_mut().zip(seeds) {
                instance.reset(seed, mode)?;
                observations.push(instance.observe(renderer)?);
            }
            Ok(Answer::Observations(observations))
        }
        Job::Step(actions) => {
            let width = actions.len() / instances.len();
            let rows = instances.iter_mut().zip(actions.chunks_exact(width));
            Ok(Answer::Chunks(rows.map(|(instance, actions)| instance.run(actions, renderer)).collect::<Result<_>>()?))
        }
        Job::Picture { row, camera, width, height } => Ok(Answer::Picture(instances[row].picture(renderer, camera, width, height)?)),
        Job::Save => Ok(Answer::States(instances.iter().map(Instance::save).collect())),
        Job::Load(states) => {
            for (instance, state) in instances.iter_mut().zip(states) {
                instance.load(&state)?;
            }
            Ok(Answer::Ready)
        }
    }
}

fn lost() -> Error {
    Error::internal("a simulation thread stopped unexpectedly")
}

impl Workers {
    /// # Errors
    /// If a thread cannot start, memory is short, or cameras are configured and the machine cannot render.
    pub fn start(cell: &Arc<Cell>, threads: usize) -> Result<Self> {
        let total = cell.config.num_envs;
        let count = threads.clamp(1, total);
        let mut workers = Vec::with_capacity(count);
        for w in 0..count {
            let rows = w * total / count..(w + 1) * total / count;
            let mut instances: Vec<Instance> = rows.clone().map(|_| Instance::new(cell)).collect::<Result<_>>()?;
            let (jobs, inbox) = channel::<Job>();
            let (outbox, answers) = channel();
            let cell = cell.clone();
            let thread = std::thread::Builder::new()
                .name(format!("tabletop-{w}"))
                .spawn(move || {
                    let mut renderer = Renderer::default();
                    for job in inbox {
                        if outbox.send(serve(&cell, &mut instances, &mut renderer, job)).is_err() {
                            break;
                        }
                    }
                })
                .map_err(|e| Error::internal(format!("cannot start a simulation thread: {e}")))?;
            workers.push(Worker { rows, jobs: Some(jobs), answers, thread: Some(thread) });
        }
        let pool = Self { workers };
        if !cell.config.cameras.is_empty() {
            pool.all(|_| Job::Prepare)?;
        }
        Ok(pool)
    }

    /// Gives every worker its job, then waits for all answers, in row order. The first error wins, after everybody finished.
    fn all(&self, mut job: impl FnMut(&Range<usize>) -> Job) -> Result<Vec<Answer>> {
        for worker in &self.workers {
            worker.jobs.as_ref().ok_or_else(lost)?.send(job(&worker.rows)).map_err(|_| lost())?;
        }
        let answers: Vec<Result<Answer>> = self.workers.iter().map(|w| w.answers.recv().unwrap_or_else(|_| Err(lost()))).collect();
        answers.into_iter().collect()
    }

    pub fn reset(&self, seeds: &[u64], mode: Mode) -> Result<Vec<Observation>> {
        let answers = self.all(|rows| Job::Reset(seeds[rows.clone()].to_vec(), mode))?;
        Ok(answers.into_iter().flat_map(|a| if let Answer::Observations(rows) = a { rows } else { Vec::new() }).collect())
    }

    /// `actions` `[B, C, 7]`, `width` = C * 7.
    pub fn step(&self, actions: &[f32], width: usize) -> Result<Vec<ChunkResult>> {
        let answers = self.all(|rows| Job::Step(actions[rows.start * width..rows.end * width].to_vec()))?;
        Ok(answers.into_iter().flat_map(|a| if let Answer::Chunks(rows) = a { rows } else { Vec::new() }).collect())
    }

    pub fn picture(&self, row: usize, camera: usize, width: usize, height: usize) -> Result<Vec<u8>> {
        let worker = self.workers.iter().find(|w| w.rows.contains(&row)).ok_or_else(lost)?;
        let job = Job::Picture { row: row - worker.rows.start, camera, width, height };
        worker.jobs.as_ref().ok_or_else(lost)?.send(job).map_err(|_| lost())?;
        match worker.answers.recv().map_err(|_| lost())?? {
            Answer::Picture(pixels) => Ok(pixels),
            _ => Err(lost()),
        }
    }

    pub fn save(&self) -> Result<Vec<Vec<u8>>> {
        let answers = self.all(|_| Job::Save)?;
        Ok(answers.into_iter().flat_map(|a| if let Answer::States(rows) = a { rows } else { Vec::new() }).collect())
    }

    pub fn load(&self, states: &[&[u8]]) -> Result<()> {
        self.all(|rows| Job::Load(states[rows.clone()].iter().map(|s| s.to_vec()).collect())).map(|_| ())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.jobs = None;
        }
        for thread in self.workers.iter_mut().filter_map(|w| w.thread.take()) {
            // A worker that panicked has already been reported as lost by the call that noticed.
            let _ = thread.join();
        }
    }
}

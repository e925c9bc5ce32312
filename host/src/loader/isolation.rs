//! Components in a process of their own: what crashes there is a failure that can be told and mended, not the end of the run.
//!
//! The host starts itself again (`host child component`) with a piece of shared memory as standard input. A call is written into one
//! lane of it, the answer into the other, and two counters say whose turn it is; whoever waits spins for a moment, then sleeps on the counter.
//! The proxies here implement the author-side traits, so the rest of the host does not know where a component lives. This guards against
//! crashes, hangs and leaks; it is no sandbox: the child may do whatever the user may.

mod memory;
mod output;
mod proxies;
mod remote;
mod server;
mod wire;

pub(super) use proxies::{RemoteEnv, RemotePolicy, RemoteReward};
pub(super) use remote::{Launch, Status};
pub use server::serve;

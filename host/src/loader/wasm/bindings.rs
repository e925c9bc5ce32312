//! What `plugin-api/wit/v1/` looks like from the host's side, generated.
//!
//! Batches that go to a guest are borrowed, so that host memory is copied once, straight into the guest's. The worlds whose batches go in share one
//! set of types; an environment's come out, so it has its own.

pub mod reward {
    wasmtime::component::bindgen!({
        path: "../plugin-api/wit/v1",
        world: "reward",
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}

pub mod filter {
    wasmtime::component::bindgen!({
        path: "../plugin-api/wit/v1",
        world: "filter",
        ownership: Borrowing { duplicate_if_necessary: false },
        with: { "twinhost:plugin/types@1.0.0": super::reward::twinhost::plugin::types },
    });
}

pub mod policy {
    wasmtime::component::bindgen!({
        path: "../plugin-api/wit/v1",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: false },
        with: { "twinhost:plugin/types@1.0.0": super::reward::twinhost::plugin::types },
    });
}

pub mod env {
    wasmtime::component::bindgen!({
        path: "../plugin-api/wit/v1",
        world: "env",
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}

pub use env::twinhost::plugin::types as env_types;
pub use reward::twinhost::plugin::types;

//! The only crate a Twinhost plugin needs.
//!
//! A plugin is a shared library that implements one or more *components* ([`v1::Env`], [`v1::Policy`], [`v1::Algorithm`], ...) and
//! exports them under names that recipes use. Nothing but the types of this crate crosses the boundary, and no panic does.
//! The feature `testkit` has the conformance checks that a component passes before anyone relies on it.

pub mod checks;
#[cfg(feature = "testkit")]
pub mod testkit;
// sabi_trait expands to impls inside an anonymous constant.
#[allow(non_local_definitions)]
pub mod v1;

pub use v1::*;

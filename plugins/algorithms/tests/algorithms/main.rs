//! Tests of the algorithms against recorded outputs of public code, derivations, and a small policy of known gradients.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod anchor;
mod configuration;
mod gae;
mod linear_policy;
mod losses;
mod optimizer;
mod subject;
mod updates;

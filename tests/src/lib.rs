//! End-to-end tests: they start the `host` binary as a user would.

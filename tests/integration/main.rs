//! The programs of `dist/`, driven as their users drive them: what is promised, not how it is done.
//! A test waits for what is said or seen, under the harness's one deadline, and never for a time.
mod harness;

mod agent;
mod budget;
mod cli;
mod config;
mod containers;
mod exec;
mod fail_open;
mod hardening;
mod heap;
mod logs;
mod plain;
mod terminal;
mod tidy;
mod trace;
mod usage;

//! `waypoint version`: ours, and the server's if one answers soon.
use crate::cli::desk::{Desk, print};
use crate::cli::failure::Outcome;
use std::time::Duration;

/// So long the server may take; its version is an extra.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(desk: &Desk<'_>) -> Outcome {
    let mut text = format!("waypoint v{}\n", env!("CARGO_PKG_VERSION"));
    if let Ok(Ok(link)) = tokio::time::timeout(PATIENCE, desk.link()).await {
        let version = if link.version.is_empty() { "without a version" } else { &link.version };
        text = format!("{text}server {}\n", desk.style.text(version));
    }
    print(&text)
}

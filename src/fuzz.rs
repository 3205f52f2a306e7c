//! Doors for the fuzzer, one for each place where foreign bytes come in. Only built for it.
use crate::seam::block::{Command, Env};
use crate::seam::message::{MAX_PACKET, ToAgent, ToInit};

/// What the other side of the seam sends: nothing panics, and what is accepted is what we send.
pub fn seam(bytes: &[u8]) {
    if let Ok(message) = ToInit::decode(bytes) {
        assert_eq!(message.encode(&mut [0; 64]), bytes);
    }
    if let Ok(message) = ToAgent::decode(bytes) {
        assert_eq!(message.encode(&mut [0; MAX_PACKET]), Some(bytes));
    }
    let _ = Env::parse(bytes);
    let _ = Command::parse(bytes, u16::from(bytes.first().copied().unwrap_or_default()));
}

/// What name servers, proxies, files and token endpoints answer.
pub fn link(bytes: &[u8]) {
    crate::agent::link::fuzz(bytes);
}

/// What is said to be a token.
pub fn token(bytes: &[u8]) {
    if let Ok(transport) = crate::token::decode(&String::from_utf8_lossy(bytes)) {
        assert_eq!(crate::token::decode(&crate::token::encode(&transport)), Ok(transport));
    }
}

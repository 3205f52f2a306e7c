//! A Waypoint token as text: base58 of `wp24` and a `TokenTransport`. Signing is the server's room.
use crate::proto::TokenTransport;
use prost::Message;

const MAGIC: &[u8; 4] = b"wp24";
/// No token is longer; a real one has some 200 characters, with OAuth2 credentials some 600.
pub(crate) const MAX_TOKEN: usize = 16 * 1024;

/// Why a text is no token. It never quotes the token: this ends up in logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NoToken {
    TooLong,
    NotBase58,
    NoMagic,
    NotATransport,
}

impl std::fmt::Display for NoToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the token is longer than 16 KiB",
            Self::NotBase58 => "the token has characters that no token has (it is base58)",
            Self::NoMagic => "the token does not begin as a Waypoint token does",
            Self::NotATransport => "the token is damaged: its content cannot be read",
        })
    }
}

impl std::error::Error for NoToken {}

pub(crate) fn encode(transport: &TokenTransport) -> String {
    let bytes = [MAGIC.as_slice(), &transport.encode_to_vec()].concat();
    bs58::encode(bytes).into_string()
}

pub(crate) fn decode(text: &str) -> Result<TokenTransport, NoToken> {
    if text.len() > MAX_TOKEN {
        return Err(NoToken::TooLong);
    }
    let bytes = bs58::decode(text).into_vec().map_err(|_| NoToken::NotBase58)?;
    let body = bytes.strip_prefix(MAGIC).ok_or(NoToken::NoMagic)?;
    TokenTransport::decode(body).map_err(|_| NoToken::NotATransport)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_as_it_was_written() {
        let transport =
            TokenTransport { body: vec![0, 1, 2], key_id: "k1".into(), ..Default::default() };
        assert_eq!(decode(&encode(&transport)), Ok(transport));
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_quoted() {
        for (text, refused) in [
            ("0OIl", NoToken::NotBase58),
            ("", NoToken::NoMagic),
            ("abc", NoToken::NoMagic),
            (&bs58::encode(b"wp24\xff").into_string(), NoToken::NotATransport),
            (&"1".repeat(MAX_TOKEN + 1), NoToken::TooLong),
        ] {
            assert_eq!(decode(text), Err(refused));
        }
    }
}

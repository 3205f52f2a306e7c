use super::*;
use std::time::UNIX_EPOCH;

const KEY: Key = Key([7; 32]);

fn at(seconds: u64) -> Moment {
    Moment { now: UNIX_EPOCH + Duration::from_secs(seconds), random: [3; 32] }
}

fn login(entrypoint: Option<&str>) -> token::Kind {
    let entrypoint = entrypoint.map(|it| token::Entrypoint { deployment_id: it.into() });
    token::Kind::Login(token::Login { user_id: "u".into(), entrypoint })
}

fn signed(token: &Token) -> String {
    let body = token.encode_to_vec();
    let signature = KEY.mac(&body).finalize().into_bytes().to_vec();
    text::encode(&TokenTransport { body, signature, key_id: "k1".into(), ..Default::default() })
}

fn who(token: &str, now: u64) -> Result<Caller, Disbelieved> {
    KEY.verify(token, at(now).now).and_then(|(token, _)| caller(&token))
}

#[test]
fn a_login_is_believed_until_it_expires() {
    let token = KEY.issue(login(None), Some(Duration::from_secs(10)), &at(100));
    assert_eq!(who(&token, 100), Ok(Caller::User("u".into())));
    assert_eq!(who(&token, 110), Ok(Caller::User("u".into())));
    assert_eq!(who(&token, 111), Err(Disbelieved::Expired));
    let token = KEY.issue(login(None), None, &at(100));
    assert_eq!(who(&token, u32::MAX.into()), Ok(Caller::User("u".into())));
}

#[test]
fn an_entrypoint_is_told_from_a_user() {
    let token = KEY.issue(login(Some("D")), None, &at(0));
    let entrypoint = Caller::Entrypoint { user: "u".into(), deployment: "D".into() };
    assert_eq!(who(&token, 0), Ok(entrypoint));
}

#[test]
fn what_another_key_signed_or_somebody_changed_is_not_believed() {
    let token = Key([8; 32]).issue(login(None), None, &at(0));
    assert_eq!(who(&token, 0), Err(Disbelieved::Forged));
    let good = text::decode(&KEY.issue(login(Some("D")), None, &at(0))).expect("ours");
    for (index, _) in good.body.iter().enumerate() {
        let mut changed = good.clone();
        changed.body[index] ^= 1;
        assert_eq!(who(&text::encode(&changed), 0), Err(Disbelieved::Forged), "byte {index}");
    }
    for signature in [vec![], good.signature[..31].to_vec()] {
        let cut = TokenTransport { signature, ..good.clone() };
        assert_eq!(who(&text::encode(&cut), 0), Err(Disbelieved::Forged));
    }
    let other = TokenTransport { key_id: "k2".into(), ..good };
    assert_eq!(who(&text::encode(&other), 0), Err(Disbelieved::UnknownKey));
    assert!(matches!(who("0", 0), Err(Disbelieved::NoToken(_))));
}

#[test]
fn the_signature_is_keyed_blake2b_so_that_a_key_can_move() {
    // Computed with another implementation: blake2b(b"body", key=b"\x07"*32, digest_size=32).
    let known = "76fc5b3dd609fceae48ff2186af6048d4660c6828ad887cfafa831784c473659";
    let mac = KEY.mac(b"body").finalize().into_bytes();
    assert_eq!(mac.iter().map(|it| format!("{it:02x}")).collect::<String>(), known);
}

#[test]
fn tokens_from_before_there_were_kinds_are_what_they_were() {
    let old = Token { unused_login: true, ..Default::default() };
    assert_eq!(who(&signed(&old), 0), Ok(Caller::User(DEFAULT_USER.into())));
    let entrypoint = Some(token::Entrypoint { deployment_id: "D".into() });
    let bound = Token { unused_login: true, unused_entrypoint: entrypoint, ..Default::default() };
    let caller = Caller::Entrypoint { user: DEFAULT_USER.into(), deployment: "D".into() };
    assert_eq!(who(&signed(&bound), 0), Ok(caller));
    let invite = Token { unused_invite: true, ..Default::default() };
    assert_eq!(who(&signed(&invite), 0), Err(Disbelieved::Invite));
    assert_eq!(who(&signed(&Token::default()), 0), Err(Disbelieved::NoKind));
}

#[test]
fn invites_and_triggers_are_no_credentials() {
    let trigger = KEY.issue(token::Kind::Trigger(token::Trigger::default()), None, &at(0));
    assert_eq!(who(&trigger, 0), Err(Disbelieved::Trigger));
    let invite = KEY.issue(token::Kind::Invite(token::Invite::default()), None, &at(0));
    assert_eq!(who(&invite, 0), Err(Disbelieved::Invite));
}

use super::*;
use crate::proto::TokenTransport;
use proptest::prelude::*;

fn oauth(url: &str) -> OAuth {
    OAuth { url: url.into(), client_id: "id:1".into(), client_secret: "s&cret".into() }
}

fn code(status: u16, body: &str) -> i32 {
    answer(status, body.as_bytes()).err().expect("refused").code
}

#[test]
fn a_login_with_credentials_is_sent_without_them_and_still_signed() {
    let plain = TokenTransport {
        body: vec![1, 2],
        signature: vec![3],
        key_id: "k1".into(),
        ..Default::default()
    };
    let credentials = OAuthCredentials {
        url: "https://auth/token".into(),
        client_id: "id".into(),
        client_secret: "secret".into(),
    };
    let creds = Some(ExternalCreds::OauthCreds(credentials));
    let with = TokenTransport { external_creds: creds, ..plain.clone() };
    let login = Login::read(crate::token::encode(&with));
    assert_eq!(crate::token::decode(&login.token), Ok(plain.clone()));
    assert!(login.oauth.is_some_and(|it| it.client_secret == "secret"));
    let text = crate::token::encode(&plain);
    assert!(Login::read(text.clone()) == Login { token: text, oauth: None });
    let strange = "not a token".to_owned();
    assert!(Login::read(strange.clone()) == Login { token: strange, oauth: None });
}

#[test]
fn an_endpoint_is_an_http_url() {
    for (url, expected) in [
        ("https://auth.example/oauth2/token", Some((true, "auth.example:443", "/oauth2/token"))),
        ("http://10.0.0.1:8080?a=b#c", Some((false, "10.0.0.1:8080", "/?a=b"))),
        ("HTTPS://auth", Some((true, "auth:443", "/"))),
        ("ftp://auth", None),
        ("auth/token", None),
        ("https:///token", None),
        ("https://me@auth/", None),
        ("https://auth/\r\nHost: evil", None),
    ] {
        let endpoint = oauth(url).endpoint().ok();
        let shown = endpoint.map(|it| (it.tls, it.address.to_string(), it.path));
        let expected = expected.map(|(tls, at, path)| (tls, at.to_owned(), path.to_owned()));
        assert_eq!(shown, expected, "{url}");
    }
}

#[test]
fn the_secret_is_in_the_header_or_in_the_form() {
    let audience = "grant_type=client_credentials&audience=https%3A%2F%2Fapi.hashicorp.cloud";
    let (header, body) = oauth("").request(Proof::Basic);
    // id%3A1:s%26cret
    assert_eq!(header.as_deref(), Some("Basic aWQlM0ExOnMlMjZjcmV0"));
    assert_eq!(body, audience);
    let (header, body) = oauth("").request(Proof::Form);
    assert_eq!(header, None);
    assert_eq!(body, format!("{audience}&client_id=id%3A1&client_secret=s%26cret"));
}

#[test]
fn an_access_token_is_renewed_before_its_end() {
    for (expires, seconds) in [
        ("", 240),
        (r#","expires_in":3600"#, 3540),
        (r#","expires_in":"3600""#, 3540),
        (r#","expires_in":60"#, 40),
        (r#","expires_in":1"#, 10),
        (r#","expires_in":0"#, 240),
        (r#","expires_in":-5"#, 240),
        (r#","expires_in":99999999999999"#, 365 * 24 * 3600 - 60),
    ] {
        let body = format!(r#"{{"access_token":"abc","token_type":"bearer"{expires}}}"#);
        let access = answer(200, body.as_bytes()).expect("a token");
        assert_eq!(access.authorization, "Bearer abc");
        assert_eq!(access.renew_after.as_secs(), seconds, "{expires}");
    }
}

#[test]
fn a_refusal_says_why_and_nothing_else_is_quoted() {
    assert_eq!((code(401, "{}"), code(400, "{}"), code(503, "<html>")), (16, 16, 14));
    assert_eq!(
        (code(200, "{}"), code(200, "[]"), code(200, r#"{"access_token":""}"#)),
        (14, 14, 14)
    );
    let body =
        br#"{"error":"invalid_client","error_description":"no such client","hint":"secret"}"#;
    let lost = answer(401, body).err().expect("refused");
    assert_eq!(lost.text, "the OAuth2 endpoint answered 401: invalid_client no such client");
}

proptest! {
    #[test]
    fn foreign_bytes_are_harmless(status: u16, body: Vec<u8>, url in ".{0,80}") {
        let _ = answer(status, &body);
        let _ = oauth(&url).endpoint();
    }
}

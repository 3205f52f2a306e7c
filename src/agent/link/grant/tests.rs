use super::super::dial::{Dialled, Io};
use super::*;
use http::HeaderMap;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// An endpoint that gives its answers one by one, and keeps what it was asked.
struct Endpoint {
    answers: Mutex<Vec<String>>,
    asked: mpsc::Sender<String>,
}

fn endpoint(answers: &[(&str, &str)]) -> (Arc<Endpoint>, mpsc::Receiver<String>) {
    let (asked, questions) = mpsc::channel(8);
    let answer = |&(status, body): &(&str, &str)| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let answers = Mutex::new(answers.iter().rev().map(answer).collect());
    (Arc::new(Endpoint { answers, asked }), questions)
}

impl Dial for Endpoint {
    fn dial<'a>(&'a self, to: &'a Target) -> Dialled<'a> {
        assert_eq!((to.address.to_string().as_str(), to.tls), ("auth.test:443", true));
        assert_eq!(to.protocol, b"http/1.1");
        let answer = self.answers.lock().expect("no panic").pop();
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let asked = self.asked.clone();
        tokio::spawn(async move {
            let mut question = vec![];
            // All our requests end with their form.
            while !String::from_utf8_lossy(&question).contains("api.hashicorp.cloud") {
                theirs.read_buf(&mut question).await.expect("a request");
            }
            asked.send(String::from_utf8_lossy(&question).into_owned()).await.expect("a test");
            // Without an answer it is silent, and stays open.
            match answer {
                Some(answer) => theirs.write_all(answer.as_bytes()).await.expect("sent"),
                None => std::future::pending().await,
            }
        });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Io>) })
    }
}

fn login() -> Login {
    let oauth = OAuth {
        url: "https://auth.test/token".into(),
        client_id: "id".into(),
        client_secret: "secret".into(),
    };
    Login { token: "login".into(), oauth: Some(oauth) }
}

const GOOD: (&str, &str) = ("200 OK", r#"{"access_token":"first","expires_in":3600}"#);

#[tokio::test(start_paused = true)]
async fn basic_is_tried_first_and_the_form_when_it_is_refused() {
    let (dialler, mut asked) = endpoint(&[("401 Unauthorized", "{}"), GOOD]);
    let access = obtain(&*dialler, &login()).await.expect("a token");
    assert_eq!(access.authorization, "Bearer first");
    let first = asked.recv().await.expect("a request");
    assert!(first.starts_with("POST /token HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("authorization: Basic aWQ6c2VjcmV0\r\n"), "{first}");
    assert!(!first.contains("client_secret"));
    let second = asked.recv().await.expect("another");
    assert!(second.contains("&client_id=id&client_secret=secret"), "{second}");
    assert!(!second.contains("authorization: "));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_no_refusal_and_an_answer_without_an_end_is_cut() {
    let (dialler, mut asked) = endpoint(&[("503 Down", "")]);
    let lost = obtain(&*dialler, &login()).await.err().expect("down");
    assert_eq!(lost.code, 14, "{lost}");
    asked.recv().await.expect("asked once");
    let long = "x".repeat(oauth::MAX_ANSWER + 1);
    let (dialler, _asked) = endpoint(&[("200 OK", &long)]);
    let lost = obtain(&*dialler, &login()).await.err().expect("too long");
    assert!(lost.text.contains("auth.test:443"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn the_access_token_is_renewed_in_time_and_kept_while_the_endpoint_fails() {
    let (dialler, mut asked) = endpoint(&[
        ("503 Down", ""),
        ("503 Down", ""),
        ("200 OK", r#"{"access_token":"second","expires_in":120}"#),
    ]);
    let credentials = Credentials::default();
    credentials.set("login", Some("Bearer first")).expect("a header");
    let shown = |credentials: &Credentials| {
        let mut headers = HeaderMap::new();
        credentials.add_to(&mut headers);
        assert_eq!(headers["waypoint-token"], "login");
        headers[AUTHORIZATION].to_str().expect("text").to_owned()
    };
    let access = oauth::answer(200, GOOD.1.as_bytes()).expect("a token");
    let began = tokio::time::Instant::now();
    let _renewal = Task(tokio::spawn(renew(dialler.clone(), login(), access, credentials.clone())));
    asked.recv().await.expect("the one that fails");
    assert_eq!(began.elapsed().as_secs(), 3540);
    asked.recv().await.expect("another that fails");
    assert_eq!(shown(&credentials), "Bearer first");
    asked.recv().await.expect("the one that works");
    // The next question comes after the second answer was taken: 80 s of its 120 are over.
    let before = tokio::time::Instant::now();
    asked.recv().await.expect("the next in time");
    assert_eq!(before.elapsed().as_secs(), 80);
    assert_eq!(shown(&credentials), "Bearer second");
}

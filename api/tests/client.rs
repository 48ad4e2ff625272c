//! The client against a server that says exactly what a test wants, byte for byte.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use toq_api::sse::Event;
use toq_api::{Client, ClientError, ErrorCode, MessageState, StatusResponse};

/// Answers one request with some bytes and returns what was asked.
fn server(answer: &'static str) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("somebody connects");
        let mut bytes = vec![0; 64 * 1024];
        let read = socket.read(&mut bytes).expect("somebody asks");
        socket.write_all(answer.as_bytes()).expect("somebody listens");
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    });
    (Client::local(port).expect("a client").with_limit(Duration::from_secs(5)), asked)
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn keys_travel_in_paths_and_text_in_queries() {
    let (client, asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let client = client.with_token(Some("secret".into()));

    let path = ["v1", "approvals", "ed25519:a/b c?="];
    let answer: Result<(), _> = wait(client.get(&path, &[("from", "toq://*/b&c=d")]));

    answer.expect("an empty answer reads as nothing");
    let asked = asked.join().expect("the server is well");
    assert!(asked.starts_with("GET /v1/approvals/ed25519:a%2Fb%20c%3F=?from=toq%3A%2F%2F*%2Fb%26c%3Dd HTTP/1.1\r\n"));
    assert!(asked.to_lowercase().contains("authorization: bearer secret\r\n"));
}

#[test]
fn an_error_arrives_with_its_message_and_state() {
    let (client, _asked) = server(
        "HTTP/1.1 504 Gateway Timeout\r\nconnection: close\r\n\r\n\
         {\"error\":{\"code\":\"delivery_timeout\",\"message\":\"no ack\",\"id\":\"m1\",\"state\":\"accepted\"}}",
    );

    let answer: Result<(), _> = wait(client.post(&["v1", "messages"], &[], &"x"));

    let Err(ClientError::Api { status: 504, body }) = answer else { panic!("{answer:?}") };
    assert_eq!(body.error.code, ErrorCode::DeliveryTimeout);
    assert_eq!((body.error.id.as_deref(), body.error.state), (Some("m1"), Some(MessageState::Accepted)));
}

#[test]
fn an_error_that_is_not_ours_still_tells_what_it_can() {
    for (answer, message) in [
        ("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n", "the daemon answered with status 404"),
        ("HTTP/1.1 418 X\r\nconnection: close\r\n\r\n{\"error\":{\"code\":\"from_the_future\",\"message\":\"tea\"}}", "tea"),
    ] {
        let (client, _asked) = server(answer);

        let answer: Result<(), _> = wait(client.get(&["x"], &[]));

        assert_eq!(answer.expect_err("an error").to_string(), message);
    }
}

#[test]
fn a_port_without_a_daemon_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);

    let answer = wait(Client::local(port).expect("a client").health());

    assert!(matches!(answer, Err(ClientError::NotRunning)), "{answer:?}");
}

#[test]
fn an_answer_that_breaks_the_contract_is_told_apart() {
    let (client, _asked) = server("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"status\":7}");

    let answer: Result<StatusResponse, _> = wait(client.get(&["v1", "status"], &[]));

    assert!(matches!(answer, Err(ClientError::Decode(_))), "{answer:?}");
}

#[test]
fn a_stream_is_read_until_its_end() {
    let (client, asked) = server("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n:\n\nid: 7\ndata: {}\n\n");

    let events = wait(async {
        let mut stream = client.events(&["v1", "messages"], &[], Some("6")).await?;
        let mut events = Vec::new();
        while let Some(event) = stream.next().await? {
            events.push(event);
        }
        Ok::<_, ClientError>(events)
    });

    let expected = [Event::Comment(String::new()), Event::Data { id: Some("7".into()), data: "{}".into() }];
    assert_eq!(events.expect("a stream"), expected);
    assert!(asked.join().expect("the server is well").to_lowercase().contains("last-event-id: 6\r\n"));
}

#[test]
fn only_plain_http_urls_are_taken() {
    assert!(Client::new("http://127.0.0.1:9009/agents/alice").is_ok());
    for bad in ["https://h/", "file:///x", "nonsense"] {
        assert!(matches!(Client::new(bad), Err(ClientError::Url(_))), "{bad}");
    }
}

//! Asking models, against providers that follow a script.

mod provider;

use std::time::Duration;

use provider::{Provider as Server, Step, events, json, open, reply};
use serde_json::json;
use toq_net::llm::{AwsKeys, Base, Client, Completion, Credential, Endpoint, LlmError, Manner, Part, Patience, Provider, Question, Usage};
use toq_protocol::dialogue::{Prompt, Speaker, Spoken};
use toq_protocol::time::Timestamp;
use toq_vault::Secret;

const KEY: &str = "canary-sk-3f1c9a";

fn prompt(may_close: bool) -> Prompt {
    let line = |speaker, text: &str| Spoken { speaker, text: text.to_owned() };
    Prompt {
        system: "PROMPT".to_owned(),
        spoken: vec![line(Speaker::Peer, "one"), line(Speaker::Own, "reply"), line(Speaker::Peer, "two")],
        may_close,
        is_last: false,
    }
}

fn endpoint(provider: Provider, server: &Server) -> Endpoint {
    let path = if provider == Provider::OpenAi { "/v1" } else { "" };
    let base = Base::parse(&format!("{}{path}", server.base)).expect("a base");
    let credential = match provider {
        Provider::Ollama => Credential::None,
        Provider::Bedrock => Credential::Aws(AwsKeys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new(KEY),
            session: Some(Secret::new("session-token")),
            region: "us-east-1".to_owned(),
        }),
        _ => Credential::Key(Secret::new(KEY)),
    };
    Endpoint::new(base, credential).expect("loopback")
}

fn impatient() -> Patience {
    let millis = Duration::from_millis;
    Patience { connect: millis(2000), first_byte: millis(200), idle: millis(200), total: millis(5000) }
}

async fn ask_with(
    patience: Patience,
    provider: Provider,
    server: &Server,
    manner: Manner,
) -> Result<(Vec<String>, Completion), (Vec<String>, LlmError)> {
    let client = Client::new(patience);
    let (endpoint, prompt) = (endpoint(provider, server), prompt(true));
    let now = Timestamp::parse("2015-08-30T12:36:00Z").expect("a time");
    let question = Question { provider, model: "m1-v1:0", prompt: &prompt, manner, now };
    let mut pieces = Vec::new();
    let mut answer = client.ask(&endpoint, &question).await.map_err(|error| (Vec::new(), error))?;
    loop {
        match answer.next().await {
            Ok(Part::Text(text)) => pieces.push(text),
            Ok(Part::Done(completion)) => return Ok((pieces, completion)),
            Err(error) => return Err((pieces, error)),
        }
    }
}

async fn ask(provider: Provider, server: &Server, manner: Manner) -> Result<(Vec<String>, Completion), (Vec<String>, LlmError)> {
    ask_with(Patience::default(), provider, server, manner).await
}

async fn failure(steps: Vec<Step>) -> LlmError {
    let server = Server::start(vec![steps]);
    ask_with(impatient(), Provider::OpenAi, &server, Manner::Streamed).await.expect_err("no answer").1
}

fn done(tools: &[&str], input: u64, output: u64) -> Completion {
    Completion { tools: tools.iter().map(|name| (*name).to_owned()).collect(), usage: Usage { input, output } }
}

#[tokio::test]
async fn openai_and_ollama_are_asked_in_their_form_and_read_whole() {
    let tool = json!([{"type": "function", "function": {"name": "close_thread", "arguments": "{}"}}]);
    let body = json!({"choices": [{"message": {"content": "hello", "tool_calls": tool}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
    for (provider, line) in
        [(Provider::OpenAi, "POST /v1/chat/completions HTTP/1.1"), (Provider::Ollama, "POST /v1/chat/completions HTTP/1.1")]
    {
        let server = Server::start(vec![json(&body)]);

        let answer = ask(provider, &server, Manner::Whole).await.expect("an answer");

        assert_eq!(answer, (vec!["hello".to_owned()], done(&["close_thread"], 7, 2)));
        let asked = server.asked().remove(0);
        assert_eq!(asked.line, line);
        assert_eq!(asked.head.contains(&format!("authorization: Bearer {KEY}")), provider == Provider::OpenAi);
        let spoken = json!([{"role": "system", "content": "PROMPT"}, {"role": "user", "content": "one"},
            {"role": "assistant", "content": "reply"}, {"role": "user", "content": "two"}]);
        assert_eq!((&asked.body["model"], &asked.body["messages"]), (&json!("m1-v1:0"), &spoken));
        let function = &asked.body["tools"][0]["function"];
        assert_eq!((&asked.body["tools"][0]["type"], &function["name"]), (&json!("function"), &json!("close_thread")));
        assert_eq!(function["parameters"], json!({"type": "object", "properties": {}, "required": []}));
        assert_eq!(asked.body.get("stream"), None);
    }
}

#[tokio::test]
async fn an_openai_stream_is_handed_out_in_pieces() {
    let server = Server::start(vec![events(&[
        r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"content":"Hel"},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"content":"lo"},"finish_reason":null}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"close_thread","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":3}}"#,
        "[DONE]",
    ])]);

    let answer = ask(Provider::OpenAi, &server, Manner::Streamed).await.expect("an answer");

    assert_eq!(answer, (vec!["Hel".to_owned(), "lo".to_owned()], done(&["close_thread"], 11, 3)));
    assert_eq!(server.asked()[0].body["stream"], json!(true));
}

#[tokio::test]
async fn a_server_that_cannot_stream_answers_all_the_same() {
    let server = Server::start(vec![json(&json!({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}))]);

    let answer = ask(Provider::OpenAi, &server, Manner::Streamed).await.expect("an answer");

    assert_eq!(answer.0, ["hello"]);
}

#[tokio::test]
async fn anthropic_is_asked_in_its_form_and_read_whole_and_streamed() {
    let body = json!({"content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "t", "name": "close_thread", "input": {}}], "usage": {"input_tokens": 5, "output_tokens": 2}});
    let server = Server::start(vec![
        json(&body),
        events(&[
            r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":5,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hel"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"close_thread","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":2}}"#,
            r#"{"type":"message_stop"}"#,
        ]),
    ]);

    let whole = ask(Provider::Anthropic, &server, Manner::Whole).await.expect("an answer");
    let streamed = ask(Provider::Anthropic, &server, Manner::Streamed).await.expect("an answer");

    assert_eq!(whole, (vec!["hello".to_owned()], done(&["close_thread"], 5, 2)));
    assert_eq!(streamed, (vec!["hel".to_owned(), "lo".to_owned()], done(&["close_thread"], 5, 2)));
    let asked = server.asked().remove(0);
    assert_eq!(asked.line, "POST /v1/messages HTTP/1.1");
    assert!(asked.head.contains(&format!("x-api-key: {KEY}")) && asked.head.contains("anthropic-version: 2023-06-01"));
    assert_eq!((&asked.body["system"], &asked.body["max_tokens"]), (&json!("PROMPT"), &json!(4096)));
    assert_eq!(asked.body["messages"][1], json!({"role": "assistant", "content": "reply"}));
    assert_eq!(asked.body["tools"][0]["input_schema"]["type"], "object");
}

#[tokio::test]
async fn bedrock_is_asked_signed_and_read_whole_and_streamed() {
    let content = json!([{"text": "hello"}, {"toolUse": {"toolUseId": "t", "name": "close_thread", "input": {}}}]);
    let body = json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use",
        "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}});
    let frames = [
        frame("messageStart", r#"{"role":"assistant"}"#),
        frame("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"hel"}}"#),
        frame("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"lo"}}"#),
        frame("contentBlockStart", r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"close_thread"}}}"#),
        frame("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}"#),
        frame("messageStop", r#"{"stopReason":"tool_use"}"#),
        frame("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":2,"totalTokens":7},"metrics":{"latencyMs":9}}"#),
    ];
    let streamed = vec![open("application/vnd.amazon.eventstream"), Step::Write(frames.concat())];
    let server = Server::start(vec![json(&body), streamed]);

    let whole = ask(Provider::Bedrock, &server, Manner::Whole).await.expect("an answer");
    let streamed = ask(Provider::Bedrock, &server, Manner::Streamed).await.expect("an answer");

    assert_eq!(whole, (vec!["hello".to_owned()], done(&["close_thread"], 5, 2)));
    assert_eq!(streamed, (vec!["hel".to_owned(), "lo".to_owned()], done(&["close_thread"], 5, 2)));
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /model/m1-v1%3A0/converse HTTP/1.1");
    assert_eq!(asked[1].line, "POST /model/m1-v1%3A0/converse-stream HTTP/1.1");
    let signed = "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(asked[0].head.contains(signed) && asked[0].head.contains("x-amz-date: 20150830T123600Z"), "{}", asked[0].head);
    assert_eq!(asked[0].body["system"], json!([{"text": "PROMPT"}]));
    assert_eq!(asked[0].body["messages"][2], json!({"role": "user", "content": [{"text": "two"}]}));
    assert_eq!(asked[0].body["inferenceConfig"], json!({"maxTokens": 4096}));
    assert_eq!(asked[0].body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["type"], "object");
}

#[tokio::test]
async fn an_exception_in_a_bedrock_stream_ends_it() {
    let body = crc_frame("exception", ":exception-type", "throttlingException", br#"{"message":"slower"}"#);
    let server = Server::start(vec![vec![open("application/vnd.amazon.eventstream"), Step::Write(body)]]);

    let error = ask(Provider::Bedrock, &server, Manner::Streamed).await.expect_err("throttled").1;

    assert_eq!(error, LlmError::RateLimited { retry_after: None });
}

#[tokio::test]
async fn a_refused_key_is_neither_tried_again_nor_repeated() {
    let body = json!({"error": {"message": format!("Incorrect API key provided: {KEY}\n\u{1b}[31m")}}).to_string();

    let error = failure(reply("401 Unauthorized", "", "application/json", &body)).await;

    assert_eq!(error, LlmError::Unauthorized { status: 401, said: "Incorrect API key provided: [REDACTED]  [31m".to_owned() });
    assert!(!error.is_retryable());
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn a_limited_rate_says_when_to_come_back() {
    let seconds = failure(reply("429 Too Many Requests", "retry-after: 17\r\n", "application/json", "{}")).await;
    let date = "retry-after: Sun, 30 Aug 2015 12:37:00 GMT\r\n";
    let at_a_time = failure(reply("503 Service Unavailable", date, "text/plain", "later")).await;
    let unsaid = failure(reply("429 Too Many Requests", "", "application/json", "{}")).await;

    assert_eq!(seconds, LlmError::RateLimited { retry_after: Some(Duration::from_secs(17)) });
    assert_eq!(at_a_time.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(unsaid.retry_after(), None);
    assert!([seconds, at_a_time, unsaid].iter().all(LlmError::is_retryable));
}

#[tokio::test]
async fn a_server_that_failed_once_answers_the_next_time() {
    let server = Server::start(vec![
        reply("500 Internal Server Error", "", "text/html", "<h1>oops</h1>"),
        json(&json!({"choices": [{"message": {"content": "hello"}}]})),
    ]);

    let first = ask(Provider::OpenAi, &server, Manner::Streamed).await.expect_err("failed").1;
    let second = ask(Provider::OpenAi, &server, Manner::Streamed).await.expect("an answer");

    assert!(matches!(first, LlmError::Overloaded { status: 500, .. }) && first.is_retryable());
    assert_eq!(second.0, ["hello"]);
}

#[tokio::test]
async fn an_unknown_model_is_not_tried_again() {
    let error = failure(reply("404 Not Found", "", "application/json", r#"{"error":{"message":"no such model"}}"#)).await;

    assert_eq!(error, LlmError::BadRequest { status: 404, said: "no such model".to_owned() });
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays() {
    let elsewhere = Server::start(vec![json(&json!({}))]);

    let error = failure(reply("307 Temporary Redirect", &format!("location: {}/\r\n", elsewhere.base), "text/plain", "")).await;

    assert_eq!(error, LlmError::Redirected(307));
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn silence_before_and_in_the_middle_of_an_answer_ends_it() {
    let before = failure(vec![Step::Hang]).await;
    let mut steps = events(&[r#"{"choices":[{"delta":{"content":"Hel"}}]}"#]);
    steps.push(Step::Hang);
    let server = Server::start(vec![steps]);
    let (pieces, amid) = ask_with(impatient(), Provider::OpenAi, &server, Manner::Streamed).await.expect_err("a silence");

    assert_eq!(before, LlmError::Timeout("waiting for the answer to begin"));
    assert_eq!((pieces, amid), (vec!["Hel".to_owned()], LlmError::Timeout("a silence in the answer")));
}

#[tokio::test]
async fn an_answer_that_trickles_on_and_on_ends_with_the_whole_time() {
    let trickle = Step::Endless(b": alive\n\n".to_vec());
    let server = Server::start(vec![vec![open("text/event-stream"), trickle]]);
    let patience = Patience { total: Duration::from_millis(50), ..impatient() };

    let error = ask_with(patience, Provider::OpenAi, &server, Manner::Streamed).await.expect_err("no end").1;

    assert!(matches!(error, LlmError::Timeout("the whole answer") | LlmError::TooLarge("its body")), "{error}");
}

#[tokio::test]
async fn garbage_is_an_error_and_not_an_answer() {
    let cases = [
        ("not http", vec![Step::Write(b"SSH-2.0-x\r\n".to_vec())]),
        ("not json", reply("200 OK", "", "application/json", "<html>")),
        ("another shape", reply("200 OK", "", "application/json", r#"{"choices":"none"}"#)),
        ("a broken event", events(&["{not json"])),
        ("a stream cut short", events(&[r#"{"choices":[{"delta":{"content":"Hel"}}]}"#])),
        ("not utf-8", vec![open("text/event-stream"), Step::Write(b"data: \xff\xfe\n\n".to_vec())]),
        ("deep nesting", reply("200 OK", "", "application/json", &"[".repeat(100_000))),
    ];
    for (case, steps) in cases {
        let error = failure(steps).await;
        assert!(matches!(error, LlmError::Malformed(_)) && error.is_retryable(), "{case}: {error:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_wherever_it_is_endless() {
    let endless = |begin: &[u8], bytes: &[u8]| vec![Step::Write(begin.to_vec()), Step::Endless(bytes.to_vec())];
    let ok = |kind: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n").into_bytes();
    let filler = vec![b'x'; 1 << 16];
    let piece = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "y".repeat(4096));
    let call = r#"data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"close_thread"}}]}}]}"#;

    assert_eq!(failure(endless(&ok("application/json"), &filler)).await, LlmError::TooLarge("its body"));
    assert_eq!(failure(endless(&ok("text/event-stream"), &filler)).await, LlmError::TooLarge("one event of the stream"));
    assert_eq!(failure(endless(&ok("text/event-stream"), piece.as_bytes())).await, LlmError::TooLarge("its text"));
    assert_eq!(
        failure(endless(&ok("text/event-stream"), format!("{call}\n\n").as_bytes())).await,
        LlmError::TooLarge("its calls of tools")
    );
    assert!(matches!(failure(endless(b"HTTP/1.1 200 OK\r\nx: ", &filler)).await, LlmError::Malformed(_) | LlmError::Unreachable(_)));
    let announced = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n";
    assert_eq!(failure(endless(announced, b"x")).await, LlmError::TooLarge("its announced length"));
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let server = Server::start(vec![]);

    let error = ask(Provider::OpenAi, &server, Manner::Whole).await.expect_err("nobody").1;

    assert!(matches!(error, LlmError::Unreachable(_)) && error.is_retryable(), "{error:?}");
}

fn frame(name: &str, payload: &str) -> Vec<u8> {
    crc_frame("event", ":event-type", name, payload.as_bytes())
}

/// An AWS event stream frame, written from its specification.
fn crc_frame(message_type: &str, name_header: &str, name: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (key, value) in [(":message-type", message_type), (name_header, name)] {
        headers.push(u8::try_from(key.len()).expect("short"));
        headers.extend_from_slice(key.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let be = |length: usize| u32::try_from(length).expect("short").to_be_bytes();
    let mut frame = [be(16 + headers.len() + payload.len()), be(headers.len())].concat();
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

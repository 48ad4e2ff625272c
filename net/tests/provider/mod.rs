//! A provider that follows a script: one list of steps for each connection, in order.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub enum Step {
    Write(Vec<u8>),
    /// Waits until the other side goes away.
    Hang,
    /// Writes this until the other side goes away.
    Endless(Vec<u8>),
    /// Waits until the test says so.
    Wait(std::sync::mpsc::Receiver<()>),
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub head: String,
    pub body: Value,
}

pub struct Provider {
    pub base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Provider {
    pub fn start(script: Vec<Vec<Step>>) -> Self {
        let mut script = script.into_iter();
        Self::answering(move |_, _| script.next())
    }

    /// Answers each question as `answer` says, until it says nothing.
    pub fn answering(mut answer: impl FnMut(usize, &Asked) -> Option<Vec<Step>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if serve(stream, &mut answer, &seen).is_none() {
                    return;
                }
            }
        });
        Self { base, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn serve(stream: TcpStream, answer: &mut impl FnMut(usize, &Asked) -> Option<Vec<Step>>, seen: &Mutex<Vec<Asked>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return Some(());
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|text| text.parse().ok()).unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return Some(());
    }
    let line = head.lines().next().unwrap_or_default().to_owned();
    let asked = Asked { line, head, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };
    let count = {
        let mut seen = seen.lock().expect("no panic");
        seen.push(asked.clone());
        seen.len()
    };
    let steps = answer(count, &asked)?;
    let mut stream = stream;
    for step in steps {
        let over = match step {
            Step::Write(bytes) => stream.write_all(&bytes).is_err(),
            Step::Hang => reader.read(&mut [0; 1]).is_ok(),
            Step::Wait(told) => told.recv().is_err(),
            Step::Endless(bytes) => {
                while stream.write_all(&bytes).is_ok() {}
                true
            }
        };
        if over {
            break;
        }
    }
    Some(())
}

/// An answer with a body of known length.
pub fn reply(status: &str, headers: &str, content_type: &str, body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    vec![Step::Write([head.as_bytes(), body.as_bytes()].concat())]
}

pub fn json(body: &Value) -> Vec<Step> {
    reply("200 OK", "", "application/json", &body.to_string())
}

/// The head of an answer that ends with its connection.
pub fn open(content_type: &str) -> Step {
    Step::Write(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n").into_bytes())
}

/// Server-sent events, one write each.
pub fn events(events: &[&str]) -> Vec<Step> {
    let written = events.iter().map(|event| Step::Write(format!("data: {event}\n\n").into_bytes()));
    std::iter::once(open("text/event-stream; charset=utf-8")).chain(written).collect()
}

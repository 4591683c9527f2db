//! The world outside, as far as the run reaches into it: files of a directory, and models that hear and read, as OpenAI's do. It says
//! the same in every run: the first call to hear and the second to read are refused, so that they are made again.
//!
//! It prints its address first, and ends with its stdin.

use std::error::Error;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::http::{self, Request};

struct Outside {
    files: PathBuf,
    heard: AtomicUsize,
    read: AtomicUsize,
}

pub(crate) fn run(files: &Path) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let outside = Arc::new(Outside {
        files: files.to_owned(),
        heard: AtomicUsize::new(0),
        read: AtomicUsize::new(0),
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let outside = Arc::clone(&outside);
            thread::spawn(move || outside.serve(stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

impl Outside {
    /// Whoever goes away ends their connection, and nothing else.
    fn serve(&self, stream: TcpStream) {
        let Ok(mut answers) = stream.try_clone() else {
            return;
        };
        let mut requests = BufReader::new(stream);
        while let Ok(Some(request)) = http::read(&mut requests) {
            if answers.write_all(&self.answer(&request)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> Vec<u8> {
        let calls = |of: &AtomicUsize| of.fetch_add(1, Ordering::Relaxed);
        match request.path.as_str() {
            "/v1/audio/transcriptions" => model(calls(&self.heard) != 0, heard()),
            "/v1/chat/completions" => model(calls(&self.read) != 1, read()),
            path => match self.file(path) {
                Some(bytes) => http::answer(200, "video/mp4", &bytes),
                None => http::answer(404, "text/plain", b"no such file"),
            },
        }
    }

    /// A file of the directory itself; there is nothing below it.
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let name = path.strip_prefix('/')?;
        let plain = !name.is_empty() && !name.contains('/') && !name.contains("..");
        plain.then(|| std::fs::read(self.files.join(name)).ok())?
    }
}

fn model(answers: bool, yes: Value) -> Vec<u8> {
    let no = json!({ "error": { "message": "try again", "code": "overloaded" } });
    let (status, body) = if answers { (200, yes) } else { (503, no) };
    http::answer(status, "application/json", body.to_string().as_bytes())
}

/// Words within the first seconds of any clip.
fn heard() -> Value {
    let words = [
        ("this", 0.1, 0.4),
        ("is", 0.4, 0.6),
        ("sa", 0.7, 0.9),
        ("pari", 0.9, 1.4),
    ];
    let word = |(word, start, end)| json!({ "word": word, "start": start, "end": end });
    json!({ "text": "this is sa pari", "language": "english", "words": words.map(word) })
}

/// One correction of them.
fn read() -> Value {
    let text = json!({ "changes": [{ "from": 2, "to": 3, "text": "Sapari" }] }).to_string();
    json!({
        "model": "gpt-4o-mini-2026",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340 }
    })
}

//! A form with one file, as `multipart/form-data` (RFC 7578). Names and values are ours: nothing in them needs quoting.

use uuid::Uuid;

/// A form that is being filled.
pub(super) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    pub(super) fn new() -> Self {
        // Random: that it stands in a file by chance can be left out of account.
        let boundary = format!("form-{}", Uuid::new_v4().simple());
        let body = Vec::new();
        Self { boundary, body }
    }

    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"\r\n");
        self.part(&head, value.as_bytes());
        self
    }

    pub(super) fn file(mut self, (name, kind): (&str, &str), bytes: &[u8]) -> Self {
        let head = format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n"
        );
        self.part(&head, bytes);
        self
    }

    fn part(&mut self, head: &str, bytes: &[u8]) {
        let start = format!("--{}\r\n{head}\r\n", self.boundary);
        self.body.extend_from_slice(start.as_bytes());
        self.body.extend_from_slice(bytes);
        self.body.extend_from_slice(b"\r\n");
    }

    /// The content type, and the body.
    pub(super) fn end(mut self) -> (String, Vec<u8>) {
        let end = format!("--{}--\r\n", self.boundary);
        self.body.extend_from_slice(end.as_bytes());
        let kind = format!("multipart/form-data; boundary={}", self.boundary);
        (kind, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_between_boundaries() {
        let form = Form::new()
            .field("model", "m")
            .file(("a.wav", "audio/wav"), b"\0\r\n");
        let (kind, body) = form.end();
        let boundary = kind.split("boundary=").nth(1).expect("a boundary");
        let text = String::from_utf8(body)
            .expect("text")
            .replace(boundary, "B");
        assert_eq!(
            text,
            "--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--B\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\
             \0\r\n\r\n--B--\r\n"
        );
    }
}

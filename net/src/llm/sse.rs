//! Server-sent events of a provider, within limits.

use super::LlmError;

/// The largest event: far more than a piece of text, and a whole tool call.
const MAX_EVENT: usize = 1 << 20;

/// Cuts bytes into the `data:` of events.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    gathered: Option<Vec<u8>>,
}

impl Events {
    /// Takes the next bytes, cut anywhere; hands each complete event's text to `take`.
    ///
    /// # Errors
    /// [`LlmError::TooLarge`] where an event grows beyond its limit, [`LlmError::Malformed`] where one is not UTF-8,
    /// and what `take` returns.
    pub(super) fn feed(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(&str) -> Result<(), LlmError>) -> Result<(), LlmError> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.hold(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.line(line.strip_suffix(b"\r").unwrap_or(&line), take)?;
        }
        self.hold(bytes)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), LlmError> {
        if self.line.len() + self.gathered.as_ref().map_or(0, Vec::len) + bytes.len() > MAX_EVENT {
            return Err(LlmError::TooLarge("one event of the stream"));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8], take: &mut dyn FnMut(&str) -> Result<(), LlmError>) -> Result<(), LlmError> {
        if line.is_empty() {
            let Some(event) = self.gathered.take() else { return Ok(()) };
            let text = std::str::from_utf8(&event).map_err(|_| LlmError::Malformed("an event is not UTF-8".to_owned()))?;
            return take(text);
        }
        let Some(value) = line.strip_prefix(b"data:") else { return Ok(()) };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut self.gathered {
            Some(gathered) => {
                gathered.push(b'\n');
                gathered.extend_from_slice(value);
            }
            None => self.gathered = Some(value.to_vec()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<String>, LlmError> {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for piece in pieces {
            events.feed(&piece, &mut |text| {
                found.push(text.to_owned());
                Ok(())
            })?;
        }
        Ok(found)
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        let stream = "event: x\r\ndata: {\"a\":1}\r\n\r\n: alive\n\ndata:one\ndata: two\n\nid: 4\n\ndata: unfinished";

        let whole = read([stream.as_bytes().to_vec()]).expect("small");

        assert_eq!(whole, ["{\"a\":1}", "one\ntwo"]);
        assert_eq!(read(stream.bytes().map(|byte| vec![byte])).expect("small"), whole);
    }

    #[test]
    fn an_endless_line_and_an_endless_event_are_refused() {
        let line = std::iter::once(b"data: ".to_vec()).chain(std::iter::repeat_n(vec![b'x'; 1 << 16], 32));
        let event = std::iter::repeat_n(b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".to_vec(), 1 << 16);

        assert_eq!(read(line), Err(LlmError::TooLarge("one event of the stream")));
        assert_eq!(read(event), Err(LlmError::TooLarge("one event of the stream")));
    }
}

//! What a supervisor tells the daemon, as it is written on the pipe: a letter, a length in four bytes, a payload.

use std::io::{self, Write};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{End, Progress, Source};

/// The longest payload. The supervisor reads its command's output in smaller pieces.
const MAX: usize = 64 * 1024;

/// One thing that a supervisor tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Progress(Progress),
    End(End),
    /// The command could not be started, in words.
    Failed(String),
}

impl Frame {
    /// Writes a frame.
    pub(super) fn write(&self, pipe: &mut impl Write) -> io::Result<()> {
        let number = |number: i32| number.to_be_bytes().to_vec();
        let (letter, payload) = match self {
            Self::Progress(Progress::Began(process)) => (b'p', process.to_be_bytes().to_vec()),
            Self::Progress(Progress::Out(bytes)) => (b'o', bytes.clone()),
            Self::Progress(Progress::Err(bytes)) => (b'e', bytes.clone()),
            Self::Progress(Progress::Full(Source::Out)) => (b'O', Vec::new()),
            Self::Progress(Progress::Full(Source::Err)) => (b'E', Vec::new()),
            Self::End(End::Exited(code)) => (b'x', number(*code)),
            Self::End(End::Killed(signal)) => (b'k', number(*signal)),
            Self::End(End::TimedOut) => (b't', Vec::new()),
            Self::Failed(reason) => (b'f', reason.clone().into_bytes()),
        };
        let payload = payload.get(..MAX).unwrap_or(&payload);
        pipe.write_all(&[letter])?;
        pipe.write_all(&u32::try_from(payload.len()).unwrap_or_default().to_be_bytes())?;
        pipe.write_all(payload)?;
        pipe.flush()
    }

    /// Reads a frame; `None` at the end of the pipe.
    pub(super) async fn read(pipe: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut head = [0; 5];
        match pipe.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let strange = || io::Error::other("the supervisor speaks another language");
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MAX {
            return Err(strange());
        }
        let mut payload = vec![0; length];
        pipe.read_exact(&mut payload).await?;
        let number = || payload.as_slice().try_into().map(i32::from_be_bytes).map_err(|_| strange());
        Ok(Some(match head[0] {
            b'p' => Self::Progress(Progress::Began(u32::try_from(number()?).map_err(|_| strange())?)),
            b'o' => Self::Progress(Progress::Out(payload)),
            b'e' => Self::Progress(Progress::Err(payload)),
            b'O' => Self::Progress(Progress::Full(Source::Out)),
            b'E' => Self::Progress(Progress::Full(Source::Err)),
            b'x' => Self::End(End::Exited(number()?)),
            b'k' => Self::End(End::Killed(number()?)),
            b't' => Self::End(End::TimedOut),
            b'f' => Self::Failed(String::from_utf8_lossy(&payload).into_owned()),
            _ => return Err(strange()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read() {
        let frames = [
            Frame::Progress(Progress::Began(7)),
            Frame::Progress(Progress::Out(b"a\0b".to_vec())),
            Frame::Progress(Progress::Err(Vec::new())),
            Frame::Progress(Progress::Full(Source::Err)),
            Frame::End(End::Exited(3)),
            Frame::End(End::Killed(9)),
            Frame::Failed("no such program".to_owned()),
        ];
        let mut pipe = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut pipe).expect("memory"));
        let mut pipe = pipe.as_slice();

        for frame in frames {
            assert_eq!(Frame::read(&mut pipe).await.expect("whole"), Some(frame));
        }
        assert_eq!(Frame::read(&mut pipe).await.expect("the end"), None);
    }

    #[tokio::test]
    async fn a_length_is_not_believed() {
        assert!(Frame::read(&mut [b'o', 0xff, 0xff, 0xff, 0xff].as_slice()).await.is_err());
        assert!(Frame::read(&mut [b'?', 0, 0, 0, 0].as_slice()).await.is_err());
        assert!(Frame::read(&mut [b'x', 0, 0, 0, 0].as_slice()).await.is_err());
    }
}

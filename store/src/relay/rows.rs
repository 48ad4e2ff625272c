//! One row of a relay's log.
//!
//! The frame is kept as it will be sent, so that handing it to a thousand subscribers costs no encoding. Its last eight bytes are
//! its place in the log, which is known only when it is written; see [`number`].

use crate::error::StoreError;

/// What is before the frame: version, mark, time, epoch, tag.
const HEAD: usize = 1 + 1 + 8 + 8 + 16;
/// The version of this record.
const VERSION: u8 = 1;
/// The bytes at the end of a frame that are its place.
const PLACE: usize = 8;

/// What a row is to the order of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Neither of the others, or something that shows nothing to the relay.
    Plain,
    /// A commit, which ends the epoch of the row.
    Commit,
}

/// What somebody published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place, from 1.
    pub seq: u64,
    /// When it was published, in nanoseconds of Unix time.
    pub at: i64,
    /// What it is.
    pub mark: Mark,
    /// The epoch of a commit; 0 for others.
    pub epoch: u64,
    /// What its sender, or the relay in its place, called it.
    pub tag: [u8; 16],
    /// The whole frame as subscribers get it.
    pub frame: Vec<u8>,
}

/// Writes a row's record. The last eight bytes of `frame` are replaced by its place.
pub(super) fn write(seq: u64, at: i64, mark: Mark, epoch: u64, tag: &[u8; 16], frame: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + frame.len());
    record.push(VERSION);
    record.push(match mark {
        Mark::Plain => 0,
        Mark::Commit => 1,
    });
    record.extend_from_slice(&at.to_be_bytes());
    record.extend_from_slice(&epoch.to_be_bytes());
    record.extend_from_slice(tag);
    record.extend_from_slice(frame);
    number(&mut record[HEAD..], seq);
    record
}

/// Puts a place at the end of a frame.
fn number(frame: &mut [u8], seq: u64) {
    if let Some(place) = frame.last_chunk_mut::<PLACE>() {
        *place = seq.to_be_bytes();
    }
}

/// Reads a row's record.
pub(super) fn read(seq: u64, record: &[u8]) -> Result<Row, StoreError> {
    let damaged = || StoreError::Record { table: "relay_rows" };
    let (head, frame) = record.split_first_chunk::<HEAD>().ok_or_else(damaged)?;
    let mark = match (head[0], head[1]) {
        (VERSION, 0) => Mark::Plain,
        (VERSION, 1) => Mark::Commit,
        _ => return Err(damaged()),
    };
    let number = |at: usize| head[at..at + 8].try_into().map_err(|_| damaged());
    Ok(Row {
        seq,
        at: i64::from_be_bytes(number(2)?),
        mark,
        epoch: u64::from_be_bytes(number(10)?),
        tag: head[18..].try_into().map_err(|_| damaged())?,
        frame: frame.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_its_record_and_its_frame_ends_in_its_place() {
        let record = write(258, -7, Mark::Commit, 3, &[9; 16], b"mls\0\0\0\0\0\0\0\0");

        let expected = Row { seq: 258, at: -7, mark: Mark::Commit, epoch: 3, tag: [9; 16], frame: b"mls\0\0\0\0\0\0\x01\x02".to_vec() };
        assert_eq!(read(258, &record).ok(), Some(expected));
    }

    #[test]
    fn a_record_that_is_cut_or_of_another_version_is_damaged() {
        let record = write(1, 0, Mark::Plain, 0, &[0; 16], &[0; 8]);

        assert!(read(1, &record[..HEAD - 1]).is_err());
        assert!(read(1, &[&[2], &record[1..]].concat()).is_err());
    }
}

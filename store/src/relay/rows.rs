//! One row of a relay's log.
//!
//! The frame is kept as it will be sent, so that handing it to a thousand subscribers costs no encoding. Its last eight bytes are
//! its place in the log, which is known only when it is written; see [`number`].

use crate::error::StoreError;

/// What is before the frame: version, mark, time, epoch, tag, and whose it is.
const HEAD: usize = FIRST_HEAD + 8;
/// The same in records of the first version, which did not say whose they are.
const FIRST_HEAD: usize = 1 + 1 + 8 + 8 + 16;
/// The version of this record.
const VERSION: u8 = 2;
/// See [`FIRST_HEAD`].
const FIRST_VERSION: u8 = 1;
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

/// What a record says beside its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) at: i64,
    pub(super) mark: Mark,
    pub(super) epoch: u64,
    pub(super) tag: [u8; 16],
    /// The number of the account that pays for it; 0 where nobody does.
    pub(super) payer: u64,
}

/// Writes a row's record. The last eight bytes of `frame` are replaced by its place.
pub(super) fn write(seq: u64, head: &Head, frame: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + frame.len());
    record.push(VERSION);
    record.push(match head.mark {
        Mark::Plain => 0,
        Mark::Commit => 1,
    });
    record.extend_from_slice(&head.at.to_be_bytes());
    record.extend_from_slice(&head.epoch.to_be_bytes());
    record.extend_from_slice(&head.tag);
    record.extend_from_slice(&head.payer.to_be_bytes());
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
    let (Head { at, mark, epoch, tag, .. }, frame) = split(record)?;
    Ok(Row { seq, at, mark, epoch, tag, frame: frame.to_vec() })
}

/// What a record says, and its frame where it lies.
pub(super) fn split(record: &[u8]) -> Result<(Head, &[u8]), StoreError> {
    let damaged = || StoreError::Record { table: "relay_rows" };
    let (head, rest) = record.split_first_chunk::<FIRST_HEAD>().ok_or_else(damaged)?;
    let (payer, frame) = match head[0] {
        VERSION => rest.split_first_chunk::<8>().map(|(payer, frame)| (u64::from_be_bytes(*payer), frame)).ok_or_else(damaged)?,
        FIRST_VERSION => (0, rest),
        _ => return Err(damaged()),
    };
    let mark = match head[1] {
        0 => Mark::Plain,
        1 => Mark::Commit,
        _ => return Err(damaged()),
    };
    let number = |at: usize| head[at..at + 8].try_into().map_err(|_| damaged());
    let (at, epoch) = (i64::from_be_bytes(number(2)?), u64::from_be_bytes(number(10)?));
    Ok((Head { at, mark, epoch, tag: head[18..].try_into().map_err(|_| damaged())?, payer }, frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_survives_its_record_and_its_frame_ends_in_its_place() {
        let head = Head { at: -7, mark: Mark::Commit, epoch: 3, tag: [9; 16], payer: 4 };
        let record = write(258, &head, b"mls\0\0\0\0\0\0\0\0");

        let expected = Row { seq: 258, at: -7, mark: Mark::Commit, epoch: 3, tag: [9; 16], frame: b"mls\0\0\0\0\0\0\x01\x02".to_vec() };
        assert_eq!(read(258, &record).ok(), Some(expected));
        assert_eq!(split(&record).expect("whole").0, head);
    }

    #[test]
    fn a_record_of_the_first_version_is_nobodys() {
        let record = write(1, &Head { at: 5, mark: Mark::Plain, epoch: 0, tag: [1; 16], payer: 4 }, b"m\0\0\0\0\0\0\0\x01");
        let first = [&[FIRST_VERSION], &record[1..FIRST_HEAD], &record[HEAD..]].concat();

        assert_eq!(read(1, &first).ok(), read(1, &record).ok());
        assert_eq!(split(&first).expect("whole").0.payer, 0);
    }

    #[test]
    fn a_record_that_is_cut_or_of_another_version_is_damaged() {
        let record = write(1, &Head { at: 0, mark: Mark::Plain, epoch: 0, tag: [0; 16], payer: 0 }, &[0; 8]);

        assert!(read(1, &record[..FIRST_HEAD - 1]).is_err() && read(1, &record[..HEAD - 1]).is_err());
        assert!(read(1, &[&[3], &record[1..]].concat()).is_err());
    }
}

//! What a program is told of a channel: what happened, and why it cannot do anything here.

use toq_store::member::{Change, HappeningRow, Standing};

use super::{Core, FORGET_EVERY, HAPPENINGS, Step};
use crate::chance::Now;
use crate::error::{Error, Kind};

impl Core {
    /// Whether things can be said and done here.
    pub(crate) fn may_act(&self) -> Result<(), Error> {
        let name = &self.name;
        let why = match self.row.standing {
            Standing::Member => return Ok(()),
            Standing::Removed => format!("this member was removed from {name}; ask to be added again"),
            Standing::Left => format!("this member has left {name}; ask to be added again"),
            Standing::Behind => {
                format!("the relay no longer keeps what this member missed in {name}; ask to be added again with a new key package")
            }
            Standing::Restored => {
                format!(
                    "the state of {name} is older than what was sent from it, it was restored from a copy; ask to be added again with a new key package"
                )
            }
        };
        Err(Error::new(Kind::Refused, why))
    }

    /// Whether nothing more leaves from here, unless this member is added again. Who wants to leave says first what it said before.
    pub(crate) fn is_out(&self) -> bool {
        self.group.is_none() || matches!(self.row.standing, Standing::Removed | Standing::Behind | Standing::Restored)
    }

    /// Writes down something that happened elsewhere.
    pub(crate) fn note(&mut self, row: HappeningRow) -> Step {
        let mut step = Step::default();
        self.happen_to(&mut step, row);
        self.stand(&mut step);
        step
    }

    pub(super) fn happen(&mut self, step: &mut Step, now: Now, kind: &str, detail: String) {
        let epoch = self.epoch();
        self.happen_to(step, HappeningRow { kind: kind.to_owned(), subject: Vec::new(), by: Vec::new(), epoch, detail, at: now.nanos });
    }

    pub(super) fn happen_to(&mut self, step: &mut Step, row: HappeningRow) {
        let n = self.row.next_happening;
        self.row.next_happening += 1;
        if n.is_multiple_of(FORGET_EVERY) && n > HAPPENINGS {
            step.changes.push(Change::Forget(self.id, n - HAPPENINGS));
        }
        step.changes.push(Change::Happen(self.id, n, row.clone()));
        step.happened.push((n, row));
    }
}

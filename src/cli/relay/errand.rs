//! Errands: done by the running relay of a data directory at the socket in it or, where none runs, on its database.

use toq_api::relay::{Credential, Errand, ErrandAnswer, RelayApi, RelayApiError, Target};
use toq_relay::office::{self, Operator, OperatorError, SOCKET, Start};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::sanitize;
use super::Data;

impl Data {
    /// Has something done.
    pub async fn run(&self, desk: &Desk, errand: Errand) -> Result<ErrandAnswer, Failure> {
        self.done(desk, errand).await.map_err(|failure| self.runnable(desk, failure))
    }

    async fn done(&self, desk: &Desk, errand: Errand) -> Result<ErrandAnswer, Failure> {
        let dir = self.dir(desk)?;
        let socket = dir.join(SOCKET);
        if socket.exists() {
            let api = RelayApi::new(&Target::socket(&socket), Credential::None)?;
            match api.errand(&errand).await {
                // Left behind by a relay that was killed.
                Err(RelayApiError::Connection(_)) => {}
                other => return Ok(other?),
            }
        }
        let (start, is_fresh) = (Start::of(&errand), office::is_bare(&dir));
        let office = office::at_rest(&dir, start).await?;
        if is_fresh {
            desk.output.note(&format!("A new relay begins in {}; `toq relay up` starts it", dir.display()));
        }
        let done = Operator::of(&office).run(errand).await;
        office.close();
        Ok(done?)
    }
}

impl From<RelayApiError> for Failure {
    fn from(error: RelayApiError) -> Self {
        match error {
            RelayApiError::Api { body, .. } => {
                // The relay may quote what somebody else has named.
                let failure = Self::error(sanitize::text(&body.error));
                Self { hint: body.hint.as_deref().map(sanitize::text), ..failure }
            }
            other => Self::error(sanitize::text(&other.to_string())),
        }
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        Self { hint: error.hint.as_deref().map(sanitize::text), ..Self::error(sanitize::text(&error.text)) }
    }
}

/// The relay did something else than it was asked for.
pub fn strange() -> Failure {
    Failure::error("the relay answers another question").hint("it is of another version: stop it and start this one")
}

/// Lines of a table; the last column is as wide as it likes.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).chain([head[at].len()]).max().unwrap_or_default())
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.iter().map(|&title| title.to_owned()).collect())];
    lines.extend(rows.into_iter().map(line));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_columns_are_as_wide_as_what_is_in_them() {
        let rows = vec![vec!["long name".to_owned(), "1".to_owned()], vec!["x".to_owned(), "22".to_owned()]];

        assert_eq!(table(&["NAME", "USES"], rows), "NAME       USES\nlong name  1\nx          22");
    }
}

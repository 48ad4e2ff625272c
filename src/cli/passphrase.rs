//! Where a passphrase comes from: a file, standard input, the environment, or somebody who is asked. Never the
//! command line, which other users of the machine can read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use toq_vault::backup::Passphrase;
use zeroize::Zeroizing;

use super::desk::Desk;
use super::failure::Failure;

/// The variable that may hold a passphrase.
const VARIABLE: &str = "TOQ_PASSPHRASE";

/// The longest passphrase that is read, in bytes.
const LONGEST: u64 = 4096;

/// Where the passphrase is.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Reads the passphrase from this file; one line ending is taken off
    #[arg(long, value_name = "PATH", conflicts_with = "passphrase_stdin")]
    passphrase_file: Option<PathBuf>,
    /// Reads the passphrase from standard input; one line ending is taken off
    #[arg(long)]
    passphrase_stdin: bool,
}

/// What a passphrase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It closes something new, so a typing error would lock its owner out.
    Close,
    /// It opens something.
    Open,
}

impl Source {
    /// Says whether standard input is spoken for.
    pub const fn takes_stdin(&self) -> bool {
        self.passphrase_stdin
    }

    /// Gets the passphrase.
    pub fn read(&self, desk: &Desk, purpose: Purpose) -> Result<Passphrase, Failure> {
        let text = if let Some(path) = &self.passphrase_file {
            let failed = |error: io::Error| Failure::error(format!("cannot read {}: {error}", path.display()));
            first_line(File::open(path).map_err(failed)?).map_err(failed)?
        } else if self.passphrase_stdin {
            first_line(io::stdin()).map_err(|error| Failure::error(format!("cannot read standard input: {error}")))?
        } else if let Some(given) = desk.world.variable(VARIABLE) {
            given.to_owned()
        } else {
            ask(desk, purpose)?
        };
        Passphrase::new(text).map_err(|error| Failure::error(error.to_string()))
    }
}

fn ask(desk: &Desk, purpose: Purpose) -> Result<String, Failure> {
    if !desk.world.interactive {
        let hint = format!("Give it with --passphrase-file, --passphrase-stdin or in {VARIABLE}");
        return Err(Failure::error("a passphrase is needed and there is no terminal to ask for it").hint(hint));
    }
    let failed = |error: io::Error| Failure::error(format!("cannot ask for the passphrase: {error}"));
    let first = rpassword::prompt_password("Passphrase: ").map_err(failed)?;
    if purpose == Purpose::Close {
        let again = Zeroizing::new(rpassword::prompt_password("The same again: ").map_err(failed)?);
        if *again != first {
            return Err(Failure::error("the two passphrases differ"));
        }
    }
    Ok(first)
}

/// Everything that is there but for one line ending.
fn first_line(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(LONGEST).read_to_string(&mut text)?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).len();
    text.truncate(line);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_ending_is_taken_off_and_nothing_else() {
        for (text, expected) in [("a b\n", "a b"), ("a\r\n", "a"), (" a \n\n", " a \n"), ("a", "a"), ("", "")] {
            assert_eq!(first_line(text.as_bytes()).expect("memory"), expected);
        }
    }
}

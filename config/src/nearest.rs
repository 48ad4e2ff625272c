//! Finds the word that somebody probably meant.

/// Returns the candidate that is few enough typing mistakes away from a word.
///
/// A third of the word may be wrong, and at least two letters: enough for a swap or a forgotten letter in a
/// short key, too little to suggest something unrelated.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(2);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(mistakes, candidate)| *mistakes <= allowed && *mistakes < candidate.len())
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, candidate)| candidate)
}

/// Counts the insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut best = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_mistakes() {
        for (from, to, mistakes) in [
            ("port", "port", 0),
            ("prot", "port", 1),
            ("conection_mode", "connection_mode", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("hsot", "host", 1),
        ] {
            assert_eq!(distance(from, to), mistakes, "{from} {to}");
        }
    }

    #[test]
    fn an_unrelated_word_suggests_nothing() {
        let keys = ["port", "host", "connection_mode"];

        assert_eq!(nearest("conection_mode", keys.into_iter()), Some("connection_mode"));
        assert_eq!(nearest("database_url", keys.into_iter()), None);
    }
}

//! Reads `/proc/PID/smaps` (proc(5)).

/// A mapping of a program's own code, as the file has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Address of the first byte.
    pub(crate) start: usize,
    /// Length of the mapping in bytes.
    pub(crate) bytes: usize,
    /// Bytes of it that are in memory now.
    pub(crate) resident: u64,
}

/// The mappings in `maps` that hold code of `program` and that nobody has written to.
pub(crate) fn code_of(maps: &str, program: &str) -> Vec<Code> {
    let mut found = Vec::new();
    let mut lines = maps.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((start, bytes)) = header(line, program) else { continue };
        let (mut resident, mut changed, mut swapped) = (None, None, None);
        while let Some((name, size)) = lines.peek().and_then(|line| field(line)) {
            match name {
                "Rss" => resident = size,
                "Anonymous" => changed = size,
                "Swap" => swapped = size,
                _ => {}
            }
            lines.next();
        }
        // What the system does not say is taken for changed.
        if let (Some(resident), Some(0), Some(0)) = (resident, changed, swapped) {
            found.push(Code { start, bytes, resident });
        }
    }
    found
}

/// `55d0c0a00000-55d0c1c00000 r-xp 00514000 fe:00 1114 /usr/bin/toq`: where it starts and how long it is.
fn header(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    if words.next()? != "r-xp" || words.nth(3)?.trim_start() != program {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let bytes = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    Some((start, bytes))
}

/// `Rss:      12368 kB`: its name and its size in bytes, if it has one. A header is no field: its first word has no colon at the end.
fn field(line: &str) -> Option<(&str, Option<u64>)> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?.strip_suffix(':')?;
    let size = words.next().and_then(|size| size.parse::<u64>().ok()).and_then(|kib| kib.checked_mul(1024));
    Some((name, size))
}

#[cfg(test)]
mod tests {
    use super::{Code, code_of};

    const PROGRAM: &str = "/opt/two words/toq";

    fn smaps(rights: &str, path: &str, dirty: &str) -> String {
        format!(
            "1000-9000 r--p 00000000 fe:00 7                          {PROGRAM}\nRss:                  32 kB\nAnonymous:             0 kB\nVmFlags: rd mr mw me\n\
             9000-49000 {rights} 00008000 fe:00 7                          {path}\nSize:                256 kB\nRss:                 128 kB\n{dirty}VmFlags: rd ex mr mw me\n\
             49000-4a000 rw-p 00000000 00:00 0 \nRss:                   4 kB\nAnonymous:             4 kB\nVmFlags: rd wr\n"
        )
    }

    #[test]
    fn code_of_the_program_that_nobody_changed_is_found_with_its_size() {
        let maps = smaps("r-xp", PROGRAM, "Anonymous:             0 kB\nSwap:                  0 kB\n");
        assert_eq!(code_of(&maps, PROGRAM), [Code { start: 0x9000, bytes: 0x40000, resident: 128 * 1024 }]);
    }

    #[test]
    fn what_is_changed_writable_shared_or_of_another_file_is_left_alone() {
        let clean = "Anonymous:             0 kB\nSwap:                  0 kB\n";
        for (rights, path, dirty) in [
            ("r-xp", PROGRAM, "Anonymous:             4 kB\nSwap:                  0 kB\n"),
            ("r-xp", PROGRAM, "Anonymous:             0 kB\nSwap:                  4 kB\n"),
            ("r-xp", PROGRAM, "Anonymous:             ? kB\nSwap:                  0 kB\n"),
            ("r-xp", PROGRAM, "Anonymous:             0 kB\n"),
            ("r-xp", PROGRAM, ""),
            ("rwxp", PROGRAM, clean),
            ("r-xs", PROGRAM, clean),
            ("r--p", PROGRAM, clean),
            ("r-xp", "/usr/lib/libc.so.6", clean),
            ("r-xp", "", clean),
        ] {
            assert_eq!(code_of(&smaps(rights, path, dirty), PROGRAM), [], "{rights} {path} {dirty}");
        }
    }

    #[test]
    fn lines_that_are_no_smaps_name_no_code() {
        for maps in [
            "",
            "\n\n",
            "x-y r-xp 0 0 0 /opt/two words/toq",
            "9000-1000 r-xp 0 fe:00 7 /opt/two words/toq\nRss: 1 kB\nAnonymous: 0 kB\nSwap: 0 kB",
            "Rss:",
            "9000-",
        ] {
            assert_eq!(code_of(maps, PROGRAM), [], "{maps:?}");
        }
    }
}

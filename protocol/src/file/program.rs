//! What is a program, and so is not taken as a file: by the end of its name, and by how it begins.
//!
//! An attacker gives a program the name of something else, or a name that only becomes a program's once it is cleaned; so the
//! name is looked at as it came and as it would be saved, and the bytes whatever the name says.
//!
//! The criterion for a name: on some common desktop, opening a file with it runs what is in it, installs it, or follows it to
//! something that runs; or nothing but an interpreter has a use for it. That is what mail gateways refuse, with these
//! exceptions on purpose:
//!
//! - Source text (`.py`, `.js`, `.ts`, `.rb`, `.rs`, `.c` and their like) is what agents exchange all day. It opens in an editor
//!   where this program runs, and is as much a program as any text that somebody hands to an interpreter. A shell script is
//!   refused nevertheless: it is no source of anything, only something to run. Source whose first line names an interpreter is
//!   refused by its beginning.
//! - Archives and images of disks (`.zip`, `.iso`, `.dmg`) show what they hold before any of it can run.
//! - Documents that may hold macros or not (`.xlsb`, and the formats of before 2007) are refused where their name says that they do.

use super::safe_name;

/// What a name of a program ends with, in lower case and sorted.
const ENDS: &[&str] = &[
    "accde",
    "action",
    "ade",
    "adp",
    "apk",
    "app",
    "appimage",
    "appinstaller",
    "application",
    "appref-ms",
    "appx",
    "appxbundle",
    "bash",
    "bat",
    "chm",
    "class",
    "cmd",
    "com",
    "command",
    "cpl",
    "crx",
    "csh",
    "dash",
    "deb",
    "desktop",
    "diagcab",
    "dll",
    "docm",
    "dotm",
    "drv",
    "dylib",
    "elf",
    "exe",
    "fileloc",
    "fish",
    "flatpak",
    "flatpakref",
    "gadget",
    "hta",
    "inetloc",
    "jar",
    "jnlp",
    "jse",
    "kext",
    "ko",
    "ksh",
    "lnk",
    "mde",
    "mobileconfig",
    "mpkg",
    "msc",
    "msi",
    "msix",
    "msixbundle",
    "msp",
    "mst",
    "ocx",
    "pif",
    "pkg",
    "potm",
    "ppam",
    "ppsm",
    "pptm",
    "prefpane",
    "ps1",
    "ps1xml",
    "psc1",
    "psm1",
    "pyc",
    "pyo",
    "pyw",
    "pyz",
    "pyzw",
    "reg",
    "rpm",
    "run",
    "scf",
    "scpt",
    "scptd",
    "scr",
    "sct",
    "settingcontent-ms",
    "sh",
    "shb",
    "shs",
    "sldm",
    "snap",
    "so",
    "sys",
    "tcsh",
    "terminal",
    "tool",
    "url",
    "vbe",
    "vbs",
    "webloc",
    "workflow",
    "ws",
    "wsc",
    "wsf",
    "wsh",
    "xbap",
    "xla",
    "xlam",
    "xll",
    "xlsm",
    "xltm",
    "xpi",
    "zsh",
];

/// How programs begin.
const MAGIC: &[&[u8]] = &[
    b"\x7fELF",
    // Windows: programs, and shortcuts.
    b"MZ",
    b"L\0\0\0\x01\x14\x02\0",
    // macOS: programs for one processor and for several, which Java's classes begin like, and installers.
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xbe\xba\xfe\xca",
    b"xar!",
    // Linux: packages.
    b"!<arch>\ndebian-binary",
    b"\xed\xab\xee\xdb",
    // Android.
    b"dex\n",
    // A line that names an interpreter.
    b"#!",
    b"\xef\xbb\xbf#!",
];

/// True where a file is a program by its name: as it came, or as it would be saved.
#[must_use]
pub fn is_program_name(name: &str) -> bool {
    ends_as_program(name) || ends_as_program(&safe_name(name))
}

fn ends_as_program(name: &str) -> bool {
    let end = name.trim_end_matches(|letter: char| letter == '.' || letter.is_whitespace() || letter.is_control());
    end.rsplit_once('.').is_some_and(|(_, end)| ENDS.binary_search(&end.to_ascii_lowercase().as_str()).is_ok())
}

/// True where a file is a program by how it begins: programs and packages of common systems, or a line that names an interpreter.
#[must_use]
pub fn is_program(beginning: &[u8]) -> bool {
    MAGIC.iter().any(|magic| beginning.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_the_end_of_their_name() {
        for name in [
            // Programs, and what is one under another's end.
            "setup.exe",
            "SETUP.EXE",
            "x.pdf.scr",
            "a.dll ",
            "lib.so",
            "x.AppImage",
            "tool.jar",
            // Scripts of shells and of script hosts.
            "x.sh",
            "X.SH",
            "x.bash",
            "x.zsh",
            "run.ps1.",
            "x.bat",
            "x.vbs",
            "x.hta",
            "x.command",
            "x.pyw",
            "x.pyz",
            // What leads to a program.
            "x.desktop",
            "x.lnk",
            "x.url",
            // Documents that say that they hold macros.
            "x.docm",
            "x.DOTM",
            "x.xlsm",
            "x.pptm",
            // Installers.
            "x.deb",
            "x.rpm",
            "x.msi",
            "x.pkg",
            "x.apk",
            "x.flatpakref",
        ] {
            assert!(is_program_name(name), "{name}");
        }
    }

    #[test]
    fn source_text_and_documents_are_no_programs_by_their_name() {
        for name in [
            "exe",
            "report.pdf",
            "notes.txt",
            "song.exempt",
            "sh",
            "x.sh.txt",
            "x.py",
            "x.js",
            "x.ts",
            "x.rs",
            "x.c",
            "x.rb",
            "x.docx",
            "x.xlsx",
            "x.zip",
            "x.json",
            "x.html",
            "x.bin",
            "",
        ] {
            assert!(!is_program_name(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_a_programs_once_it_is_saved_is_one() {
        for name in ["a.exe\u{200b}", "a.\u{202e}exe", "a.e\0xe", "notes.txt:a.exe", "a.sh\u{feff}. ", "a.exe?\u{2060}.bat"] {
            assert!(is_program_name(name), "{name:?}");
        }
    }

    #[test]
    fn ends_are_found_because_they_are_sorted() {
        assert!(ENDS.is_sorted());
    }

    #[test]
    fn programs_are_known_by_their_beginning() {
        let programs = [&b"\x7fELF\x02"[..], b"MZ\x90", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/bin/sh\n", b"\xef\xbb\xbf#!/bin/sh"];
        let packages = [&b"!<arch>\ndebian-binary   1"[..], b"\xed\xab\xee\xdb\x03", b"xar!\0", b"dex\n035\0", b"L\0\0\0\x01\x14\x02\0\0"];
        for bytes in programs.into_iter().chain(packages) {
            assert!(is_program(bytes), "{bytes:?}");
        }
        for bytes in [&b"%PDF-1.7"[..], b"\x89PNG", b"# heading", b"", b"M", b"import os", b"!<arch>\nlib.o/"] {
            assert!(!is_program(bytes), "{bytes:?}");
        }
    }
}

#!/usr/bin/env python3
"""Holds the documents to their word.

    docs/check.py target/debug/toq

Runs every block that stands behind `<!-- check -->` in README.md, as written and in order, in one shell in an empty
directory, with `toq` first on the PATH; and follows every relative link in every document to the file and the heading
that it names. Python blocks run under the Python that runs this, which must have the toq package.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120

BLOCK = re.compile(r"^<!-- check -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def main() -> int:
    if len(sys.argv) != 2 or not os.access(sys.argv[1], os.X_OK):
        print(__doc__, file=sys.stderr)
        return 2
    wrong = links()
    for line in wrong:
        print(line)
    ran = run(Path(sys.argv[1]).resolve())
    print(f"the README {'holds' if ran else 'does not hold'}, {len(wrong)} broken links")
    return 0 if ran and not wrong else 1


def links() -> list:
    """Every link that leads nowhere."""
    return [
        f"{document.relative_to(ROOT)}: {target} leads nowhere"
        for document in documents()
        for target in LINK.findall(FENCE.sub("", document.read_text()))
        if not re.match(r"[a-z]+:", target) and not leads_somewhere(document, target)
    ]


def documents() -> list:
    folders = [ROOT / "docs", ROOT / "fuzz", ROOT / "python" / "toq", ROOT / "python" / "skytale"]
    below = [path for folder in folders for path in folder.rglob("*.md") if ".venv" not in path.parts]
    return sorted([*ROOT.glob("*.md"), *below])


def leads_somewhere(document: Path, target: str) -> bool:
    path, _, heading = target.partition("#")
    file = (document.parent / path) if path else document
    if not file.exists():
        return False
    if not heading:
        return True
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", file.read_text()), re.MULTILINE)
    return heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def run(toq: Path) -> bool:
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    if not blocks:
        print("README.md has no block to run")
        return False
    with tempfile.TemporaryDirectory(prefix="toq-readme-") as root:
        home, work, programs = (Path(root) / name for name in ("home", "work", "bin"))
        for folder in (home, work, programs):
            folder.mkdir()
        (programs / "toq").symlink_to(toq)
        # Whatever happens, no daemon stays behind.
        lines = [f"trap 'for name in {work}/*/; do (cd \"$name\" && toq down >/dev/null); done' EXIT"]
        for number, (language, text) in enumerate(blocks):
            if language == "python":
                program = Path(root) / f"block{number}.py"
                program.write_text(text)
                lines.append(f"{shlex.quote(sys.executable)} {program}")
            else:
                lines.append(text)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOQ_")}
        surroundings = {**inherited, "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}
        output = Path(root) / "output"
        with output.open("w") as file:
            shell = ["bash", "-euo", "pipefail", "-x", "-c", "\n".join(lines)]
            done = subprocess.run(
                shell, cwd=work, env=surroundings, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=PATIENCE
            )
        said = output.read_text()
        heard = all(text in said for text in ("Hello from alice", "says Hello from alice", "Welcome!"))
        if done.returncode or not heard:
            print(said)
            print(f"the commands of README.md ended with {done.returncode}" + ("" if heard else "; a message is missing"))
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())

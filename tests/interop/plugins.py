"""A program that uses one of the published framework plugins, as a process of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

FRAMEWORKS = ("langchain", "crewai")
STOP_DEADLINE = 20.0


class PluginError(Exception):
    """What the plugin raised."""


class Plugin:
    """A running `plugin_host.py` in the environment of one plugin, with a home directory of its own."""

    def __init__(self, framework: str, root: Path):
        self.framework, self.home = framework, root / framework
        bundled = self.home / "bundled" / f"linux-{os.uname().machine}" / "toq"
        bundled.parent.mkdir(parents=True)
        shutil.copy2(os.environ["TOQ_BIN"], bundled)
        self.log = self.home / "output.log"
        python = Path(os.environ["TOQ_INTEROP_PLUGINS"]) / framework / "bin" / "python"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PLUGIN_BINARIES": str(self.home / "bundled"),
            # There is no network to report to.
            "CREWAI_DISABLE_TELEMETRY": "true",
            "CREWAI_TRACING_ENABLED": "false",
            "OTEL_SDK_DISABLED": "true",
            "LANGSMITH_TRACING": "false",
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [python, Path(__file__).with_name("plugin_host.py"), framework],
                cwd=self.home,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )

    def do(self, command: str, **arguments):
        """Has one command carried out; raises `PluginError` where the plugin raised something."""
        self.process.stdin.write(json.dumps({"do": command, "with": arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{self.framework} ended: {self.log.read_text(errors='replace')[-4000:]}"
        answer = json.loads(line)
        if "error" in answer:
            raise PluginError(answer["error"])
        return answer["answer"]

    def tool(self, which: str, /, **arguments) -> str:
        return self.do("call", tool=f"toq_{which}", arguments=arguments)

    def stop(self) -> int:
        """Lets the program come to its end and returns its exit code."""
        self.process.stdin.close()
        try:
            return self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

"""Runs inside a plugin's own environment and does there what a program that uses the plugin does.

    python plugin_host.py langchain|crewai

Reads one JSON command a line and answers each with one line: `{"answer": …}` or `{"error": …}`. The plugin, its framework
and the published client are installed from PyPI and not touched; what is ours is the binary that the plugin unpacks.
"""

import asyncio
import importlib
import json
import os
import sys
import threading
from pathlib import Path

import toq
from toq_plugins_common import binary


class Host:
    """The plugin's client, its tools by name, and a listening agent in a thread of its own."""

    def __init__(self, framework: str):
        self.framework = framework
        self.plugin = importlib.import_module(f"toq_{framework}")
        # The packages on PyPI contain no binary; this is how a plugin names the place of the one that it unpacks.
        binary.set_bundled_bin_dir(Path(os.environ["PLUGIN_BINARIES"]))
        self.tools = {}

    def connect(self, **options) -> list[str]:
        client = self.plugin.connect(**options)
        assert isinstance(client.sdk, toq.Client)
        self.tools = {tool.name: tool for tool in client.tools()}
        return sorted(self.tools)

    def call(self, tool: str, arguments: dict) -> str:
        run = self.tools[tool].invoke if self.framework == "langchain" else self.tools[tool].run
        return run(arguments) if self.framework == "langchain" else run(**arguments)

    def listen(self, url: str) -> None:
        agent = langchain_agent() if self.framework == "langchain" else crew()
        listening = self.plugin.listen(toq.connect_async(url), agent)
        threading.Thread(target=asyncio.run, args=(listening,), daemon=True).start()


def langchain_agent():
    """A runnable of the framework that repeats what it was told."""
    from langchain_core.runnables import RunnableLambda

    return RunnableLambda(lambda given: {"output": f"heard: {given['messages'][0]['content']}"})


def crew():
    """A crew of one, whose model repeats the task that the crew gives it."""
    from crewai import Agent, BaseLLM, Crew, Task

    class Parrot(BaseLLM):
        def call(self, messages, *_, **__):
            return "heard: " + messages[-1]["content"]

    agent = Agent(role="listener", goal="answer", backstory="none", llm=Parrot(model="parrot"))
    task = Task(description="{message} from {sender} in {thread_id}", expected_output="an answer", agent=agent)
    return Crew(agents=[agent], tasks=[task])


def main() -> None:
    # Frameworks print; the answers go where nothing else can.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    host = Host(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"answer": getattr(host, command["do"])(**command["with"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

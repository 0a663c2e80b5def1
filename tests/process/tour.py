"""README's tours as commands and what they show: pasted into one bash, and compared."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.process.conftest import SECONDS
from tests.process.test_documents import README

FLAGS = re.MULTILINE | re.DOTALL
STEP = re.compile(r"^\$ (.*\n(?: {4}.*\n)*)((?:(?!\$ | {4}).*\n)*)", re.MULTILINE)
END = "\x1e"

NOTATION = re.compile(r"(\b[0-9a-f]{8}-\.\.\.|\s*\.\.\.\s*|\s*\n\s*)")
ID = "[0-9a-f]{8}-[0-9a-f-]{27}"
# What `...` stands for: anything with its braces in pairs, so that it ends where its object ends.
# Within a line it ends with the line, too.
LEFT_OUT, OF_THE_LINE = "[^{}]", "[^{}\n]"
for _ in range(3):
    LEFT_OUT, OF_THE_LINE = (
        rf"(?:[^{{}}]|\{{{LEFT_OUT}*\}})",
        rf"(?:[^{{}}\n]|\{{{OF_THE_LINE}*\}})",
    )


@dataclass(frozen=True)
class Tour:
    """The commands of one section of README, and what it says that each prints."""

    blocks: list[str]
    commands: list[str]
    shown: list[str]


def tour(section: str) -> Tour:
    """The commands in the plain blocks of a section; a block in another language is none."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", re.sub(r"^```[a-z]+\n.*?^```$", "", text, flags=FLAGS), FLAGS)
    steps = [step for block in blocks for step in STEP.findall(block)]
    return Tour(blocks, [command for command, _ in steps], [shown for _, shown in steps])


def expression(shown: str, known: dict[str, str]) -> str:
    """What fits these lines of README: a known id is that id, another one a group."""
    ids, made = {name: re.escape(known[name]) for name in known}, ""
    for number, part in enumerate(NOTATION.split(shown)):
        if number % 2 == 0:
            made += re.escape(part)
        elif part.endswith("-..."):
            name = f"id_{part[:8]}"
            made += ids.get(name, f"(?P<{name}>{ID})")
            ids.setdefault(name, f"(?P={name})")
        else:
            left_out = LEFT_OUT if "\n" in part else OF_THE_LINE
            made += f"{left_out}*?" if "..." in part else r"\s*"
    return made


def differs(shown: list[str], answers: list[str]) -> int | None:
    """The first step whose answer is not what README shows; ids may be others, if each is another one."""
    ids: dict[str, str] = {}
    for number, (lines, answer) in enumerate(zip(shown, answers, strict=True)):
        found = re.fullmatch(expression(lines, ids), answer)
        if found is None:
            return number
        ids |= found.groupdict()
        if len(set(ids.values())) < len(ids):
            return number
    return None


def altered(shown: list[str]) -> Iterator[list[str]]:
    """The same lines with one word or number or id of them changed, each in turn."""
    for number, lines in enumerate(shown):
        for word in re.finditer(r"\w+", lines):
            other = f"{lines[: word.start()]}00000000{lines[word.end() :]}"
            yield [*shown[:number], other, *shown[number + 1 :]]


async def pasted(commands: list[str], url: str, **around: str) -> list[str]:
    """What each command prints in one bash, when the API answers there; notes for people are let pass in a folder."""
    script = "".join(f"{command}printf '\\036'\n" for command in commands)
    rollbook = shlex.quote(str(Path(sys.executable).parent / "rollbook"))
    script = script.replace("localhost:8000", url.removeprefix("http://")).replace(".venv/bin/rollbook", rollbook)
    child = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "--noprofile", "-c", script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "API_URL": url} | around,
        cwd=around.get("DATA_DIR"),
    )
    printed, complaints = await asyncio.wait_for(child.communicate(), SECONDS)
    assert (child.returncode, complaints.decode() if "DATA_DIR" not in around else "") == (0, ""), complaints
    return printed.decode().split(END)[:-1]

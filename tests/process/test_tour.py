"""The tour in README works as it stands, and shows what README says."""

import asyncio
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import open_folder
from tests.process.conftest import SECONDS, started
from tests.process.test_documents import README

TOUR = README.partition("\n## Five minutes\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```\n(.*?)^```$", TOUR, re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^\$ (.*\n(?: {4}.*\n)*)((?:(?!\$ | {4}).*\n)*)", re.MULTILINE)
STEPS = [step for block in BLOCKS for step in STEP.findall(block)]
COMMANDS = [command for command, _ in STEPS]
SHOWN = [shown for _, shown in STEPS]
END = "\x1e"

NOTATION = re.compile(r"(\b[0-9a-f]{8}-\.\.\.|\s*\.\.\.\s*|\s*\n\s*)")
ID = "[0-9a-f]{8}-[0-9a-f-]{27}"
# What `...` stands for: anything with its braces in pairs, so that it ends where its object ends.
LEFT_OUT = "[^{}]"
for _ in range(3):
    LEFT_OUT = rf"(?:[^{{}}]|\{{{LEFT_OUT}*\}})"


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
            made += f"{LEFT_OUT}*?" if "..." in part else r"\s*"
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


async def pasted(commands: list[str], url: str) -> list[str]:
    """What each command prints in one bash, when the API answers there."""
    script = "".join(f"{command}printf '\\036'\n" for command in commands)
    rollbook = shlex.quote(str(Path(sys.executable).parent / "rollbook"))
    script = script.replace("localhost:8000", url.removeprefix("http://")).replace(".venv/bin/rollbook", rollbook)
    child = await asyncio.create_subprocess_exec(
        *("bash", "--norc", "--noprofile", "-c", script),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "API_URL": url},
    )
    printed, complaints = await asyncio.wait_for(child.communicate(), SECONDS)
    assert (child.returncode, complaints) == (0, b"")
    return printed.decode().split(END)[:-1]


def test_the_tour_is_nothing_but_commands_and_what_they_show() -> None:
    assert STEPS
    assert "".join(f"$ {command}{shown}" for command, shown in STEPS) == "".join(BLOCKS)


@pytest.mark.parametrize(
    ("shown", "answer", "same"),
    [
        ('{"id":"0b43851b-...", ... "status":"deployed", ...}', '{"id":"%s","a":1,"status":"deployed","b":{}}', True),
        ('{ ... "status":"deployed", ...}', '{"a":{"status":"deployed"},"status":"scheduled","b":2}', False),
        ('[{ ... "position":3, ...},\n {}]', '[{"id":1,"position":3,"b":2},{}]', True),
        ('[{ ... "position":3, ...},\n {}]', '[{"id":1},{"position":3,"b":2},{}]', False),
        ("0b43851b-... 0b43851b-...", "%s %s", True),
        ("0b43851b-... 5238e0f0-...", "%s %s", False),
        ("A  B", "A B", False),
    ],
)
def test_what_readme_leaves_out_may_be_anything_else_in_the_same_object(shown: str, answer: str, same: bool) -> None:
    answer = answer.replace("%s", "12345678-1234-1234-1234-123456789012")
    assert (differs([shown], [answer]) is None) == same


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_every_step_shows_what_readme_says_and_nothing_else(servers: dict[str, str]) -> None:
    with open_folder("tour") as folder:
        async with started(folder, **servers, AUTH_ENABLED="false", READ_WAIT_MS="20000") as instance:
            answers = await pasted(COMMANDS, instance.url)
    first = differs(SHOWN, answers)
    assert first is None, f"$ {COMMANDS[first]}{answers[first]}"
    assert [other for other in altered(SHOWN) if differs(other, answers) is None] == []

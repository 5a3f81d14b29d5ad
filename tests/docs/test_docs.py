"""Do the commands in the documentation give the answers that stand beside them?

A block ``console`` with lines that begin with ``$`` is run against the demonstration, and what follows each command is
compared with what it prints; ``…`` stands for anything. Python blocks are run as they are.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
ADDRESS = "http://127.0.0.1:8000"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
"""Where `isopleth` is found, as in an environment that has been activated."""
LINK = re.compile(r"\]\(((?!https?://|#)[^)]+)\)")


def commands(page: Path) -> list[tuple[str, str]]:
    """Return the commands of a page with the answers that it shows."""
    found: list[tuple[str, str]] = []
    for language, body in BLOCK.findall(page.read_text()):
        if language != "console":
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, answer = part.partition("\n")
            while command.endswith("\\"):
                more, _, answer = answer.partition("\n")
                command = command[:-1] + more
            found.append((command, answer.strip()))
    return found


def test_there_are_five_examples_in_the_readme() -> None:
    assert len(commands(ROOT / "README.md")) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_commands_of_a_page_answer_as_it_says(demo, page: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for command, shown in commands(page):
        run = command.replace(ADDRESS, demo.url)
        done = subprocess.run(
            ["sh", "-c", run], capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False, env=COMMANDS
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        answer = done.stdout.replace(demo.url, ADDRESS).strip().replace("\r\n", "\n")
        pattern = ".*?".join(re.escape(part) for part in shown.split("…"))
        assert re.fullmatch(pattern, answer, re.DOTALL), f"{command}\nshown:  {shown}\nanswer: {answer[:3000]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_python_of_a_page_runs(demo, page: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for language, body in BLOCK.findall(page.read_text()):
        if language == "python":
            command = [sys.executable, "-c", body.replace(ADDRESS, demo.url)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False)
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip()


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md"))], ids=lambda p: p.name)
def test_the_links_of_a_page_lead_to_files(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for language, body in BLOCK.findall(page.read_text()):
            if language in ("console", "sh"):
                assert set(re.findall(r"^make ([a-z]+)", body, re.MULTILINE)) <= targets

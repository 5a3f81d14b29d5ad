"""Do the parts of the page scripts that need no browser pass their own tests, under Node.js?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from server.pages.bundle import NodeMissingError, find_node


def test_scripts_under_node() -> None:
    try:
        node = find_node()
    except NodeMissingError as error:
        pytest.skip(error.detail)
    tests = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))
    assert tests
    done = subprocess.run([*node.node, "--test", *tests], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail 0" in done.stdout

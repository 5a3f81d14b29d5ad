"""The command line: which verb, on what, with which result for the shell?"""

from __future__ import annotations


def main() -> int:
    """Run one command."""
    return 0

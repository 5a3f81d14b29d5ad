"""Shared fixtures: where the sample data is, and stores whose every value can be recomputed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
Era5Like = Callable[..., tuple[Path, ModuleType]]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample files; a test that needs it is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the sample data (../shared/data) is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def era5_like(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Era5Like:
    """Make (once per set of arguments) a synthetic store, and return it with the module that knows its values.

    ``era5_like("--years", "0.02", "--chunks", "map")`` returns ``(path, module)``; the oracle is ``module.expected``.
    """
    script = shared_data / "make_era5_like.py"
    spec = importlib.util.spec_from_file_location("make_era5_like", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_era5_like"] = module
    spec.loader.exec_module(module)
    root = tmp_path_factory.mktemp("era5-like")
    made: dict[tuple[str, ...], Path] = {}

    def make(*arguments: str) -> tuple[Path, ModuleType]:
        if arguments not in made:
            path = root / f"store-{len(made)}.zarr"
            command = [sys.executable, str(script), "--out", str(path), *arguments]
            subprocess.run(command, check=True, capture_output=True)
            made[arguments] = path
        return made[arguments], module

    return make

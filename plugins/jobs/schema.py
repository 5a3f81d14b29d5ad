"""Where are jobs kept: which tables, which indices, and how durable is a commit?

``jobs`` is the truth. ``owners`` counts each owner's queued and running jobs, and ``queues`` the same by owner and lane
(`plugins.jobs.rules`), so that a claim looks at a few rows and never at the queue; ``owners`` also holds the owner's
virtual time, by which start-time fair queueing picks whose turn it is. ``clock`` holds the virtual time of the whole
store. ``callbacks`` holds what subscribers have still to be told, written in the transaction that made it true.

Times are integers, microseconds since 1970 UTC, so that durations can be compared in any SQL.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    case,
    create_engine,
    event,
    false,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.schema import CreateColumn

from plugins.datacube.errors import StorageError
from plugins.jobs.job import Failure, Job, Result, State, Subscriber, to_iso

METADATA: Final = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by themselves only in an INTEGER column

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("number", _Id, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(255), nullable=False),
    Column("idempotency_key", String(255)),
    Column("digest", String(64), nullable=False),
    Column("process_id", String(128), nullable=False),
    Column("inputs", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("snapshot", String(255)),
    Column("priority", Integer, nullable=False),
    Column("idempotent", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("finished", BigInteger),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("discard", Boolean, nullable=False),
    Column("expires", BigInteger),
    Column("result", Text),
    Column("failure", Text),
    Column("lane", String(512), nullable=False, server_default=""),
    Column("cost", BigInteger),
    Column("content", String(64)),
    Column("follows", String(64)),
    Column("shared", Boolean, nullable=False, server_default=false()),
    Column("subscriber", Text),
    UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
)
Index("jobs_queue", JOBS.c.owner, JOBS.c.state, JOBS.c.priority.desc(), JOBS.c.number)
Index("jobs_state", JOBS.c.state, JOBS.c.number)
Index("jobs_list", JOBS.c.owner, JOBS.c.number)
Index("jobs_expires", JOBS.c.expires)
Index("jobs_discard", JOBS.c.discard)
Index("jobs_lane", JOBS.c.owner, JOBS.c.state, JOBS.c.lane, JOBS.c.priority.desc(), JOBS.c.number)
Index("jobs_process", JOBS.c.process_id, JOBS.c.state, JOBS.c.number)
Index("jobs_content", JOBS.c.content, JOBS.c.number)
Index("jobs_follows", JOBS.c.follows)

OWNERS: Final = Table(
    "owners",
    METADATA,
    Column("owner", String(255), primary_key=True),
    Column("queued", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("virtual_time", Float, nullable=False),
)
Index("owners_turn", OWNERS.c.virtual_time, OWNERS.c.owner)

QUEUES: Final = Table(
    "queues",
    METADATA,
    Column("owner", String(255), primary_key=True),
    Column("lane", String(512), primary_key=True),
    Column("queued", Integer, nullable=False),
    Column("running", Integer, nullable=False),
)

CALLBACKS: Final = Table(
    "callbacks",
    METADATA,
    Column("number", _Id, primary_key=True, autoincrement=True),
    Column("job_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("uri", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", BigInteger, nullable=False),
)
Index("callbacks_due", CALLBACKS.c.due)

CLOCK: Final = Table(
    "clock",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("virtual_time", Float, nullable=False),
    Column("version", Integer, nullable=False),
)
VERSION: Final = 2
"""Version of these tables; a store of an older version is brought up to it, one of a newer version is refused."""
_ADDED_IN_2: Final = ("lane", "cost", "content", "follows", "shared", "subscriber")

BUSY_SECONDS: Final = 10
"""How long a transaction waits for another one before it gives up."""
NETWORK_DISKS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "fuse.sshfs"})
"""File systems on which SQLite's write-ahead log is not safe."""


def open_engine(place: str | Path) -> Engine:
    """Open the database: a path is an SQLite file, a text with ``://`` is a database URL.

    A commit on SQLite is on the disk when it returns (write-ahead log, ``synchronous=FULL``).

    Raises
    ------
    StorageError
        If the path lies on a network disk.
    """
    if isinstance(place, str) and "://" in place:
        return create_engine(place, pool_pre_ping=True)
    path = Path(place).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = disk_kind(path.parent)
    if kind in NETWORK_DISKS:
        raise StorageError(
            f"the data folder lies on a network disk ({kind}), where jobs could be lost: use a local one"
        )
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, pool_size=8
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def upgrade(connection: Connection, version: int) -> int:
    """Bring the tables of an older version up to `VERSION`, in the caller's transaction; return the version they have.

    Nothing is changed where the version is not one that this code knows.
    """
    if version != 1:
        return version
    have = {column["name"] for column in inspect(connection).get_columns("jobs")}
    for name in _ADDED_IN_2:
        if name not in have:
            clause = str(CreateColumn(JOBS.c[name]).compile(dialect=connection.dialect))
            connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN {clause}")
    for index in JOBS.indexes:
        index.create(connection, checkfirst=True)
    counted = (
        select(
            JOBS.c.owner,
            JOBS.c.lane,
            func.sum(case((JOBS.c.state == State.ACCEPTED, 1), else_=0)),
            func.sum(case((JOBS.c.state == State.RUNNING, 1), else_=0)),
        )
        .where(JOBS.c.state.in_((State.ACCEPTED, State.RUNNING)))
        .group_by(JOBS.c.owner, JOBS.c.lane)
    )
    connection.execute(insert(QUEUES).from_select(["owner", "lane", "queued", "running"], counted))
    connection.execute(update(CLOCK).values(version=VERSION))
    return VERSION


def disk_kind(folder: Path) -> str:
    """Return the type of the file system that holds a folder, or an empty string where the system does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    best, kind = "", ""
    target = str(folder.resolve())
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        point, name = line.split(" ")[1:3]
        point = point.replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, name
    return kind


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver must not begin transactions on its own: `_begin_sqlite` says which kind.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: a transaction that reads first and upgrades later can fail half-way.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def to_job(row: Row[Any]) -> Job:
    """Turn a row of ``jobs`` into a `Job`."""
    result = None
    if row.result is not None:
        expires = None if row.expires is None else to_iso(row.expires)
        result = Result(**json.loads(row.result), expires=expires)
    return Job(
        id=row.id,
        number=row.number,
        owner=row.owner,
        process_id=row.process_id,
        inputs=json.loads(row.inputs),
        options=json.loads(row.options),
        snapshot=row.snapshot,
        priority=row.priority,
        idempotent=row.idempotent,
        state=State(row.state),
        message=row.message,
        progress=row.progress,
        created=to_iso(row.created),
        updated=to_iso(row.updated),
        started=None if row.started is None else to_iso(row.started),
        finished=None if row.finished is None else to_iso(row.finished),
        attempt=row.attempt,
        crashes=row.crashes,
        interruptions=row.interruptions,
        cancel=row.cancel,
        result=result,
        failure=None if row.failure is None else Failure(**json.loads(row.failure)),
        lane=row.lane,
        cost=row.cost,
        follows=row.follows,
        shared=row.shared,
        subscriber=None if row.subscriber is None else Subscriber(**json.loads(row.subscriber)),
    )

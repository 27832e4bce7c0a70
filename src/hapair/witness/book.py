"""What the witness has recorded: one SQLite file whose every commit is on the disk.

The commands open it beside the running service; SQLite keeps them apart. All methods block.
"""

import hashlib
import hmac
import sqlite3
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.witness import codes
from hapair.witness.wire import SCRATCH, Grant, Join, Joined, Look, No, Recorded, Reply

FILE_NAME: Final = "witness.sqlite"
BUSY_TIMEOUT_S: Final = 10.0
TABLES: Final = """
CREATE TABLE IF NOT EXISTS clusters (
    name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, holder TEXT NOT NULL,
    granted_s REAL, joined_s REAL NOT NULL, asked_s REAL, asked_from TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS certificates (
    fingerprint TEXT PRIMARY KEY, cluster TEXT NOT NULL, pem TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS certificates_of ON certificates (cluster);
CREATE TABLE IF NOT EXISTS invitations (
    cluster TEXT PRIMARY KEY, code TEXT NOT NULL, ends_s REAL NOT NULL, used_for TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, holder TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request together with who really sent it."""

    request: Grant | Look
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """When a cluster asked last, and from where."""

    at_s: float  # Seconds since 1970.
    source: str


@dataclass(frozen=True, slots=True)
class Row:
    """All that is known of one cluster. Times are seconds since 1970; None: never."""

    cluster: str
    epoch: int
    holder: str
    granted_s: float | None
    joined_s: float
    asked_s: float | None
    asked_from: str
    certificates: int


class Book:
    def __init__(self, folder: Path) -> None:
        self._base = sqlite3.connect(
            folder / FILE_NAME,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,  # The service uses it in one thread, but not in the first.
        )
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        self._base.executescript(TABLES)

    def close(self) -> None:
        self._base.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing; on the disk when the block has ended without an error."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        finally:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")

    def settle(
        self, asks: Sequence[Ask], sightings: Mapping[str, Sighting], now_s: float
    ) -> list[Reply]:
        """Answer many requests with one commit."""
        with self._transaction():
            replies = [self._settled(ask, now_s) for ask in asks]
            self._base.executemany(
                "UPDATE clusters SET asked_s = ?, asked_from = ? WHERE name = ?",
                [(seen.at_s, seen.source, cluster) for cluster, seen in sightings.items()],
            )
        return replies

    def _settled(self, ask: Ask, now_s: float) -> Reply:
        found = self._base.execute(
            "SELECT name, epoch, holder FROM certificates JOIN clusters ON name = cluster"
            " WHERE fingerprint = ?",
            (ask.fingerprint,),
        ).fetchone()
        request = ask.request
        if found is None or found[0] != request.cluster.removesuffix(SCRATCH):
            return stranger(request.cluster)
        if request.cluster.endswith(SCRATCH):
            return self._tried(request, found[0])
        _, epoch, holder = found
        match request:
            case Look():
                return Recorded("seen", epoch, holder)
            case Grant() if request.epoch > epoch:
                self._base.execute(
                    "UPDATE clusters SET epoch = ?, holder = ?, granted_s = ? WHERE name = ?",
                    (request.epoch, request.node, now_s, request.cluster),
                )
                return Recorded("granted", request.epoch, request.node)
            case Grant() if (request.epoch, request.node) == (epoch, holder):
                return Recorded("granted", epoch, holder)
            case Grant():
                return Recorded("denied", epoch, holder)

    def _tried(self, request: Grant | Look, cluster: str) -> Reply:
        """Answer from the record for trials as from the cluster's own one."""
        found = self._base.execute(
            "SELECT epoch, holder FROM trials WHERE name = ?", (cluster,)
        ).fetchone()
        epoch, holder = found or (0, "")
        match request:
            case Look():
                return Recorded("seen", epoch, holder)
            case Grant() if request.epoch > epoch:
                self._base.execute(
                    "REPLACE INTO trials VALUES (?, ?, ?)", (cluster, request.epoch, request.node)
                )
                return Recorded("granted", request.epoch, request.node)
            case Grant() if (request.epoch, request.node) == (epoch, holder):
                return Recorded("granted", epoch, holder)
            case Grant():
                return Recorded("denied", epoch, holder)

    def invite(self, cluster: str, code: str, ends_s: float) -> bool:
        """Keep the code, in place of a former one, until it ends; tell if the cluster is known."""
        with self._transaction():
            self._base.execute(
                "REPLACE INTO invitations VALUES (?, ?, ?, '')",
                (cluster, codes.digest(code, cluster), ends_s),
            )
            known = self._base.execute("SELECT 1 FROM clusters WHERE name = ?", (cluster,))
            return known.fetchone() is not None

    def join(self, join: Join, now_s: float) -> Reply:
        """Make exactly these certificates the cluster's; its record stays as it is."""
        prints = [fingerprint(pem) for pem in join.certificates]
        if "" in prints:
            return No("what was sent is no certificate", "run clbuild again")
        used_for = " ".join(sorted(prints))
        with self._transaction():
            found = self._base.execute(
                "SELECT code, ends_s, used_for FROM invitations WHERE cluster = ?", (join.cluster,)
            ).fetchone()
            given = codes.digest(join.code, join.cluster)
            invited = found is not None and hmac.compare_digest(found[0], given)
            if not invited or found[1] < now_s or found[2] not in {"", used_for}:
                return No(
                    f"this code does not admit {join.cluster}: it is wrong, used, or too old",
                    f"type clwitness invite {join.cluster} on the witness for a new one",
                )
            taken = self._base.execute(
                f"SELECT 1 FROM certificates WHERE cluster != ? AND fingerprint IN"  # noqa: S608 - question marks only
                f" ({','.join('?' * len(prints))})",
                (join.cluster, *prints),
            ).fetchone()
            if taken is not None:
                return No(
                    "one of these certificates belongs to another cluster here",
                    "a node is in one cluster only: clwitness remove the other one first",
                )
            self._admit(join, prints, used_for, now_s)
        return Joined(join.cluster)

    def _admit(self, join: Join, prints: Sequence[str], used_for: str, now_s: float) -> None:
        self._base.execute(
            "INSERT INTO clusters VALUES (?, 0, '', NULL, ?, NULL, '')"
            " ON CONFLICT (name) DO UPDATE SET joined_s = excluded.joined_s",
            (join.cluster, now_s),
        )
        self._base.execute("DELETE FROM certificates WHERE cluster = ?", (join.cluster,))
        self._base.executemany(
            "REPLACE INTO certificates VALUES (?, ?, ?)",
            [(own, join.cluster, pem) for own, pem in zip(prints, join.certificates, strict=True)],
        )
        self._base.execute(
            "UPDATE invitations SET used_for = ? WHERE cluster = ?", (used_for, join.cluster)
        )

    def remove(self, cluster: str) -> Row | None:
        """Forget a cluster and its record; return what was known of it."""
        known = [row for row in self.rows() if row.cluster == cluster]
        with self._transaction():
            for table, column in (
                ("certificates", "cluster"), ("invitations", "cluster"), ("clusters", "name"),
                ("trials", "name"),
            ):  # fmt: skip
                self._base.execute(f"DELETE FROM {table} WHERE {column} = ?", (cluster,))  # noqa: S608 - our own words
        return known[0] if known else None

    def rows(self) -> list[Row]:
        found = self._base.execute(
            "SELECT name, epoch, holder, granted_s, joined_s, asked_s, asked_from,"
            " (SELECT count(*) FROM certificates WHERE cluster = name) FROM clusters ORDER BY name"
        )
        return [Row(*row) for row in found]

    def certificates(self) -> list[str]:
        return [pem for (pem,) in self._base.execute("SELECT pem FROM certificates")]

    def setting(self, name: str) -> str:
        row = self._base.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        with self._transaction():
            self._base.execute("REPLACE INTO settings VALUES (?, ?)", (name, value))


def fingerprint(pem: str) -> str:
    """Return the SHA-256 of a certificate in hexadecimal digits; "" when it is none."""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem.strip())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=der)
    except ValueError:
        return ""
    except OSError:  # ssl.SSLError is one.
        return ""
    return hashlib.sha256(der).hexdigest()


def stranger(cluster: str) -> No:
    return No(
        f"this certificate does not belong to the cluster {cluster}",
        f"on the witness type clwitness invite {cluster}, on a node clbuild --witness-code CODE",
    )

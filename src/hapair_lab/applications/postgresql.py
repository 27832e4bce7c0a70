"""PostgreSQL: a row is a transaction, and each has to be found once."""

from __future__ import annotations

from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.payload.client import PASSWORD
from hapair_lab.topology import GATEWAY

DATA: Final = "/var/lib/postgresql"
SETTINGS: Final = "/etc/postgresql/15/main"
UNIT: Final = "postgresql@15-main.service"
TABLE: Final = f"""\
CREATE ROLE ledger LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE ledger OWNER ledger;
\\connect ledger
CREATE EXTENSION amcheck;
SET ROLE ledger;
CREATE TABLE ledger (number bigint, at timestamptz DEFAULT now());
CREATE INDEX ON ledger (number);
"""


def prepare(lab: Lab) -> None:
    """Make the cluster that Debian's installation makes, and let ``outside`` write to it."""
    node1 = lab.node1
    node1.check(f"chown postgres:postgres {DATA}")
    node1.check("pg_createcluster 15 main --start-conf=manual -- --data-checksums")
    node1.check(
        f"cp {SAMPLES}/postgresql/hapair.conf {SETTINGS}/conf.d/ && "
        # The lab's volume is small.
        f"sed -i 's/^max_wal_size.*/max_wal_size = 64MB/' {SETTINGS}/conf.d/hapair.conf && "
        f"echo host ledger ledger {GATEWAY}/32 scram-sha-256 >>{SETTINGS}/pg_hba.conf"
    )
    node1.check("tar -C /etc -c postgresql | ssh node2 tar -C /etc -x")
    for node in lab.nodes:
        node.check("systemctl -q unmask postgresql.service && systemctl daemon-reload")
    node1.check(f"systemctl start {UNIT}")
    ask(node1, "postgres", TABLE)
    node1.check(f"systemctl stop {UNIT}")


def ask(node: Machine, database: str, sql: str) -> str:
    """Return what psql says on the node itself."""
    psql = f"runuser -u postgres -- psql -qAtX -v ON_ERROR_STOP=1 {database}"
    return node.check(f"cd / && {psql}", stdin=sql.encode())


def numbers(node: Machine) -> list[int]:
    return [int(line) for line in ask(node, "ledger", "SELECT number FROM ledger;").split()]


def check(node: Machine) -> None:
    """Let PostgreSQL compare each table with its indexes, to the last row."""
    program = "/usr/lib/postgresql/15/bin/pg_amcheck --heapallindexed"
    node.check(f"cd / && runuser -u postgres -- {program} ledger")


POSTGRESQL: Final = RealApplication(
    name="postgresql",
    mount_point=DATA,
    address="10.77.1.51",
    port=5432,
    speaks="postgresql",
    main=UNIT,
    prepare=prepare,
    numbers=numbers,
    check=check,
)

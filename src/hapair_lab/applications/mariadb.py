"""MariaDB: a row is a transaction, and each has to be found once."""

from __future__ import annotations

from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import MORE_BOOTED
from hapair_lab.payload.client import PASSWORD
from hapair_lab.topology import GATEWAY

DATA: Final = "/var/lib/mysql"
SETTINGS: Final = "/etc/mysql/mariadb.conf.d/60-hapair.cnf"
UNIT: Final = "mariadb.service"
TABLE: Final = f"""\
CREATE DATABASE ledger;
CREATE USER ledger@'{GATEWAY}' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON ledger.* TO ledger@'{GATEWAY}';
CREATE TABLE ledger.ledger
  (number bigint, at timestamp(6) DEFAULT current_timestamp(6), KEY (number)) ENGINE=InnoDB;
"""


def prepare(lab: Lab) -> None:
    """Do what the README says, and let ``outside`` write to it."""
    node1 = lab.node1
    # The volume hides the data that node1's installation made; node2's is the same.
    node1.check(f"ssh node2 tar -C {DATA} -c . | tar -C {DATA} -x")
    for node in lab.nodes:
        node.check(
            # The lab's volume is small.
            f"sed 's/^innodb_log_file_size.*/innodb_log_file_size = 32M/' "
            f"{SAMPLES}/mariadb/hapair.cnf >{SETTINGS} && "
            f"systemctl -q unmask {UNIT} && systemctl -q disable {UNIT}"
        )
    node1.check(f"systemctl start {UNIT}")
    ask(node1, TABLE)
    node1.check(f"systemctl stop {UNIT}")


def ask(node: Machine, sql: str) -> str:
    """Return what the client says to root on the node itself."""
    return node.check("mariadb --batch --skip-column-names", stdin=sql.encode())


def numbers(node: Machine) -> list[int]:
    return [int(line) for line in ask(node, "SELECT number FROM ledger.ledger;").split()]


def check(node: Machine) -> None:
    """Let MariaDB read every table and its indexes to the last row."""
    said = node.check("mariadb-check --check --extended --all-databases")
    bad = [line for line in said.splitlines() if not line.endswith("OK")]
    if bad or "ledger.ledger" not in said:
        raise LabError(f"{node.name}: MariaDB finds its tables damaged: {bad or said}")


MARIADB: Final = RealApplication(
    name="mariadb",
    mount_point=DATA,
    address="10.77.1.53",
    port=3306,
    speaks="mariadb",
    main=UNIT,
    prepare=prepare,
    numbers=numbers,
    check=check,
    booted=MORE_BOOTED,
)

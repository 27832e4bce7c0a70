"""Redis with its append-only file: a list of numbers, and each has to be found once."""

from __future__ import annotations

from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.payload.client import PASSWORD

DATA: Final = "/var/lib/redis"
SETTINGS: Final = "/etc/redis/hapair.conf"
UNIT: Final = "redis-server.service"


def prepare(lab: Lab) -> None:
    """Do what the README says; there is no data yet."""
    lab.node1.check(f"chown redis:redis {DATA} && chmod 750 {DATA}")
    for node in lab.nodes:
        node.check(
            f"sed 's/CHANGE-ME/{PASSWORD}/' {SAMPLES}/redis/hapair.conf >{SETTINGS} && "
            f"chown redis:redis {SETTINGS} && chmod 640 {SETTINGS} && "
            f"echo include {SETTINGS} >>/etc/redis/redis.conf && "
            f"systemctl -q unmask {UNIT} && systemctl -q disable {UNIT}"
        )
    lab.node1.check(f"cp {SAMPLES}/redis/check /etc/cluster/redis/")


def numbers(node: Machine) -> list[int]:
    asked = f"REDISCLI_AUTH={PASSWORD} redis-cli LRANGE ledger 0 -1"
    return [int(line) for line in node.check(asked).split()]


def check(node: Machine) -> None:
    """Let Redis' own tool read the append-only file to its end."""
    node.check(f"redis-check-aof {DATA}/appendonlydir/appendonly.aof.manifest")


REDIS: Final = RealApplication(
    name="redis",
    mount_point=DATA,
    address="10.77.1.52",
    port=6379,
    speaks="redis",
    main=UNIT,
    prepare=prepare,
    numbers=numbers,
    check=check,
)

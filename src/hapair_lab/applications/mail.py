"""Postfix and Dovecot: each number is a mail, and has to be in the mailbox once."""

from __future__ import annotations

import re
from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import MORE_BOOTED

DATA: Final = "/srv/mail"
USER: Final = "ledger@example.org"
# What was accepted may still be on its way.
DELIVER: Final = (
    "for try in $(seq 60); do postqueue -f; sleep 1; "
    "postqueue -p | grep -q 'queue is empty' && exit; done; postqueue -p; exit 1"
)


def prepare(lab: Lab) -> None:
    """Do what the README says; the guests have no name server."""
    for node in lab.nodes:
        node.check(
            "groupadd -g 5000 vmail && useradd -u 5000 -g vmail -M -d /nonexistent vmail && "
            f"grep '^[a-z]' {SAMPLES}/mail/postfix.cf | xargs -d '\\n' postconf && "
            "postconf smtpd_peername_lookup=no && "
            f"cp {SAMPLES}/mail/dovecot.conf /etc/dovecot/local.conf && "
            "sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf && "
            "mkdir -p /etc/cluster/mail && "
            f"cp {SAMPLES}/mail/run {SAMPLES}/mail/check /etc/cluster/mail/"
        )
    lab.node1.check(
        f"mkdir {DATA}/queue {DATA}/boxes && chown vmail: {DATA}/boxes && "
        f"echo '{USER} has-a-mailbox' >{DATA}/recipients && "
        f"echo 'postmaster@example.org {USER}' >{DATA}/aliases && "
        f"echo '{USER}:{{PLAIN}}lab' >{DATA}/users && "
        f"chown root:dovecot {DATA}/users && chmod 640 {DATA}/users"
    )


def numbers(node: Machine) -> list[int]:
    """Return the subjects in the mailbox once nothing is in the queue any more.

    Postfix itself writes there, too, when its file system is full.
    """
    node.check(DELIVER, timeout_s=PATIENCE_S)
    told = node.check(f"doveadm -f flow fetch -u {USER} hdr.subject mailbox INBOX ALL")
    return [int(subject) for subject in re.findall(r"^hdr.subject=(\d+)$", told, re.MULTILINE)]


def check(node: Machine) -> None:
    """Let Dovecot read its notes of the mailbox anew: nothing may have been wrong with them."""
    before = node.check(f"doveadm mailbox status -u {USER} messages INBOX")
    node.check(f"doveadm force-resync -u {USER} INBOX")
    after = node.check(f"doveadm mailbox status -u {USER} messages INBOX")
    if before != after:
        raise LabError(f"{node.name}: Dovecot has counted {before!r} and now {after!r}")


MAIL: Final = RealApplication(
    name="mail",
    mount_point=DATA,
    address="10.77.1.56",
    port=25,
    speaks="mail",
    main=f"{DATA}/queue/pid/master.pid",
    prepare=prepare,
    numbers=numbers,
    check=check,
    booted=MORE_BOOTED,
)

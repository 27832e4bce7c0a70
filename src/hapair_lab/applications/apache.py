"""Apache: a page of the site stores numbers, and each has to be found once."""

from __future__ import annotations

import re
from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import MORE_BOOTED
from hapair_lab.recipe import PAYLOAD

SITE: Final = "/srv/www"
STORED: Final = f"{SITE}/ledger.txt"
PAGE: Final = f"{SITE}/cgi/ledger"
UNIT: Final = "apache2.service"
SETTINGS: Final = f"ScriptAlias /cgi/ {SITE}/cgi/\\n<Directory {SITE}/cgi>\\nRequire all granted\\n"


def prepare(lab: Lab) -> None:
    """Do what the README says, and add a page that stores something."""
    for node in lab.nodes:
        node.check(
            f"cp {SAMPLES}/apache/hapair.conf /etc/apache2/sites-available/ && "
            f"printf '{SETTINGS}</Directory>\\n' >/etc/apache2/conf-available/ledger.conf && "
            "a2dissite -q 000-default && a2ensite -q hapair && "
            "a2enmod -q cgid && a2enconf -q ledger && "
            f"systemctl -q unmask {UNIT} && systemctl -q disable {UNIT}"
        )
    node1 = lab.node1
    node1.put(PAGE, (PAYLOAD / "ledger.cgi").read_bytes(), mode=0o755)
    node1.check(
        f"mkdir {SITE}/html {SITE}/log && cp {SAMPLES}/apache/alive.html {SITE}/html/ && "
        f"touch {STORED} && chown www-data: {STORED}"
    )


def numbers(node: Machine) -> list[int]:
    return [int(whole) for whole in re.findall(r"<(\d+)>", node.get(STORED).decode())]


def check(node: Machine) -> None:
    """Its log goes on on the volume, wherever it was served."""
    last = f"GET /cgi/ledger?{max(numbers(node))} "
    if last not in node.check(["tail", f"{SITE}/log/access.log"]):
        raise LabError(f"{node.name}: the log of the site lacks its last request, {last}")


APACHE: Final = RealApplication(
    name="apache",
    mount_point=SITE,
    address="10.77.1.54",
    port=80,
    speaks="http",
    main=UNIT,
    prepare=prepare,
    numbers=numbers,
    check=check,
    booted=MORE_BOOTED,
)

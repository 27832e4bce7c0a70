"""Everything that is seen of one service on this node."""

import asyncio
import json
import platform
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from hapair.adapters.services.folders import NO_DATA, folders_of, mounted_from
from hapair.adapters.services.ports import asked_for_web, ports_of
from hapair.adapters.services.units import LIMIT_S, running_agent, running_unit
from hapair.model.service import SeenAddress, SeenPort, SeenService
from hapair.model.unit import Unusable
from hapair.ports.programs import CommandRunner, Finished

OCF: Final = "ocf:"


async def look(
    asked: str, run: CommandRunner, no_data: tuple[str, ...] = NO_DATA
) -> SeenService | Unusable:
    """Look at a unit, or at what an OCF agent would start; nothing is changed.

    Each TCP port that may speak HTTP is asked once. Below ``no_data`` no folder counts.
    Unusable: why there is nothing to look at.
    """
    is_agent = asked.startswith(OCF)
    found = await (running_agent(asked, run) if is_agent else running_unit(asked, run))
    if isinstance(found, Unusable):
        return found
    ports, reached = ports_of(found.processes)
    folders = folders_of(found.processes, found.folders, no_data)
    groups = frozenset(each.mount.volume_group for each in folders if each.mount) - {""}
    ports = await asyncio.to_thread(asked_for_web, ports)
    return SeenService(
        node=platform.node(),
        asked=asked,
        unit=found.unit,
        processes=found.processes,
        folders=folders,
        ports=ports,
        addresses=tuple(_addresses(await _listed(run), ports, reached)),
        in_groups=mounted_from(groups) if groups else (),
        required=found.required,
    )


async def _listed(run: CommandRunner) -> list[dict[str, object]]:
    """Return the addresses of this machine as ``ip`` lists them, each with its card's name."""
    answer = await run(("ip", "-json", "address", "show"), timeout_s=LIMIT_S)
    if not isinstance(answer, Finished) or answer.exit_code != 0:
        return []
    try:
        cards = json.loads(answer.stdout)
        return [
            {**each, "card": card["ifname"]} for card in cards for each in card.get("addr_info", [])
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _addresses(
    listed: list[dict[str, object]], ports: tuple[SeenPort, ...], reached: tuple[str, ...]
) -> Iterator[SeenAddress]:
    """Yield the addresses that clients use: it listens at them, or was reached by them."""
    begun: set[tuple[object, object]] = set()
    for each in listed:
        address, card = str(each.get("local", "")), str(each["card"])
        family = (card, each.get("family"))
        first = family not in begun and not each.get("secondary")
        begun.add(family)
        try:
            inner = ip_address(address)
        except ValueError:
            continue
        if inner.is_loopback or inner.is_link_local:
            continue
        listens = [port.port for port in ports if port.address == address]
        if listens:
            why = f"it listens at it: port {', '.join(map(str, listens))}"
        elif address in reached:
            why = "a client is connected to it now"
        else:
            continue
        length = each.get("prefixlen")
        yield SeenAddress(address, length if isinstance(length, int) else 0, card, why, first)

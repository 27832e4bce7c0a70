"""The order of resyncs: who waits for whom."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config.built_json import dumps, loads
from hapair.config.clconf import ORDER, examine_clconf
from hapair.config.together import check_order
from hapair.core.plan.cluster import described
from hapair.model.application import Application
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import Cluster, Resync
from tests.config.reference import CLUSTER
from tests.config.values import volume

SAMPLES: Final = Path(__file__).parents[2] / "packaging/samples"
MINIMAL: Final = (SAMPLES / "clconf-minimal.xml").read_text()
WRITE_IT: Final = "write /etc/cluster/zz/appconf.xml first, or remove the name"
NAMES: Final = ("files", "mail", "orders", "web")


def ordered(*order: str) -> Cluster:
    return replace(CLUSTER, resync=Resync(order=order))


def built(*order: str, names: tuple[str, ...] = NAMES, volumes: int = 2) -> Built:
    """Return applications with two volumes each; ``web`` has none."""
    applications = tuple(
        BuiltApplication(
            Application(name, "node1"),
            tuple(volume(name, 10 * at + n) for n in range(volumes if name != "web" else 0)),
            "",
        )
        for at, name in enumerate(names)
    )
    return Built(1, ordered(*order), "", 100, applications)


def waits(configured: Built) -> dict[str, str]:
    found = {}
    for each in configured.applications:
        for one in each.volumes:
            after = configured.resynced_after(one.resource)
            found[one.resource] = after.resource if after else ""
    return found


def test_without_an_order_nobody_waits() -> None:
    assert set(waits(built()).values()) == {""}


def test_those_in_the_order_are_a_chain_and_all_others_wait_for_its_end() -> None:
    assert waits(built("orders", "files")) == {
        "orders.lv20": "",
        "orders.lv21": "orders.lv20",
        "files.lv0": "orders.lv21",
        "files.lv1": "files.lv0",
        "mail.lv10": "files.lv1",
        "mail.lv11": "files.lv1",
    }


def test_one_application_alone_goes_before_all_others() -> None:
    found = waits(built("mail"))
    assert {found[name] for name in found if not name.startswith("mail")} == {"mail.lv11"}
    assert (found["mail.lv10"], found["mail.lv11"]) == ("", "mail.lv10")


def test_what_is_not_built_or_has_no_volume_is_passed_over_until_it_is_built() -> None:
    before = built("orders", "web", "mail", names=("mail", "web"))
    assert waits(before) == {"mail.lv0": "", "mail.lv1": "mail.lv0"}
    assert waits(built("orders", "web", "mail"))["mail.lv10"] == "orders.lv21"


@given(st.permutations(NAMES), st.integers(0, 4), st.sets(st.sampled_from(NAMES)))
def test_nobody_ever_waits_for_itself_or_for_what_is_not_built(
    names: list[str], ordered_first: int, present: set[str]
) -> None:
    configured = built(*names[:ordered_first], names=tuple(sorted(present)))
    found = waits(configured)
    for name in found:
        passed = [name]
        while found[passed[-1]]:
            passed.append(found[passed[-1]])
            assert len(passed) <= len(found), "a cycle"
        before = [each.resource for each in configured.resynced_before(name)]
        assert before == passed[:0:-1]
    assert loads(dumps(configured)) == configured


def test_the_order_is_read_as_it_was_typed_and_its_line_is_known() -> None:
    text = MINIMAL.replace(
        '<arbitration by="paths"/>', '<arbitration by="paths"/>\n<resync\n order=" orders  mail "/>'
    )
    reading = examine_clconf(text.encode(), file="clconf.xml")
    assert reading.value is not None
    assert reading.value.resync == Resync(order=("orders", "mail"))
    assert reading.places == {ORDER: "clconf.xml:14"}
    assert examine_clconf(MINIMAL.encode(), file="clconf.xml").places == {}


def test_clbuild_describes_the_order() -> None:
    text = described(built("orders", "mail"))["resync"]
    assert text == "with a snapshot, no limit; first orders, then mail, then all others"
    assert "first" not in described(replace(built(), cluster=CLUSTER)).get("resync", "")


@pytest.mark.parametrize(
    ("order", "messages"),
    [
        ((), []),
        (("orders", "mail"), []),
        (("ordres",), ['there is no application "ordres"; did you mean "orders"?']),
        (
            ("orders", "zz"),
            ['there is no application "zz"; ' + WRITE_IT],
        ),
    ],
)
def test_an_application_that_nobody_knows_is_refused(
    order: tuple[str, ...], messages: list[str]
) -> None:
    problems = check_order(ordered(*order), NAMES, "clconf.xml:7")
    assert [f"{each.what}; {each.mend}" for each in problems] == messages
    assert all((each.where, each.field) == ("clconf.xml:7", "<resync> order") for each in problems)

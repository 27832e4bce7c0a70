"""Whole runs of clbuild on two nodes that are two folders."""

import json
from dataclasses import replace
from typing import Final

import pytest

from hapair.cli.sessions.both_nodes import explained
from hapair.config import built_json
from hapair.model.node_facts import HookFile, NodeFacts
from hapair.ports.programs import Finished
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.building.change import ChangeError
from hapair.runtime.building.files import NewFile
from hapair.runtime.building.staging import Staging, leftovers
from hapair.runtime.building.steps import Answer, StepKind
from tests.build.command_world import CLCONF, World
from tests.build.hurts import fact, without_tool
from tests.build.material import WITH_ORDERS
from tests.build.two_nodes import FakeHands, FakeNode, Wire


def test_two_bare_nodes_become_a_cluster(world: World) -> None:
    assert world.clbuild() == 0
    first, second = world.built()
    assert first == second
    assert (first.generation, first.cluster.name, first.minors_first) == (1, "shop", 0)
    assert "cluster shop is built, generation 1" in world.out
    assert world.out.endswith("next: clform\n")
    assert world.nodes[1].places.clconf.read_text() == CLCONF
    for node in world.nodes:
        assert node.commands.ran("modprobe drbd")
        assert node.commands.ran("systemctl enable hapair-apps.service hapaird.service")
        assert node.commands.ran("systemctl start hapair-apps.service")
        assert node.commands.ran("systemctl restart hapaird.service")


def test_keys_are_pinned_crosswise_and_never_travel(world: World) -> None:
    world.clbuild()
    first, second = (node.places for node in world.nodes)
    assert first.peer_certificate.read_text() == second.node_certificate.read_text()
    assert second.peer_certificate.read_text() == first.node_certificate.read_text()
    assert first.cluster_key.read_text() == second.cluster_key.read_text()
    assert first.node_key.read_text() != second.node_key.read_text()
    sent = b"\n".join(world.wire.heard)
    for places in (first, second):
        assert b"PRIVATE KEY" not in sent
        assert places.node_key.read_text().splitlines()[1].encode() not in sent
        for key in (places.node_key, places.cluster_key):
            assert key.stat().st_mode & 0o777 == 0o600
        assert places.keys.stat().st_mode & 0o777 == 0o700


def test_a_secret_is_never_on_a_command_line(world: World) -> None:
    world.clbuild()
    secret = world.nodes[0].places.cluster_key.read_text().strip()
    for node in world.nodes:
        assert not node.commands.ran(secret)
    assert all(secret.encode() not in line.partition(b"{")[0] for line in world.wire.heard)


def with_orders(world: World, *, secret_number: int) -> None:
    """Let both nodes have a built application, as clbuildapp leaves it."""
    for node in world.nodes:
        built = built_json.loads(node.places.built.read_bytes())
        applications = WITH_ORDERS.applications
        added = replace(built, applications=applications, secret_number=secret_number)
        node.places.built.write_bytes(built_json.dumps(added))


def secrets_of(world: World) -> list[str]:
    """Return the secret in each node's resource file, which must be for root alone."""
    found = []
    for node in world.nodes:
        mode, text = node.files()["etc/drbd.d/hapair-orders.data0.res"]
        assert mode == 0o600
        assert "cram-hmac-alg sha256;" in text
        found.append(text.partition('shared-secret "')[2].partition('"')[0])
    return found


@pytest.mark.parametrize(
    ("before", "words", "after"), [(0, (), 1), (1, ("--rotate-secret",), 2)], ids=["old", "rotated"]
)
def test_drbd_gets_a_secret_that_is_never_told(
    world: World, before: int, words: tuple[str, ...], after: int
) -> None:
    world.clbuild()
    with_orders(world, secret_number=before)
    assert world.clbuild("--plan", *words) == 0
    assert f"secret number {after}" in world.out
    said = world.out
    assert world.clbuild("--verbose", *words) == 0
    first, second = secrets_of(world)
    assert first == second
    assert len(first) == 48
    key = world.nodes[0].places.cluster_key.read_text().strip()
    assert first not in (said, world.out, world.err, key)
    assert first.encode() not in b"".join(world.wire.heard)
    assert not any(node.commands.ran(first) for node in world.nodes)
    assert world.clbuild() == 0
    assert "nothing to do" in world.out


def test_each_rotation_gives_another_secret(world: World) -> None:
    world.clbuild()
    with_orders(world, secret_number=1)
    found = []
    for _ in range(3):
        assert world.clbuild("--rotate-secret") == 0
        found.append(secrets_of(world)[0])
    assert len(set(found)) == 3


def test_a_second_build_has_nothing_to_do(world: World) -> None:
    world.clbuild()
    before = world.files()
    assert world.clbuild() == 0
    assert "nothing to do: cluster shop, generation 1" in world.out
    assert world.files() == before
    assert world.archives() == [[], []]


def test_comments_are_no_change(world: World) -> None:
    world.clbuild()
    world.edit(CLCONF.replace("<network", "<!-- ours -->\n<network", 1))
    assert world.clbuild() == 0
    assert "nothing to do" in world.out


EDITED: Final = CLCONF.replace('devices="16"', 'devices="20"')


def test_a_plan_shows_the_difference_and_changes_nothing(world: World) -> None:
    world.clbuild()
    world.edit(EDITED)
    before = world.files()
    assert world.clbuild("--plan") == 0
    assert "~ DRBD devices: 16, the first is /dev/drbd0\n      -> 20" in world.out
    assert "~ clconf.xml: another one" in world.out
    assert world.files() == before


def test_an_edit_is_the_next_generation_with_the_old_one_in_the_archive(world: World) -> None:
    world.clbuild()
    world.edit(EDITED)
    assert world.clbuild() == 0
    assert [built.generation for built in world.built()] == [2, 2]
    first, second = world.archives()
    assert first == second
    assert first[0].endswith("-1.tar.gz")
    for node in world.nodes:
        assert node.daemon.asked[-1] == "reload"


def test_a_formed_cluster_is_changed_by_force_only(world: World) -> None:
    world.clbuild()
    world.let_daemons_say("together")
    world.edit(EDITED)
    assert world.clbuild() == 1
    assert "formed cluster: the cluster is formed" in world.err
    assert world.clbuild("--plan") == 1
    assert "~ DRBD devices" in world.out, "the plan is shown before it is refused"
    assert [built.generation for built in world.built()] == [1, 1]
    assert world.clbuild("--force") == 0
    assert [built.generation for built in world.built()] == [2, 2]
    assert "next: clform" not in world.out


ORDERED: Final = CLCONF.replace("</cluster>", '  <resync order="mail"/>\n</cluster>')


def test_an_order_of_unknown_applications_is_refused_with_its_line(world: World) -> None:
    """One whose appconf.xml lies on either node is known before it is built."""
    world.edit(ORDERED)
    assert world.clbuild() == 1
    line = ORDERED.splitlines().index('  <resync order="mail"/>') + 1
    assert f"clconf.xml:{line}\n" in world.err
    assert '<resync> order: there is no application "mail"' in world.err
    assert not world.nodes[0].places.built.exists()
    folder = world.nodes[1].places.appconf("mail").parent
    folder.mkdir(parents=True)
    (folder / "appconf.xml").write_text("<application/>")
    assert world.clbuild() == 0
    assert [built.cluster.resync.order for built in world.built()] == [("mail",), ("mail",)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('"10.77.1.254"', '"10.77.1.50"', 'is the reference address of network "public"'),
        ('"10.77.1.2/24"', '"10.77.1.50/24"', "is the address of node2"),
        ("10.77.1.", "10.77.7.", 'is not in 10.77.7.0/24 of network "public"'),
    ],
)
def test_the_cluster_takes_no_address_from_a_built_application(
    world: World, before: str, after: str, told: str
) -> None:
    """What clbuildapp would refuse, clbuild may not bring about."""
    world.clbuild()
    with_orders(world, secret_number=1)
    assert before in CLCONF
    world.edit(CLCONF.replace(before, after))
    assert world.clbuild("--force") == 1
    said = " ".join(world.err.split())
    assert f"<address> of orders/appconf.xml: 10.77.1.50 {told}" in said
    assert [built.generation for built in world.built()] == [1, 1]


def test_a_daemon_that_cannot_reload_is_restarted(world: World) -> None:
    world.clbuild()
    for node in world.nodes:
        node.daemon.reloads = False
        node.commands.calls[:] = [each for each in node.commands.calls if "restart" in each]
    world.edit(EDITED)
    assert world.clbuild() == 0
    assert all(node.commands.ran("systemctl restart hapaird.service") for node in world.nodes)


def test_a_daemon_that_does_not_start_leaves_the_build_committed(world: World) -> None:
    world.nodes[1].commands.failing["systemctl restart"] = Finished(1, "", "see journalctl")
    assert world.clbuild() == 4
    assert "the configuration is committed, but node2: the daemon does not start" in world.err
    assert [built.generation for built in world.built()] == [1, 1]


def test_services_that_cannot_be_enabled_are_named(world: World) -> None:
    world.nodes[0].commands.failing["systemctl enable"] = Finished(1, "", "no such unit")
    assert world.clbuild() == 4
    assert "node1: the services cannot be enabled: no such unit" in world.err


def test_everything_wrong_is_shown_and_nothing_changed(world: World) -> None:
    for node in world.nodes:
        node.hurt = without_tool("drbdmeta")
    before = world.files()
    assert world.clbuild() == 1
    assert world.err.count("the command drbdmeta is missing") == 2
    assert "mend: on node2: install the package drbd-utils" in world.err
    assert "2 errors; nothing was changed" in world.err
    assert world.files() == before


def test_the_choice_of_paths_is_commented_each_time(world: World) -> None:
    world.clbuild()
    assert "two cables cut" in " ".join(world.err.split())


def test_every_check_is_shown_when_asked_for(world: World) -> None:
    world.clbuild("--verbose")
    assert "  ok       SSH without a prompt between all addresses" in world.err
    assert "+ name: shop" in world.out


def test_the_result_as_json(world: World) -> None:
    assert world.clbuild("--json", "--plan") == 0
    planned = json.loads(world.out)
    assert (planned["outcome"], planned["generation"]) == ("planned", 1)
    assert {"where": "cluster", "what": "name", "before": "", "after": "shop"} in planned["changes"]
    assert world.clbuild("--json") == 0
    assert json.loads(world.out)["outcome"] == "built"


def test_a_refusal_as_json(world: World) -> None:
    world.nodes[1].hurt = without_tool("ip")
    assert world.clbuild("--json") == 1
    refused = json.loads(world.out)
    assert [each["field"] for each in refused["problems"] if not each["warning"]] == ["tools"]


# --- clconf.xml ----------------------------------------------------------------------------------


def test_without_a_configuration_the_sample_is_named(world: World) -> None:
    world.nodes[0].places.clconf.unlink()
    assert world.clbuild() == 2
    assert "cp /usr/share/hapair/samples/clconf.xml" in world.err


def test_a_wrong_configuration_is_refused_with_all_its_errors(world: World) -> None:
    world.edit(CLCONF.replace("10.77.1.1/24", "10.77.1.1000/24").replace("16", "-3"))
    assert world.clbuild() == 2
    assert world.err.count("error  ") == 2
    assert "nothing was changed" in world.err


def test_a_wrong_configuration_as_json(world: World) -> None:
    world.edit("<cluster/>")
    assert world.clbuild("--json") == 2
    assert json.loads(world.out)["problems"]


def test_a_stranger_is_told_that_it_is_none_of_the_nodes(world: World) -> None:
    world.hands.name, world.hands.addresses = "web7", ("192.0.2.7",)
    assert world.clbuild() == 2
    assert "this machine, web7, is none of the nodes node1 and node2" in world.err


# --- Alerts --------------------------------------------------------------------------------------

PAGER: Final = "/etc/cluster/pager"
TOLD: Final = CLCONF.replace(
    "</cluster>", f'<alerts>\n  <hook name="pager" path="{PAGER}"/>\n</alerts></cluster>'
)
FINE: Final = HookFile(PAGER, exists=True, executable=True, protected=True)


def with_hooks(world: World, first: HookFile, second: HookFile) -> int:
    for node, file in zip(world.nodes, (first, second), strict=True):
        node.hurt = fact(hooks=(file,))
    world.edit(TOLD)
    return world.clbuild()


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (HookFile(PAGER), "there is no such file"),
        (replace(FINE, executable=False), "is not executable"),
        (replace(FINE, protected=False), "others than root can change it"),
    ],
)
def test_a_hook_that_cannot_be_run_is_refused_with_its_line(
    world: World, hook: HookFile, words: str
) -> None:
    assert with_hooks(world, hook, FINE) == ExitCode.REFUSED
    line = TOLD[: TOLD.index(PAGER)].count("\n") + 1
    told = " ".join(world.err.split())
    assert "node1 error " + PAGER in told
    assert words in told
    assert f"clconf.xml:{line} names it" in told
    assert "clbuild: error: 1 error; nothing was changed" in told
    assert with_hooks(world, FINE, FINE) == 0


def test_a_hook_may_come_to_the_other_node_later(world: World) -> None:
    assert with_hooks(world, FINE, HookFile(PAGER)) == 0
    assert f"node2 warning {PAGER}: there is no such file" in " ".join(world.err.split())
    assert with_hooks(world, FINE, replace(FINE, executable=False)) == ExitCode.REFUSED


def test_a_peer_that_does_not_look_for_hooks_is_no_peer_without_them(world: World) -> None:
    world.nodes[0].hurt = fact(hooks=(FINE,))
    world.nodes[1].hurt = fact(hooks=())
    world.edit(TOLD)
    assert world.clbuild() == 0


# --- Arbitration ---------------------------------------------------------------------------------

FENCED: Final = CLCONF.replace(
    '<arbitration by="paths"/>',
    """<arbitration by="fencing">
    <method node="node1" agent="fence_x"><parameter name="passwd" value="geheim1"/></method>
    <method node="node2" agent="fence_x"><parameter name="passwd" value="geheim2"/></method>
  </arbitration>""",
)


def test_parameters_of_agents_are_for_root_only(world: World) -> None:
    for node in world.nodes:
        node.hurt = fact(fence_agents=("fence_x",))
    world.edit(FENCED)
    world.nodes[0].places.clconf.chmod(0o600)
    assert world.clbuild("--verbose") == 0
    for node in world.nodes:
        for path, (mode, text) in node.files().items():
            assert "geheim" not in text or mode == 0o600, path
    assert world.nodes[1].files()["etc/cluster/clconf.xml"] == (0o600, FENCED)
    assert "fencing of node1, method 1: fence_x (passwd), 60 s" in world.out
    assert "geheim" not in world.out + world.err
    world.edit(FENCED.replace("geheim2", "geheim3"))
    assert world.clbuild("--json", "--plan") == 0
    assert world.clbuild() == 0
    assert "geheim" not in world.out + world.err
    assert all(node.files()["etc/cluster/built/built.json"][0] == 0o600 for node in world.nodes)


def test_a_configuration_that_others_can_read_is_told(world: World) -> None:
    for node in world.nodes:
        node.hurt = fact(fence_agents=("fence_x",))
    world.edit(FENCED)
    world.nodes[0].places.clconf.chmod(0o644)
    assert world.clbuild() == 0
    assert "others than root can read it" in " ".join(world.err.split())
    assert "chmod 600 /etc/cluster/clconf.xml" in " ".join(world.err.split())


# --- The other node ------------------------------------------------------------------------------


def test_a_peer_that_lets_nobody_in_is_named_with_each_address(world: World) -> None:
    world.hands.refused = "Permission denied (publickey)."
    assert world.clbuild() == 3
    for address in ("10.77.1.2", "10.77.2.2"):
        assert f"ssh-copy-id root@{address}" in world.err


def test_a_connection_that_breaks_while_scanning(world: World) -> None:
    world.wire.down = True
    assert world.clbuild() == 3
    assert "node2: the SSH connection broke" in world.err


def test_a_connection_that_breaks_while_building(world: World) -> None:
    world.wire.cut_before = StepKind.STAGE
    before = world.nodes[0].files()
    assert world.clbuild() == 1
    assert "both nodes are as they were before" in world.err
    assert world.nodes[0].files() == before


def test_an_interrupted_build_is_settled_by_the_next_one(world: World) -> None:
    for node in world.nodes:
        staging = Staging(node.places, 1)
        staging.begin()
        staging.stage((NewFile("etc/cluster/clconf.xml", "half of it"),))
    assert world.clbuild("--plan") == 0
    assert all(leftovers(node.places) for node in world.nodes), "a plan changes nothing"
    assert world.clbuild("--verbose") == 0
    assert "undoing the interrupted build of generation 1" in world.err
    assert not any(leftovers(node.places) for node in world.nodes)
    assert [built.generation for built in world.built()] == [1, 1]


def test_an_unknown_end_is_no_clean_refusal() -> None:
    lost = ChangeError("node2", Answer("no answer within 90 s", "run clbuild again"), undone=False)
    unknown = pytest.raises(RpcError, match="it is not known whether node2 has it")
    with unknown as caught, explained("node1", "node2"):
        raise lost
    assert caught.value.exit_code == ExitCode.UNFINISHED


def test_a_replaced_node_gets_everything_again(world: World) -> None:
    world.clbuild()
    key = world.nodes[0].places.cluster_key.read_text()
    bare = FakeNode("node2", world.folder / "3")
    world.nodes = (world.nodes[0], bare)
    world.wire = Wire(bare)
    world.hands = FakeHands(world.nodes, world.wire)
    assert world.clbuild() == 0
    first, second = world.built()
    assert first == second
    assert first.generation == 1
    assert bare.places.cluster_key.read_text() == key
    own = world.nodes[0].places
    assert own.peer_certificate.read_text() == bare.places.node_certificate.read_text()


@pytest.mark.parametrize("number", [0, 1])
def test_a_clbuildapp_that_is_under_way_is_waited_for(world: World, number: int) -> None:
    world.clbuild()
    world.nodes[number].write("var/lib/hapair/job.json", "{}")
    world.edit(EDITED)
    assert world.clbuild() == 1
    assert "another clbuild or clrestore works on this node now" in " ".join(world.err.split())


def test_a_cluster_whose_daemon_died_still_counts_as_formed(world: World) -> None:
    def up(facts: NodeFacts) -> NodeFacts:
        return replace(facts, drbd=replace(facts.drbd, ours_up=True))

    world.clbuild()
    for node in world.nodes:
        node.commands.calls.clear()
    world.nodes[0].hurt = up
    world.edit(EDITED)
    assert world.clbuild() == 1
    assert "formed cluster" in world.err

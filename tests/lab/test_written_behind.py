"""Somebody writes to a volume behind DRBD: it is seen, named, and never used as it is."""

import pytest

from hapair_lab import cluster
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from tests.lab.story import Story, alarms, notes, serving, wait_for_standing
from tests.labs import LabFrom

pytestmark = pytest.mark.lab(seconds=25)

VOLUME = "/dev/vg_orders/data"
INSIST = f"blockdev --setrw {VOLUME}"
FOREIGN = "/srv/orders/foreign"
FOUND = "written-behind"
KEPT = "lvs --noheadings -o lv_name vg_orders | grep data_foreign_"
MOUNT_IT = f"{INSIST} && mount {VOLUME} /mnt && echo foreign >/mnt/foreign && umount /mnt"
# Not where the superblock is, nor where anything of a small file system is likely to be.
DD_IT = f"{INSIST} && dd if=/dev/urandom of={VOLUME} bs=4k count=1 seek=9000 conv=fsync"


@pytest.fixture
def formed_lab(lab_from: LabFrom) -> Lab:
    return lab_from(cluster.formed_step())


def halt(node: Machine) -> None:
    node.check(f"clhalt --node {node.name}", timeout_s=PATIENCE_S)


def form(node: Machine) -> None:
    node.check("clform", timeout_s=PATIENCE_S)


def digest(node: Machine) -> str:
    """Return what all of the volume is, below all caches."""
    return node.check(
        f"dd if={VOLUME} bs=1M iflag=direct status=none | sha256sum", timeout_s=PATIENCE_S
    )


def equal_copies(lab: Lab) -> None:
    """Halt the cluster and compare all of both copies: nothing is unmounted without the peer."""
    lab.node1.check("clhaltapp orders", timeout_s=PATIENCE_S)
    lab.node1.check("clhalt", timeout_s=PATIENCE_S)
    assert digest(lab.node1) == digest(lab.node2)


def never_doubted(lab: Lab) -> None:
    for node in lab.nodes:
        assert FOUND not in notes(node), node.check("clevents")
        assert not node.run(KEPT).ok


def made_anew(story: Story, node: Machine) -> None:
    """Wait until what was written to the node's copy is told and replaced, and kept aside."""
    story.wait_for_note(node, FOUND)
    story.redundant_again()
    story.service_answers()
    (kept,) = node.check(KEPT).split()
    node.check(f"lvremove -y vg_orders/{kept}")


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(MOUNT_IT, id="mounted"),
        pytest.param(DD_IT, id="dd", marks=pytest.mark.long),
    ],
)
def test_a_volume_that_is_written_while_its_node_is_halted(formed_lab: Lab, write: str) -> None:
    """Field case A10b. FAIL: the copy is UpToDate, and the program finds it after a move."""
    node2 = formed_lab.node2
    with serving(formed_lab) as story:
        halt(node2)
        assert not node2.run(f"dd if=/dev/zero of={VOLUME} bs=4k count=1 conv=fsync").ok
        # To look at it changes nothing, so nothing is doubted.
        node2.check(f"mount -o ro,noload {VOLUME} /mnt && ls /mnt && umount /mnt")
        form(node2)
        story.redundant_again()
        never_doubted(formed_lab)

        halt(node2)
        node2.check(write)
        form(node2)
        made_anew(story, node2)
        formed_lab.wait_until(
            "clstat tells of it no longer",
            lambda: "written behind" not in alarms(node2),
            timeout_s=PATIENCE_S,
        )
    equal_copies(formed_lab)


@pytest.mark.long
def test_another_volume_in_the_place_of_drbds(formed_lab: Lab) -> None:
    """FAIL: an empty volume is UpToDate, because DRBD's meta-data lies on another one."""
    node2 = formed_lab.node2
    with serving(formed_lab) as story:
        halt(node2)
        size = node2.check("lvs --noheadings --units s -o lv_size vg_orders/data").strip()
        node2.check("lvrename vg_orders data restored_wrongly")
        node2.check(f"lvcreate --yes --size {size} --name data vg_orders")
        form(node2)
        made_anew(story, node2)
        node2.check("lvremove --yes vg_orders/restored_wrongly")
    equal_copies(formed_lab)


@pytest.mark.long
def test_a_volume_that_is_taken_from_drbd_by_hand(formed_lab: Lab) -> None:
    """The daemon runs, attaches it again as soon as it can, and must not take it for DRBD's."""
    node2 = formed_lab.node2
    with serving(formed_lab) as story:
        node2.check(
            f"systemctl kill -s STOP hapaird && drbdadm down orders.data && mount {VOLUME} /mnt"
            "; systemctl kill -s CONT hapaird; echo foreign >/mnt/foreign; sleep 4; umount /mnt"
        )
        made_anew(story, node2)
    equal_copies(formed_lab)


@pytest.mark.long
def test_a_line_of_fstab_mounts_the_volume_at_the_boot(formed_lab: Lab) -> None:
    """Field case A10. FAIL: the copy is used, or the advice points at network and disk."""
    node2 = formed_lab.node2
    line = f"{VOLUME} /mnt ext4 defaults,nofail 0 2"
    node2.check(f"echo '{line}' >>/etc/fstab && sync")
    number = node2.check("wc -l </etc/fstab").strip()
    with serving(formed_lab) as story:
        node2.power_off()
        node2.power_on()
        story.wait_for_note(node2, FOUND)
        wait_for_standing(formed_lab, "together", *formed_lab.nodes)
        assert "/mnt" in node2.check("findmnt --noheadings -o TARGET /mnt")
        said = alarms(node2)
        assert "the mount on /mnt has it now" in said
        assert f"line {number} of /etc/fstab mounts it on /mnt" in said
        assert "look at the replication network" not in said
        assert "look at the replication network" not in alarms(story.node1)
        node2.check("umount /mnt && sed -i '$d' /etc/fstab")
        made_anew(story, node2)
    equal_copies(formed_lab)


@pytest.mark.long
def test_a_volume_that_is_written_by_a_rescue_system(formed_lab: Lab) -> None:
    """The daemon does not run meanwhile, and the machine boots before it does."""
    node2 = formed_lab.node2
    with serving(formed_lab) as story:
        halt(node2)
        node2.check(f"systemctl stop hapaird && {MOUNT_IT}")
        node2.halt()
        node2.wait_until_off()
        node2.power_on()
        form(node2)
        made_anew(story, node2)
    equal_copies(formed_lab)


@pytest.mark.long
@pytest.mark.lab(seconds=60)
def test_xfs_that_a_rescue_system_mounts(formed_lab: Lab) -> None:
    """Its log lies in the middle of the volume, its first blocks tell all the same."""
    node1, node2 = formed_lab.nodes
    volume = "/dev/vg_mail/data"
    cluster.make_storage(formed_lab, "mail", disk="/dev/vdc", file_system="xfs", size_mib=320)
    node1.check("mkdir -p /etc/cluster/mail")
    node1.put("/etc/cluster/mail/appconf.xml", cluster.appconf("mail", address="10.77.1.60"))
    for node in formed_lab.nodes:
        node.check("mkdir -p /etc/cluster/mail")
        node.put("/etc/cluster/mail/run", cluster.run_script("mail", 8081), mode=0o755)
    node1.check("clbuildapp mail", timeout_s=PATIENCE_S)
    cluster.wait_until_redundant(formed_lab)
    halt(node2)
    node2.check(f"mount -o ro,norecovery {volume} /mnt && ls /mnt && umount /mnt")
    form(node2)
    cluster.wait_until_redundant(formed_lab)
    never_doubted(formed_lab)

    halt(node2)
    node2.check(
        f"systemctl stop hapaird && blockdev --setrw {volume} && mount {volume} /mnt"
        " && touch /mnt/foreign && umount /mnt"
    )
    node2.halt()
    node2.wait_until_off()
    node2.power_on()
    form(node2)
    formed_lab.wait_until("it is told", lambda: FOUND in notes(node2), timeout_s=PATIENCE_S)
    cluster.wait_until_redundant(formed_lab)
    assert "mail.data" in node2.check("clevents | grep written-behind")
    assert "orders.data" not in node2.check("clevents | grep written-behind")


@pytest.mark.long
@pytest.mark.lab(seconds=100)
def test_nothing_is_doubted_that_only_drbd_wrote(formed_lab: Lab) -> None:
    """FAIL: a whole resync, for nothing, after an ordinary failover, reboot or restart."""
    node1, node2 = formed_lab.nodes
    with serving(formed_lab) as story:
        node2.power_off()
        wait_for_standing(formed_lab, "alone", node1)
        story.service_answers(100)
        node2.power_on()  # A resync, with a snapshot before it.
        story.redundant_again()
        never_doubted(formed_lab)
        node1.power_off()
        wait_for_standing(formed_lab, "alone", node2)
        story.service_answers(100)
        node1.power_on()
        story.redundant_again()
        node2.check("systemctl restart hapaird")
        story.redundant_again()
        node1.halt()
        node1.wait_until_off()
        node1.power_on()
        story.redundant_again()
        for node in formed_lab.nodes:
            node.power_off()
        for node in formed_lab.nodes:
            node.power_on()
        cluster.wait_until_settled(formed_lab)
        story.service_answers()  # On either node: what each missed decides.
        never_doubted(formed_lab)


@pytest.mark.long
def test_of_two_volumes_that_were_written_a_person_chooses_one(formed_lab: Lab) -> None:
    node1, node2 = formed_lab.nodes
    node1.check("clhalt", timeout_s=PATIENCE_S)
    node1.check(MOUNT_IT)
    node2.check(DD_IT)
    form(node1)
    for node in formed_lab.nodes:
        formed_lab.wait_until(
            f"{node.name} tells of it",
            lambda node=node: FOUND in notes(node),  # type: ignore[misc]
            timeout_s=PATIENCE_S,
        )
    assert "clconfirm copy-is-good orders" in alarms(node1)
    assert not node1.run(f"test -e {cluster.LINES_FILE}").ok
    told = node1.run("clconfirm copy-is-good orders --plan")
    assert "its file system was mounted last" in " ".join(told.stderr.split())
    node1.check("clconfirm copy-is-good orders --yes node1")
    cluster.wait_until_it_serves(formed_lab)
    assert node1.check(f"cat {FOREIGN}").strip() == "foreign"
    with serving(formed_lab) as story:
        story.redundant_again()
    equal_copies(formed_lab)

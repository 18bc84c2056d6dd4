"""What an instance of a clone learns about the others."""

from __future__ import annotations

from ocfpy.ocf.clone import Clone, Instance, Notification
from ocfpy.ocf.context import Context


def test_a_resource_that_is_no_clone() -> None:
    clone = Context(["toy"], {}).clone
    assert (clone.index, clone.max, clone.globally_unique, clone.notify) == (None, 0, False, False)


def test_place_in_the_clone() -> None:
    meta = {
        "clone": "2", "clone_max": "3", "clone_node_max": "1", "promoted_max": "1", "promoted_node_max": "1",
        "globally_unique": "true", "notify": "true",
    }  # fmt: skip
    clone = Context(["toy"], {f"OCF_RESKEY_CRM_meta_{name}": value for name, value in meta.items()}).clone
    assert (clone.index, clone.max, clone.node_max) == (2, 3, 1)
    assert (clone.promoted_max, clone.promoted_node_max) == (1, 1)
    assert clone.globally_unique
    assert clone.notify
    assert Clone({"clone": "x", "master_max": "2"}).promoted_max == 2


def test_notification() -> None:
    """As Pacemaker 2.1 words it before a promotion on the second of two nodes."""
    notification = Notification(
        {
            "notify_type": "pre",
            "notify_operation": "promote",
            "notify_promote_resource": "db:1",
            "notify_promote_uname": "lb2",
            "notify_demote_resource": " ",
            "notify_demote_uname": " ",
            "notify_unpromoted_resource": "db:0 db:1",
            "notify_unpromoted_uname": "lb1 lb2",
            "notify_inactive_resource": "db:2",
            "notify_available_uname": "lb1 lb2",
        }
    )
    assert notification.key == "pre-promote"
    assert notification.promote == (Instance("db:1", "lb2"),)
    assert notification.unpromoted == (Instance("db:0", "lb1"), Instance("db:1", "lb2"))
    assert notification.inactive == (Instance("db:2"),)
    assert notification.demote == notification.promoted == ()
    assert notification.available == ("lb1", "lb2")


def test_notification_of_an_older_pacemaker() -> None:
    notification = Notification({"notify_master_resource": "db:0", "notify_master_uname": "lb1"})
    assert notification.promoted == (Instance("db:0", "lb1"),)

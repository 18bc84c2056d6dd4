"""The operations of each agent, with the timeouts and intervals of the recommended composition."""

from __future__ import annotations

from ocfpy.services.keys import ADDRESS, ANNOUNCE, POOL, SYNC, VIP

ATTRIBUTES = ("timeout", "interval", "on-fail")
"""What can be set of an operation."""
ON_FAIL = ("ignore", "block", "stop", "restart", "standby", "fence")
"""Choices for on-fail that make sense here (Pacemaker Explained, "Operation Properties")."""

ACTIONS: dict[str, dict[str, dict[str, str]]] = {
    POOL: {
        "start": {"timeout": "60s"},
        "stop": {"timeout": "30s"},
        "monitor": {"interval": "10s", "timeout": "20s"},
        "reload-agent": {"timeout": "60s"},
    },
    VIP: {
        "start": {"timeout": "20s"},
        "stop": {"timeout": "20s"},
        "monitor": {"interval": "5s", "timeout": "20s"},
        "migrate_to": {"timeout": "20s"},
        "migrate_from": {"timeout": "20s"},
    },
    ANNOUNCE: {
        "start": {"timeout": "30s"},
        "stop": {"timeout": "30s"},
        "monitor": {"interval": "5s", "timeout": "10s"},
        "migrate_to": {"timeout": "20s"},
        "migrate_from": {"timeout": "30s"},
        "reload-agent": {"timeout": "20s"},
    },
    SYNC: {
        "start": {"timeout": "20s"},
        "stop": {"timeout": "20s"},
        "monitor": {"interval": "10s", "timeout": "20s"},
    },
    ADDRESS: {
        "start": {"timeout": "20s"},
        "stop": {"timeout": "20s"},
        "monitor": {"interval": "10s", "timeout": "20s"},
    },
}
"""By agent and action; an operation without an interval is not repeated."""

"""Talks to FRR's bgpd: the vty socket, vtysh as the fallback, and what an announcement is made of."""

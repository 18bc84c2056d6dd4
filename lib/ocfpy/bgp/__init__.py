"""Talks to FRR's bgpd through the vty socket or vtysh, and reads the state of an announcement."""

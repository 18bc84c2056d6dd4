"""The kernel's IPVS table: its content, reading it, and computing and making changes."""

"""The kernel's IPVS table: what it holds, how to read it, and what to change in it."""

"""A small framework for OCF 1.1 resource agents, independent of load balancing."""

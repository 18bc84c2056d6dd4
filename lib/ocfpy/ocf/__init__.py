"""A small framework for OCF 1.1 resource agents; it knows nothing of load balancing."""

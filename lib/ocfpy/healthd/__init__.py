"""The health daemon of a node: runs the checks of all pools, keeps the IPVS table, informs the cluster."""

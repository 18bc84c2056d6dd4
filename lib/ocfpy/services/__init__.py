"""The catalogue: services.yaml, what it makes of the CIB, and what a change of it would do."""

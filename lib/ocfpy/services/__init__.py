"""The catalogue: services.yaml, the CIB that it describes, and the effect of a change."""

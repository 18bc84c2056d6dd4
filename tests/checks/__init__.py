"""The health checks, each against the real thing."""

"""Health checks of real servers: what is checked, when, what follows from it, and the daemon that does it."""

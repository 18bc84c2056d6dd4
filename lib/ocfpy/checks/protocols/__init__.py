"""Wire protocols without I/O: bytes in, events out, with limits on what a server can send."""

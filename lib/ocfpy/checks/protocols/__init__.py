"""Wire protocols without I/O: bytes in, events out, and limits for what a server may make of them."""

"""Wire protocols without I/O: bytes in, what they say out, and limits for what a server may make of them."""

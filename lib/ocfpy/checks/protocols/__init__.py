"""Wire protocols without I/O: bytes in, their meaning out, with limits on what a server may make of them."""

"""The machine's side of a service: addresses on its interfaces."""

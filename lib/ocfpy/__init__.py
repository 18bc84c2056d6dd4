"""The library behind the resource agents of the provider "anycast"."""

__version__ = "0.2.0"

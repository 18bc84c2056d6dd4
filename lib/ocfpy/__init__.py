"""The library behind the resource agents of the provider "anycast"."""

__version__ = "0.1.0"

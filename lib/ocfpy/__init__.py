"""The library behind the resource agents of the provider "anycast"."""

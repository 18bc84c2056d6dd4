"""Reads an ldirectord.cf like ldirectord itself, and translates it to the specification of a pool."""

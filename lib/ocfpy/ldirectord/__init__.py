"""Reads an ldirectord.cf as ldirectord itself reads it, and says what it means as the specification of a pool."""

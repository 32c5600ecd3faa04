"""Connections: how a producer keeps and shares its connections to the broker."""

"""Drivers: how the harness calls each implementation, and what they share."""

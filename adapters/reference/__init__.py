"""The adapter for the reference implementation, in process on virtual time or with real brokers."""

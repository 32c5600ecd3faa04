"""The adapter for Celery itself, in processes of its own."""

"""The adapter for aio-celery, a Celery without Celery: asyncio, AMQP, results in Redis."""

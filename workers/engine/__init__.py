"""The torch room: chat model and encoder behind small thread-safe interfaces. No Redis, no Celery, no channel."""

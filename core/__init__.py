"""What the bot is, apart from every network, queue and model: no channel SDK, no Celery, no torch, no event loop."""

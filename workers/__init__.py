"""What turns waiting messages into replies: Celery tasks, and in ``engine`` the models. Knows no channel."""

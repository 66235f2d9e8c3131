"""What turns waiting messages into replies: the Celery tasks, and in ``engine`` the models. No channel is known here."""

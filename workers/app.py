"""The Celery app and its settings, and the wake-ups that it carries. Imports neither tasks nor torch.

Celery carries the key of a person whose inbox waits and nothing else; the inbox in Redis is the truth. A lost or
doubled wake-up does no harm: the sweeper sends it again, a second one finds nothing to do. So messages are
acknowledged early, results ignored, and all bookkeeping that would protect a message is off.
"""

import base64
import json
import uuid
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection, Queue

from core import settings
from core.store import keys
from core.store.connection import tls_options

DRAIN = "rapport.drain"
NOBODY = ""  # the person of a wake-up that is but a pulse


def broker_url(redis_url: str) -> str:
    """Return the address of Redis in Celery's spelling; how TLS is done is a setting of its own there."""
    if redis_url.startswith("rediss://"):
        return urlsplit(redis_url)._replace(query="").geturl()
    return redis_url.replace("unix://", "redis+socket://", 1)


def _configuration() -> dict[str, Any]:
    return {
        "broker_url": broker_url(settings.redis_url()),
        # Said in so many words: left to itself, it would take any certificate.
        "broker_use_ssl": tls_options(settings.redis_url()) or None,
        "imports": ("workers.tasks",),
        "task_default_queue": keys.queue(settings.load().worker.serves),
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_pool": "threads",
        "worker_concurrency": settings.load().worker.threads,
        "worker_prefetch_multiplier": 1,
        # With remote control on, a worker dies when Redis restarts; workers feel their own pulse.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_consumer": "workers.app:Consumer",
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,  # a Redis that refuses to write, for its disk is full, is waited for, too
        "broker_transport_options": {
            "ack_emulation": False,
            # How long an answer of Redis is waited for; what may take longer (BRPOP) is asked for anew each second.
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            # A connection that fell silent without a close is given up after 4 to 7 s; by default it takes 51.
            "health_check_interval": 3,
        },
    }


app = Celery("rapport")
app.add_defaults(_configuration)  # read when it is first used: importing this module needs no settings


def listen_to(queue: str) -> None:
    """Have this worker take messages from one more queue; call it before its consumer starts."""
    # Not declared: what declares a queue stays in Redis for ever, and this one is as short-lived as its worker.
    app.amqp.queues.select_add(Queue(queue, no_declare=True))


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Celery's consumer, back within a second after Redis was away (its own waits grow to half a minute)."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """Return the connection once it stands."""

        def waiting(error: Exception, interval: float) -> None:
            why = f"{type(error).__name__}: {str(error)[:200]}"
            get_logger(__name__).warning("Redis takes nothing (%s); trying again in %.1f s", why, interval)

        conn.ensure_connection(
            waiting, None, interval_start=0.2, interval_step=0.2, interval_max=1, callback=state.maybe_shutdown
        )
        self.first_connection_attempt = False
        return conn


class WakeUps:
    """Makes the Celery message for a person, so that the script that accepts an event can queue it in one step.

    One message is taken from Celery at the start, by publishing into memory; later ones differ from it in their
    ids, the queue and the person. That is ten times faster than ``send_task`` and leaves no moment in which an event is
    stored and its wake-up is not.
    """

    def __init__(self) -> None:
        with Connection("memory://") as memory:
            app.send_task(DRAIN, args=["person"], connection=memory, queue=keys.QUEUE)
            pattern: dict[str, Any] = memory.default_channel._get(keys.QUEUE)
        body = json.loads(base64.b64decode(pattern["body"]))
        if body[0] != ["person"]:
            raise RuntimeError(f"this release of Celery lays its messages out in another way: {body}")
        self._rest = json.dumps(body[1:])[1:]
        pattern["headers"] |= {"id": "TASK", "root_id": "TASK", "argsrepr": ""}
        pattern["properties"] |= {"correlation_id": "TASK", "delivery_tag": "TASK"}
        # A worker that ends puts what it had fetched and not begun back into the queue that the message names.
        pattern["properties"]["delivery_info"]["routing_key"] = "QUEUE"
        self._pattern = json.dumps(pattern | {"body": "BODY"})

    def __call__(self, person: str) -> str:
        """Return the message that wakes a worker for this person."""
        return self._message(person, keys.queue(settings.load().model_for(person)))

    def for_nobody(self, queue: str) -> str:
        """Return a message for this queue that wakes nobody: a pulse."""
        return self._message(NOBODY, queue)

    def _message(self, person: str, queue: str) -> str:
        body = base64.b64encode(f"[[{json.dumps(person)}], {self._rest}".encode()).decode()
        message = self._pattern.replace('"QUEUE"', json.dumps(queue))
        return message.replace('"TASK"', f'"{uuid.uuid4()}"').replace('"BODY"', f'"{body}"')

"""Every key name in Redis, in one place.

| key | type | holds |
| --- | --- | --- |
| rapport:seen:HASH | string, expires | marks of accepted event ids |
| rapport:inbox:PERSON | list | events not answered yet, oldest first |
| rapport:lease:PERSON | string, expires | who works on the inbox: ``worker|fencing number`` |
| rapport:fence | counter | the fencing numbers |
| rapport:waiting | sorted set | persons with a non-empty inbox; score = when the sweeper looks next, in ms |
| rapport:line | sorted set | persons whom no worker has begun with, in their order; score = since when, in ms |
| rapport:attempts:PERSON | counter | how often the head of the inbox was tried |
| rapport:later:PERSON | string, expires | do not try again before this is gone |
| rapport:stop:PERSON | string, expires | /stop was said |
| rapport:history:PERSON | list, expires | turns, oldest first |
| rapport:leases:WORKER | set | persons a worker has leases on |
| rapport:worker:WORKER | string, expires | a worker's sign of life |
| rapport:pulse:WORKER | list, expires | a queue of Celery for one worker: its pulse, a wake-up for nobody |
| rapport:outbox:CHANNEL[.PROCESS] | stream | replies to be sent; consumer group ``channel`` |
| rapport:courier:CHANNEL[.PROCESS] | string, expires | the one process that sends what is in the outbox |
| rapport:channel:CHANNEL | sorted set, expires | its processes (``ProcessSign``); score = until when each lives |
| rapport:drafts:CHANNEL | pub/sub | partial text |
| rapport:heard:CHANNEL | pub/sub | events that were just stored |
| rapport:parts:CHANNEL:REPLY | hash, expires | what of a reply is at the network: number of the part -> message |
| rapport:pace:CHANNEL:BUCKET | string, expires | the budget of sends: when the bucket is full again, in ms |
| rapport:note:CHANNEL:HASH | string, expires | what an adapter must remember beyond its process |
| rapport:marks:CHANNEL | hash | the last message seen, by place |
| rapport:feedback:PERSON | hash, expires | how a person rated replies: reply -> up, down |
| rapport:told:PERSON | string, expires | a note about this person went out lately |
| rapport:counts | hash | how often what was decided for safety: decision -> number; nothing about persons |
| rapport:limit:HASH | string, expires | how much one may still write: when the bucket is full again, in ms |
| rapport:slowed:HASH | string, expires | a person was told that it is too much |
| rapport:trouble:PERSON | string, expires | why the last attempt at the head of the inbox failed |
| rapport:dead | stream | dead letters: what could not be delivered or answered, with the reason |
| rapport:dead-ever | counter | how many dead letters there ever were |
| rapport:api-keys | hash | who may call the web channel: name -> SHA-256 of their key, since when |
| celery[.MODEL] | list | Celery's queues, one a model of [models]: wake-ups |
"""

import hashlib

PREFIX = "rapport:"
API_KEYS = PREFIX + "api-keys"
COUNTS = PREFIX + "counts"
DEAD = PREFIX + "dead"
DEAD_EVER = PREFIX + "dead-ever"
WAITING = PREFIX + "waiting"
LINE = PREFIX + "line"
FENCE = PREFIX + "fence"
LEASE_PREFIX = PREFIX + "lease:"
GROUP = "channel"
QUEUE = "celery"


def queue(model: str) -> str:
    """Wake-ups for the workers that serve this model of [models]; "" is the one of [generation]."""
    return f"{QUEUE}.{model}" if model else QUEUE


def seen(event_id: str) -> str:
    """Mark of an accepted event."""
    return f"{PREFIX}seen:{_hash(event_id)}"


def inbox(person: str) -> str:
    """Unanswered events."""
    return f"{PREFIX}inbox:{person}"


def lease(person: str) -> str:
    """Who works on the inbox."""
    return LEASE_PREFIX + person


def attempts(person: str) -> str:
    """How often the head was tried."""
    return f"{PREFIX}attempts:{person}"


def later(person: str) -> str:
    """Back-off."""
    return f"{PREFIX}later:{person}"


def stop(person: str) -> str:
    """/stop was said."""
    return f"{PREFIX}stop:{person}"


def history(person: str) -> str:
    """Turns."""
    return f"{PREFIX}history:{person}"


def leases(worker: str) -> str:
    """Persons a worker has leases on."""
    return f"{PREFIX}leases:{worker}"


def worker(worker_id: str) -> str:
    """A worker's sign of life."""
    return f"{PREFIX}worker:{worker_id}"


def pulse(worker_id: str) -> str:
    """A worker's own queue."""
    return f"{PREFIX}pulse:{worker_id}"


def outbox(channel: str) -> str:
    """Replies to be sent."""
    return f"{PREFIX}outbox:{channel}"


def courier(channel: str) -> str:
    """The process that sends."""
    return f"{PREFIX}courier:{channel}"


def processes(channel: str) -> str:
    """The processes of a channel."""
    return f"{PREFIX}channel:{channel}"


def drafts(channel: str) -> str:
    """Pub/sub channel of partial text."""
    return f"{PREFIX}drafts:{channel}"


def heard(channel: str) -> str:
    """Pub/sub channel of events that were just stored."""
    return f"{PREFIX}heard:{channel}"


def parts(channel: str, reply: str) -> str:
    """What of a reply is at the network."""
    return f"{PREFIX}parts:{channel}:{reply}"


def pace(channel: str, bucket: str) -> str:
    """The budget of sends."""
    return f"{PREFIX}pace:{channel}:{bucket}"


def note(channel: str, name: str) -> str:
    """What an adapter must remember."""
    return f"{PREFIX}note:{channel}:{_hash(name)}"


def marks(channel: str) -> str:
    """The last message seen, by place."""
    return f"{PREFIX}marks:{channel}"


def feedback(person: str) -> str:
    """How a person rated replies."""
    return f"{PREFIX}feedback:{person}"


def told(person: str) -> str:
    """A note about this person went out lately."""
    return f"{PREFIX}told:{person}"


def limit(who: str) -> str:
    """How much a person, or a workspace, may still write."""
    return f"{PREFIX}limit:{_hash(who)}"


def slowed(person: str) -> str:
    """A person was told that it is too much."""
    return f"{PREFIX}slowed:{_hash(person)}"


def trouble(person: str) -> str:
    """Why the last attempt failed."""
    return f"{PREFIX}trouble:{person}"


def _hash(name: str) -> str:
    """Return what stands for a name in keys that outlive /forget: event ids and notes hold ids of people, too."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]

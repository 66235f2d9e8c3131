"""How everything is, in a few lines: what the command /status of an admin answers. No names of people, no texts.

``rapport status`` says more and judges it; both read the same (overview.py, workers.py, dead.py).
"""

from collections.abc import Iterator

from core.process import release
from core.settings import CHANNELS
from core.store.dead import Letters
from core.store.overview import Overview
from core.store.workers import Workers


def brief(overview: Overview, workers: Workers, letters: Letters) -> Iterator[str]:
    """Yield the lines; StoreUnavailable passes through."""
    signs = workers.alive()
    ready = sum(sign.ready for sign in signs)
    yield f"workers: {ready} ready, {len(signs) - ready} loading"
    queue = overview.queue([sign.id for sign in signs])
    waited = f", the oldest written {queue.oldest_s:.0f} s ago" if queue.oldest_s is not None else ""
    yield f"waiting: {queue.messages} messages of {queue.people} people{waited}"
    for name in CHANNELS:
        state = overview.channel(name)
        if state.processes or state.outbox:
            yield f"{name}: {len(state.processes)} processes, {state.outbox} replies to be sent"
    kept, ever = letters.count()
    yield f"dead letters: {kept} kept, {ever} ever"
    server = overview.server()
    yield f"Redis {server.version} with {server.used / 2**20:.1f} MiB, Rapport {release()}"

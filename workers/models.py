"""Loads the models of a worker process and hands them over as callables: where workers meets the torch room."""

import logging
import os

from core.errors import EngineError, ModelMissing
from core.remote import is_remote
from core.sections import Generation
from core.settings import Settings
from workers.best_of import BestOf
from workers.fallback import Engine, Fallback
from workers.runtime import Models, Submit

log = logging.getLogger(__name__)

WARM_UP_S = 30.0  # for a server that loads its model when it is first asked


def load_models(settings: Settings) -> Models:
    """Return the configured encoder and chat model, ready to be called; raises ModelMissing.

    torch is imported here and not before, as libgomp reads its settings when it is loaded: idle threads must
    sleep, not spin, or a second busy process on a laptop makes every step four times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from workers.engine.encoder import Encoder

    if settings.worker.torch_threads:
        torch.set_num_threads(settings.worker.torch_threads)
    encoder = Encoder.load(settings.sentiment)
    serves = settings.worker.serves
    chat = _load_chat(settings.generation, f"models.{serves}" if serves else "generation")

    submit: Submit = chat.submit
    if settings.generation.best_of > 1:
        check = settings.safety.check_replies
        submit = BestOf(chat.submit, encoder.read, settings.generation.best_of, check=check).submit

    def close() -> None:
        chat.close()
        encoder.close()

    return Models(
        read_mood=lambda text: encoder.read([text])[0],
        submit=submit,
        count_tokens=chat.count_tokens,
        budget=chat.prompt_tokens,
        close=close,
        names={"chat_model": settings.generation.model, "encoder": settings.sentiment.model},
    )


def _load_chat(conf: Generation, section: str) -> Engine:
    """Return the engine of a section, or the order of them; raises ModelMissing if none of them can ever answer."""
    from workers.engine.chat import ChatEngine

    if conf.order == (conf.model,) and not is_remote(conf.model):
        return ChatEngine.load(conf, section)
    engines: list[tuple[str, Engine]] = []
    refusals: list[str] = []
    chat = Fallback(engines, conf.timeout_s)
    try:
        for name in conf.order:
            if is_remote(name):
                engines.append((name, _connect(name, conf, refusals)))
            else:
                key = "model" if name == conf.model else "fallback"
                engines.append((name, ChatEngine.load(conf.model_copy(update={"model": name}), section, key)))
        if len(refusals) == len(engines):
            raise ModelMissing(" ".join(refusals))
    except EngineError:
        chat.close()
        raise
    return chat


def _connect(name: str, conf: Generation, refusals: list[str]) -> Engine:
    """Return a remote engine; add to ``refusals`` what its server has against us. One that is away may come back."""
    from workers.engine.remote import RemoteEngine

    engine = RemoteEngine(name, conf)
    try:
        engine.check(WARM_UP_S)
    except ModelMissing as error:
        log.error("%s", error)
        refusals.append(str(error))
    except EngineError as error:
        log.warning("%s It is asked again when it is needed.", error)
    return engine

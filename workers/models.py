"""Loads the models of a worker process and hands them over as callables: where workers meets the torch room."""

import os

from core.settings import Settings
from workers.best_of import BestOf
from workers.runtime import Models, Submit


def load_models(settings: Settings) -> Models:
    """Return the configured encoder and chat model, ready to be called; raises ModelMissing.

    torch is imported here and not before, as libgomp reads its settings when it is loaded: idle threads must
    sleep, not spin, or a second busy process on a laptop makes every step four times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from workers.engine.chat import ChatEngine
    from workers.engine.encoder import Encoder

    if settings.worker.torch_threads:
        torch.set_num_threads(settings.worker.torch_threads)
    encoder = Encoder.load(settings.sentiment)
    chat = ChatEngine.load(settings.generation)

    submit: Submit = chat.submit
    if settings.generation.best_of > 1:
        check = settings.safety.check_replies
        submit = BestOf(submit, encoder.read, settings.generation.best_of, check=check).submit

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

"""Every error that Rapport raises on purpose. Adapters and engines translate foreign errors into these.

RapportError
├── SettingsError        the start ends; the text names section, key and what to do
├── InputError           what a person or caller sent cannot be taken; the text says what to change
├── StoreUnavailable     Redis is away or refuses; nothing was changed, or the call may be repeated
├── LeaseLost            another process has this person, or the right to send, now; what we have is thrown away
├── EngineError          a model could not do what was asked
│   ├── ModelMissing     no model under that name or folder
│   ├── EngineFull       too much is waiting; try again later
│   ├── PromptTooLong    the prompt does not fit the model
│   ├── GenerationFailed this request failed; others go on
│   └── EngineBroken     the engine is unusable; the worker must end and be replaced
└── DeliveryError        a reply could not be sent
    ├── DeliveryLater    a temporary failure, nothing was sent; ``retry_after_s`` says when to try again
    ├── DeliveryUnsure   it may have been sent or not: the answer of the network is missing
    └── DeliveryRefused  it will never work (kicked, blocked, deleted): a dead letter
"""


class RapportError(Exception):
    """Base of all errors; its text is fit to be shown to whoever runs the bot."""


class SettingsError(RapportError):
    """A setting is unknown, missing or of the wrong type."""


class InputError(RapportError):
    """A message cannot be taken. ``code`` is stable and meant for programs, the text for people.

    ``retry_after_s``: then it could be. ``told``: the person was told so a short while ago, so that a network on which
    nobody waits for an answer is not troubled again.
    """

    def __init__(self, code: str, text: str, *, retry_after_s: float = 0, told: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after_s = retry_after_s
        self.told = told


class StoreUnavailable(RapportError):
    """Redis cannot be reached or refused the call."""


class LeaseLost(RapportError):
    """The lease ran out or was broken while the work went on."""


class EngineError(RapportError):
    """A model could not do what was asked."""


class ModelMissing(EngineError):
    """No model stands under the configured name or folder, or it is of an unknown kind."""


class EngineFull(EngineError):
    """The engine's queue is full; nothing was queued."""


class PromptTooLong(EngineError):
    """The prompt leaves no room for a reply in the model's context."""


class GenerationFailed(EngineError):
    """One generation failed; the engine lives."""


class EngineBroken(EngineError):
    """The engine cannot go on; the process must end so that a supervisor starts another."""


class DeliveryError(RapportError):
    """A reply could not be sent."""


class DeliveryLater(DeliveryError):
    """A temporary failure; nothing was sent. ``flood``: we were told to send less; ``everywhere``: not only there."""

    def __init__(self, text: str, retry_after_s: float = 1.0, *, flood: bool = False, everywhere: bool = False) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.flood = flood
        self.everywhere = everywhere


class DeliveryUnsure(DeliveryError):
    """The network's answer is missing (time-out, connection lost, 5xx): it may have been sent."""


class DeliveryRefused(DeliveryError):
    """A permanent failure; trying again is of no use."""

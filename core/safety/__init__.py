"""What keeps people safe: a crisis is recognised, abuse is known, replies are checked. Pure, offline, words alone.

crisis.py, phrases.py, languages.py   hints of self-harm in what a person writes
abuse.py                 insults, said to the bot or by it
reply.py, personal.py    whether a reply may be sent
links.py                 which addresses may stand in it
answers.py               the fixed answers and the note to a person
folding.py, words.py     disguises undone; the lists

When each is asked and what follows is decided in core/responder.py; docs/safety.md says what it cannot do.
"""

from core.safety.abuse import is_abuse
from core.safety.answers import DESPAIR, crisis_answer, helpline, notice
from core.safety.crisis import Hint, crisis
from core.safety.links import Links
from core.safety.reply import ReplyCheck

__all__ = ["DESPAIR", "Hint", "Links", "ReplyCheck", "crisis", "crisis_answer", "helpline", "is_abuse", "notice"]

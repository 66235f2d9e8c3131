"""Is somebody insulted? Said to the bot it is answered calmly; the bot itself never says it. Pure, offline."""

import re

from core.safety.folding import plain, without_leet, without_lookalikes
from core.safety.words import INSULTS

_STRONGER = (
    r"(?:an? |so |such an? |the |just |really |fucking |fuckin |freaking |bloody |damn |goddamn |complete(?:ly)? |"
    r"total(?:ly)? |utter(?:ly)? |absolute(?:ly)? |very |pretty |quite |truly |literally |nothing but an? |most |"
    r"biggest |as |all |being |little |worst |ugly |lying )*"
)
_TO_ANYBODY = (
    rf"\b(?:you|u|ya|youre|ur|you are|u r|you were|you guys are) (?:are |r |is )?{_STRONGER}{INSULTS}\b",
    r"\bfuck (?:you|u|off|yourself|urself|ya)\b|^f ?u$|\bgo fuck yourself\b|\bfk (?:you|u|off)\b",
    r"\b(?:screw|damn) you\b|\bpiss off\b|\bgo to hell\b|\brot in hell\b|\bbite me\b(?= *$)",
    r"\bs+t+f+u+\b|^(?:oh |just |please |well |then |so |now |you )*shut (?:the (?:fuck|hell) )?"
    r"(?:up|your (?:mouth|face|trap|gob))\b(?! shop)",
    r"\b(?:go )?(?:kill|hang|off) yourself\b(?! (?:in this|with work|laughing|over))|\bkys\b|\b(?:go|hope you|"
    r"you should|drop dead and) die\b(?= *$| in| slowly| already| you)|\bdrop dead\b(?! gorgeous)",
    r"\bi (?:really |fucking |truly |so )?(?:hate|despise|loathe) (?:you|u)\b(?! for being right| when| guys for|"
    r" said| know)",
    r"\b(?:you|u|this (?:stupid |dumb )?bot) (?:really |totally |guys |absolutely |fucking |just )*(?:suck|sucks|"
    r"stink|disgust me|make me sick)\b",
    r"\b(?:nobody|no one) (?:likes|wants|asked|cares about) you\b|\beat shit\b|\bkiss my ass\b|\bson of a bitch\b|"
    r"\bmother ?fucker\b",
    r"\bhow (?:stupid|dumb|useless|dense|thick) (?:are you|can you be)\b|\bare you (?:really |fucking |that |this |"
    r"so |just |always |completely )*(?:stupid|dumb|retarded|brain ?dead|an idiot|a moron)\b",
    r"\bwhat(?:s| is| the hell is| the fuck is) wrong with you\b|\byou (?:bloody |fucking |stupid |dumb |useless |"
    r"pathetic )+\w+\b(?= *$)",
    # German, Spanish, French, Portuguese
    r"\b(?:du|sie) (?:bist |sind )?(?:\w+ )?(?:idiot|arschloch|trottel|depp|vollidiot|hurensohn|wichser|schlampe|"
    r"missgeburt|spast|dumm|nutzlos|bescheuert)\b|"
    r"\b(?:fick dich|verpiss dich|halt (?:die fresse|dein maul|die klappe|s maul)|leck mich|arschloch)\b",
    r"\b(?:eres|sos|usted es) (?:un |una |tan |muy )*(?:idiota|estupid[oa]|inutil|imbecil|pendej[oa]|gilipollas|"
    r"tont[oa]|mierda|basura)\b|"
    r"\b(?:vete a la mierda|hijo de puta|que te jodan|chinga tu madre|callate la boca|gilipollas)\b",
    r"\b(?:tu es|tes|vous etes|espece d|espece de) ?(?:un |une |tellement |vraiment |trop )*(?:con|conne|connard|"
    r"connasse|idiot|idiote|imbecile|debile|nul|nulle|inutile|stupide|abruti|merde)\b|"
    r"\b(?:ta gueule|va te faire (?:foutre|enculer)|ferme la|nique ta mere|fils de pute|connard)\b",
    r"\b(?:voce e|vc e|tu es|seu|sua) (?:um |uma |muito |tao )*(?:idiota|burro|burra|inutil|imbecil|otario|otaria|"
    r"lixo|merda|estupid[oa])\b|"
    r"\b(?:vai se (?:foder|ferrar)|vai tomar no cu|filho da puta|cala a boca|vai pro inferno)\b",
)
# What only a bot is called.
_TO_A_BOT = (
    r"\bshut (?:the (?:fuck|hell) )?(?:up|your (?:mouth|face|trap|gob))\b(?! shop)",
    r"\b(?:stupid|dumb|useless|fucking|fuckin|shitty|crappy|worthless|idiotic|moronic|pathetic|garbage|trash|lousy|"
    r"shit|dumbass|retarded|goddamn|bloody|blöder|bloder|dummer) "
    r"(?:\w+ )?(?:bot|robot|ai|machine|program|chatbot|software)\b|\b(?:stupid|dumb|useless|worthless) (?:thing|"
    r"piece of \w+)$",
    r"\b(?:worst|dumbest|stupidest) (?:\w+ )?(?:bot|robot|ai|chatbot|assistant)\b|\b(?:this|the) (?:bot|chatbot|"
    r"ai) (?:is )?(?:so |really |such )*(?:stupid|dumb|useless|garbage|trash|shit|crap|sucks)\b",
    rf"^\n(?:what an? )?{_STRONGER}(?:idiot|moron|imbecile|asshole|bitch|bastard|dumbass|wanker|cunt|prick|twat|"
    r"loser|stupid|useless|pathetic)$",
    r"^(?:fuck|screw) this(?: bot| thing)\b",
)
_NOT = re.compile(
    r"\b(?:not|never|dont think|dont believe|dont say|doesnt mean|didnt say|didnt mean|isnt|arent|wasnt|werent|if|"
    r"no one says|nobody said|wouldnt say) (?:that |like |it means )?$"
)
_SPOKEN = re.compile(
    r"\b(?:he|she|they|boss|mother|mom|mum|dad|father|wife|husband|boyfriend|girlfriend|ex|brother|sister|guy|someone|"
    r"somebody|"
    r"people|customer|teacher|colleague|driver|man|woman|kid|everyone) (?:just |then |always |even )?(?:said|says|"
    r"told me|called me|yelled|screamed|shouted|tells me|texted(?: me)?|wrote|goes|was like|thinks?)(?: that| me)? $"
)
_INNER_NOT = re.compile(r"\b(?:not|never|no) ")
_QUOTED = re.compile(r"[\"“„«][^\"“”„«»]{0,200}[\"”“»]|(?<!\w)['‘][^'‘’]{1,200}['’](?!\w)")
_ENDS = re.compile(r"[.!?\n;:,…]+")
_NO_WORD = re.compile(r"[^\w]+|_+")
_ANYBODY = re.compile("|".join(_TO_ANYBODY))
_BOT = re.compile("|".join(_TO_A_BOT))


def is_abuse(text: str) -> bool:
    """Say whether a person insults the bot."""
    clauses = _clauses(text)
    alone = [f"\n{clauses[0]}"] if len(clauses) == 1 else []  # what is an insult only where nothing else is said
    return any(_insults(_ANYBODY, clause) or _insults(_BOT, clause) for clause in (*clauses, *alone))


def insults(text: str) -> bool:
    """Say whether a reply insults whom it is written to."""
    return any(_insults(_ANYBODY, clause) for clause in _clauses(_QUOTED.sub(" ", text)))


def _insults(phrase: re.Pattern[str], clause: str) -> bool:
    return any(
        not (
            _NOT.search(clause[: found.start()])
            or _SPOKEN.search(clause[: found.start()])
            or _INNER_NOT.search(found[0])
        )
        for found in phrase.finditer(clause)
    )


def _clauses(text: str) -> list[str]:
    folded = without_leet(without_lookalikes(plain(text)))
    return [clause for part in _ENDS.split(folded) if (clause := _NO_WORD.sub(" ", part).strip())]

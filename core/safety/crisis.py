"""Does a person write of harming themselves? Phrases, and what takes them back. Pure, offline, the same each time.

Where it cannot be known it errs towards care: a careful answer to a figure of speech costs little, a careless one to
a person in danger may cost everything. What it cannot do stands in docs/safety.md.
"""

import re
from collections.abc import Callable
from typing import Literal

from core.safety import phrases
from core.safety.folding import plain, without_leet
from core.safety.languages import OTHER_LANGUAGES

# "other": the writer fears for somebody else.
Hint = Literal["suicide", "self-harm", "other"]
# Says from what stands before, the phrase, what stands after and the whole text that it is not meant.
Excuse = Callable[[str, str, str, str], bool]

_ADVERB = (
    r"(?:really|just|always|also|even|still|often|once|literally|actually|probably|kinda|sort of|secretly|now|clearly|"
    r"truly|desperately)"
)
_AUXILIARY = (
    r"(?:is|are|was|were|does|did|do|has|have|had|would|might|may|can|could|will|must|should|doesnt|didnt|dont|cant|"
    r"wont|"
    r"not|never|to|be|been|says?|said|thinks?|feels?|like|who|that|made|makes?|isnt|wasnt|used)"
)
_OTHERS = (
    r"(?:he|she|they|it|you|u|ya|him|her|them|hes|shes|theyre|youre|theyd|hed|shed|who|whoever|someone|somebody|"
    r"anyone|everyone|"
    r"everybody|nobody|people|man|woman|guy|girl|boy|kid|kids|dad|mom|mum|mother|father|brother|sister|son|daughter|"
    r"friend|"
    r"friends|bestie|wife|husband|boyfriend|girlfriend|ex|partner|cousin|uncle|aunt|neighbou?r|colleague|coworker|"
    r"boss|teacher|"
    r"grandma|grandpa|grandmother|grandfather|roommate|character|hero|heroine|protagonist|villain|singer|narrator|"
    r"actor|user|"
    r"customer|patient|patients|student|students|teens|teenagers|men|women|players|fans|dog|cat|horse|phone|laptop|"
    r"battery|"
    r"computer|car|plant|plants)"
)
_OTHERS_WISH = re.compile(rf"\b{_OTHERS}(?: (?:{_ADVERB}|{_AUXILIARY}))* $")
_SPEAKS = (
    r"(?:said|says|saying|say|told me|tells me|texted(?: me)?|wrote|writes|screamed|screams|yelled|yells|sings?|sang|"
    r"goes|was like|were like|is like|joked|jokes|shouts?|shouted|posted|tweeted)"
)
_OTHERS_WORDS = re.compile(
    rf"\b(?:{_OTHERS}|[a-z]+) {_SPEAKS}(?: that| like| things like)?(?: (?:i|im|id|ill|ive|to|going|gonna|want|wanted|"
    r"will))* $"
)
_MEDIUM = (
    r"(?:song|songs|track|lyrics?|album|movie|movies|film|book|novel|episode|series|band|poem|line|chorus|title|game|"
    r"level|play|musical|podcast|meme|quote|chapter|scene|character)"
)
_MEDIA = re.compile(
    rf"\b{_MEDIUM} (?:is |was )?(?:called|titled|named|goes|is|like|says|where|in which|about|made me|makes me|"
    rf"is about|entitled|lyric|when)(?: \w+){{0,4}} $"
)
_NOT = (
    r"(?:not|never|dont|doesnt|didnt|wont|wouldnt|cant|couldnt|isnt|arent|wasnt|aint|without|havent|hasnt|im not|nor|"
    r"neither|stop|stopped|quit|no longer)"
)
_BETWEEN = (
    r"(?:really|even|actually|going|gonna|want|wanna|wanted|wanting|planning|plan|plans|thinking|think im|think i|"
    r"think|about|of|"
    r"on|to|trying|try|tried|ever|intend|intending|intention|do|be|have|had|feel|feeling|felt|like|seriously|literally|"
    r"considering|consider|suggesting|saying i|saying im|saying|say i|say|at all|any|exactly|necessarily|currently|"
    r"actively|"
    r"mean i|mean|been|gone|wish|thought|thoughts|a|that|hoping|in any way|for a second|so|remotely|or)"
)
_DENIED = re.compile(
    rf"\b{_NOT}(?: {_BETWEEN})* $|\bno (?:intention|plan|plans|desire|wish|thoughts?|urge|urges) (?:of|to|about|"
    rf"for)(?: {_BETWEEN})* $"
)
# "Not to" that tells of a struggle, "cannot stop", "why not".
_NO_DENIAL = re.compile(
    r"(?:cant|cannot|couldnt|could not|can not|wont|not|never|dont|to) (?:\w+ )?stop(?:ped)? (?:\w+ ){0,3}$|"
    r"(?<!decided )(?<!chose )(?<!careful )(?<!learned )(?<!learnt )(?<!how )\bnot to (?:\w+ )?$|"
    r"\bwhy (?:not|dont i|shouldnt i|wouldnt i|cant i)(?: just| go| simply)* $|\b(?:not only|dont only|dont just|"
    r"cant not|cant help)\b.*$|"
    r"\bstop me\b.*$|\bnever (?:wanted|felt like|felt the urge)\b.*$"
)
_YET = re.compile(
    r"^ yet\b|^.{0,80}\bbut (?:i|im|id|ive)\b.{0,20}\b(?:want|wanted|might|will|could|almost|nearly|close|thought|"
    r"think)\b"
)
_IDIOM = re.compile(
    r"^ (?:laughing|of laughter|from laughter|laughin|my hair|hair|on (?:that|this|the) hill|than\b|of (?:old age|"
    r"embarrassment|shame|"
    r"boredom|thirst|hunger|heat|cuteness|happiness|cringe|jealousy)|from (?:embarrassment|cringe|shame|cuteness|"
    r"boredom)|"
    r"in (?:peace|my own bed|old age|venice|paris)|old\b|rich\b|happy\b|a (?:hero|happy|rich|free|legend)|"
    r"with (?:dignity|a smile)|"
    r"for (?:you|my country|it|this|that|him|her|them|forgetting|not|missing|saying|being so)\b|in the foot|in my foot|"
    r"if i (?:had|have) to (?!live)|if i were (?:him|her|them|you)|if i was (?:him|her|them|you)|before (?:i|the|my)\b|"
    r"some slack|a break|in this (?:game|level|map)|in (?:the game|minecraft|gta|fortnite|elden ring|dark souls|"
    r"a video game)|off\b|or get|with my (?:will|boots|head held|family|loved ones|friends))"
)
_HILL = re.compile(r"\bhill$|\bcross my heart and (?:\w+ )*$|\b(?:rather|sooner) $")
_STRAIN = re.compile(
    r"^ (?:to (?:meet|make|get|finish|please|pay|keep|do|be on)|trying to|over (?:this|that|a|an|some)\b|with (?:work|"
    r"this|overtime)|at (?:the gym|work)|working|studying|for (?:this|that|a|an|my|the))"
)
_MEANT = re.compile(
    r"\b(?:think|thinking|thought|thoughts|want|wanted|wanna|plan|planning|consider\w*|about|feel like|going to|"
    r"gonna)\b"
)
_ACCIDENT_BEFORE = re.compile(
    r"\b(?:accidentally|by accident|by mistake|almost|nearly|careful not to|so i dont|so as not to|fell and|"
    r"tripped and|slipped and|clumsy)\b[\w ]*$"
)
_ACCIDENT = re.compile(
    r"^ (?:while |by |when |from )?(?!(?:cry|drink|think|feel|be|hat|us|cutt|burn|scratch|someth|anyth|everyth|hitt|"
    r"punch|want|even|overdos)ing\b)[a-z]+ing\b|"
    r"^(?: \w+){0,3}? (?:shaving|cooking|chopping|peeling|slicing|gardening|baking|ironing|playing|skiing|skating|"
    r"climbing|falling|running|"
    r"lifting|jogging|dancing|hiking|cycling|practice|training|football|soccer|basketball|tennis|at (?:the gym|work|"
    r"practice|school|"
    r"training)|(?:in|on) (?:the|a|an|my|some|that) (?:\w+ )?(?:kitchen|gym|garden|workshop|can|tin|paper|glass|knife|"
    r"oven|stove|pan|kettle|"
    r"stairs|ice|bike|fence|nail|door|edge|thorns?|mandoline|grater|table|step|treadmill|iron|toaster|grill|tea|"
    r"coffee|soup)|"
    r"by accident|accidentally|by mistake|some slack|a (?:slice|piece|break|deal|check)|out of|off from|loose|free|"
    r"trying to (?:lift|open|move|fix|cut|catch|climb|reach|impress)|(?:hair|nails|fringe|bangs)|moving (?:the|a|my|"
    r"furniture)|on purpose in)"
)
_PURPOSE = re.compile(r"\b(?:on purpose|deliberately|intentionally|to feel|because i hate|punish)\b")
_EMBARRASSED = re.compile(r"\b(?:embarrass(?:ed|ing|ingly)|mortif\w+|cringe\w*|cringy|awkward|blush\w*)\b")
_RECOVERED = re.compile(
    r"\b(?:no longer|any ?more|years ago|clean|recovered|recovery|therapy|therapist|better now|glad|happy now|"
    r"behind me|back then|as a (?:teen|teenager|kid)|in (?:high school|college|my (?:teens|twenties)))\b"
)
_RELATION = re.compile(
    r"\b(?:boyfriend|girlfriend|relationship|marriage|husband|wife|engagement|contract|subscription|trial|membership|"
    r"call|meeting|"
    r"letter|story|essay|email|speech|song|chapter|game|date|chat|conversation|session|process|loop|sentence)\b"
)
_RELAPSE = re.compile(r"\b(?:again|relapsed?|lately|back|still|tonight|today)\b")
_QUOTED = re.compile(r"[\"“„«][^\"“”„«»]{0,300}[\"”“»]")
_ABOUT_WORDS = re.compile(rf"\b(?:{_MEDIUM}|called|titled|{_SPEAKS}|phrase|saying|hotline|sign|banner|graffiti)\b")
_OTHERS_TOPIC = re.compile(
    rf"\b(?:article|study|studies|research|hotline|essay|paper|awareness|prevention|policy|{_MEDIUM}|volunteer|he|she|"
    r"they|his|her|their|who)\b"
)
_MEDIA_THERE = re.compile(rf"\b{_MEDIUM}\b")
_REPLY_QUOTE = re.compile(r"^[^\S\n]*>.*$", re.MULTILINE)  # within one line: or many empty ones take for ever
_ENDS = re.compile(r"[.!?\n;…]+")
_NO_WORD = re.compile(r"[^\w]+|_+")

_CENSORED = ("kill", "suicide", "suicidal", "die", "dead", "cut")
_STARRED = re.compile(r"\b\w[\w*]*\*[\w*]*\w\b")
_NO_MYSELF = re.compile(r"(?:\d|\b(?:per|many|few|more|those|some|the|of|in|for|hundred|thousand|million|how many)) ?$")
_KMS = re.compile(
    r"\bkms\b(?! (?:away|from|to|per|an hour|on the|north|south|east|west|long|away|run|left|drive|ride|walk|today|"
    r"lol|haha|per hour|later))"
)
_LAUGHTER = re.compile(r"😂|🤣|\blo+l\b|\blmf?ao\b|\b(?:ha){2,}\b|\bjk\b|\bxd\b")

_MYSELF = phrases.joined(phrases.SUICIDE_MYSELF, phrases.SUICIDE_WORD)
_WISH = phrases.joined(phrases.SUICIDE_WISH)
_MEANS = phrases.joined(phrases.MEANS)
_HARM = phrases.joined(phrases.SELF_HARM)
_FOREIGN = phrases.joined(OTHER_LANGUAGES)
_FOREIGN_HARM = re.compile(r"ritz|schneide|verletz|corto|cortar|autoles|dano|scarifi|mutil|taillad|fai(?:s|re) du mal")
_FOREIGN_NOT = re.compile(r"\b(?:no|nao|non|nunca|jamas|jamais|nicht|niet|ne)(?: me)? $")
_WEAK = tuple(re.compile(phrase) for phrase in phrases.WEAK)
_NEAR = (
    r"my (?:\w+ )?(?:friend|bestie|mate|buddy|brother|sister|mom|mum|mother|dad|father|son|daughter|kid|child|wife|"
    r"husband|partner|"
    r"boyfriend|girlfriend|ex|cousin|nephew|niece|colleague|coworker|roommate|flatmate|student|neighbou?r|uncle|aunt|"
    r"grandma|grandpa)"
)
_THEMSELVES = r"(?:him|her|them|their)(?:self|selves)"
_OF_OTHERS = re.compile(
    rf"\b{_NEAR}(?: \w+){{0,4}}? (?:wants to (?:die|kill {_THEMSELVES}|end (?:his|her|their) life)|(?:is|feels|seems|"
    r"sounds) suicidal|is self ?harming|"
    rf"(?:is|keeps|has been|started) (?:cutting|hurting|harming) {_THEMSELVES}|doesnt want to (?:live|"
    r"be alive)(?: any ?more| *$)|"
    rf"(?:is|are) (?:going|threatening|planning|trying|about) to kill {_THEMSELVES}|(?:will|might|may|"
    rf"could) kill {_THEMSELVES}|"
    r"(?:said|says|told me|texted me|texted|wrote|keeps saying)(?: that)? (?:he|she|they|"
    r"i) (?:\w+ )?(?:wants? to (?:die|kill \w+|end \w+ life)|(?:is|am|are) suicidal))|"
    r"\b(?:he|she|they)(?: \w+)? (?:wants? to|is going to|are going to|is threatening to|threatens to|might|"
    rf"is about to|is planning to) kill {_THEMSELVES}\b"
)


def crisis(text: str, weak_hints: int = 2) -> Hint | None:
    """Return what a text hints at, or None. ``weak_hints``: so many worrying phrases count as well; 0: none do."""
    folded = without_leet(plain(_REPLY_QUOTE.sub("", text)))
    folded = _STARRED.sub(_uncensored, folded)
    if _ABOUT_WORDS.search(folded):
        folded = _QUOTED.sub(" . ", folded)
    laughing = bool(_LAUGHTER.search(folded))
    whole = _words(folded)
    lines = _ENDS.split(folded)
    # People break lines in the middle of what they say, so a line's end may be one or not.
    for part in lines if "\n" not in folded else (*lines, *_ENDS.split(folded.replace("\n", " "))):
        sentence = _words(part)
        found = _strong(sentence, whole, laughing) if sentence else None
        if found:
            return found
    if weak_hints and sum(bool(phrase.search(whole)) for phrase in _WEAK) >= weak_hints:
        return "suicide"
    return "other" if _OF_OTHERS.search(whole) and not _MEDIA_THERE.search(whole) else None


def _strong(sentence: str, whole: str, laughing: bool) -> Hint | None:
    """Return what one sentence says outright."""
    if _stands(_MYSELF, sentence, whole, _strain) or _stands(_WISH, sentence, whole, _wish) or _MEANS.search(sentence):
        return "suicide"
    kms = _KMS.search(sentence)
    if kms and not laughing and not _NO_MYSELF.search(sentence[: kms.start()]):
        return "suicide"
    foreign = _FOREIGN.search(sentence)
    if foreign and not _FOREIGN_NOT.search(sentence[: foreign.start()]):
        return "self-harm" if _FOREIGN_HARM.search(foreign[0]) else "suicide"
    return "self-harm" if _stands(_HARM, sentence, whole, _accident) else None


def _stands(phrase: re.Pattern[str], sentence: str, whole: str, *excuses: Excuse) -> bool:
    """Say whether a phrase is there and nothing takes it back."""
    for found in phrase.finditer(sentence):
        before, after = sentence[: found.start()], sentence[found.end() :]
        if _denied(before, after) or _OTHERS_WORDS.search(before) or _MEDIA.search(before):
            continue
        if _IDIOM.search(after) or _HILL.search(before) or _overcome(before + found[0], whole):
            continue
        if any(excuse(before, found[0], after, whole) for excuse in excuses):
            continue
        return True
    return False


def _denied(before: str, after: str) -> bool:
    return bool(_DENIED.search(before) and not _NO_DENIAL.search(before) and not _YET.search(after))


def _overcome(before: str, whole: str) -> bool:
    """Say whether it is told of the past ("I used to ..., not any more"), with nothing that brings it back."""
    return bool(
        re.search(r"\b(?:used to|no longer)\b", before) and _RECOVERED.search(whole) and not _RELAPSE.search(whole)
    )


def _strain(before: str, phrase: str, after: str, whole: str) -> bool:
    """Say whether it is effort or a mishap, not intent ("I'm killing myself to finish this")."""
    if "kill" not in phrase:
        return bool(re.search(r"\bcould (?:have )?(?:just )?$", before) and re.search(r"^ for\b", after))
    mishap = re.search(r"\b(?:almost|nearly) $", before) and re.search(
        r"^ (?:on (?:the|a|my|that|those|some|your|his|her)|tripping|slipping|falling|trying|carrying|riding|going|"
        r"getting|doing|when|with|climbing|driving|moving)\b",
        after,
    )
    return bool(mishap or ("killing" in phrase and _STRAIN.search(after) and not _MEANT.search(before)))


def _wish(before: str, phrase: str, after: str, whole: str) -> bool:
    """Somebody else's wish, or one that dies of shame."""
    if _OTHERS_WISH.search(before) and not phrase.startswith(("i ", "im ", "id ", "me ", "we ")):
        return True
    if re.search(r"end (?:it|things)$", phrase) and _RELATION.search(whole):
        return True
    return "die" in phrase and bool(_EMBARRASSED.search(whole))


def _accident(before: str, phrase: str, after: str, whole: str) -> bool:
    if _PURPOSE.search(whole):
        return False
    if (
        re.match(r"burn", phrase)
        and "skin" not in phrase
        and not re.search(r"\b(?:again|lighter|cigarettes?)\b", whole)
    ):
        return True
    if re.match(r"(?:starv|hitting|punish|stab|scratch)", phrase) and not re.search(
        r"\b(?:again|cant stop|keep|want to|urge|deserve)\b", whole
    ):
        return True
    if "self" in phrase and "myself" not in phrase:  # "self-harm": whose?
        return not re.search(r"\b(?:i|im|ive|my|me|id|urges?|clean|relapse\w*)\b", whole) or bool(
            _OTHERS_TOPIC.search(whole)
        )
    return bool(_ACCIDENT_BEFORE.search(before) or _ACCIDENT.search(after) or _OTHERS_WISH.search(before))


def _uncensored(found: re.Match[str]) -> str:
    """Return the word that the stars hide ("k*ll", "s**cide"), or the word as it is."""
    shape = re.compile(re.escape(found[0]).replace(r"\*", "[a-z]"))
    return next((word for word in _CENSORED if shape.fullmatch(word)), found[0])


def _words(text: str) -> str:
    return _NO_WORD.sub(" ", text).strip()

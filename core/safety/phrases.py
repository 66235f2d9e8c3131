"""What people write who are in danger of harming themselves. Regular expressions over plain text; own work.

"Plain" is what crisis.py makes of a sentence: small letters, no accents, no apostrophes ("dont"), words apart by one
blank. ``STRONG`` phrases count alone, ``WEAK`` ones together. What takes a phrase back (denials, idioms, accidents,
what others said) is below them.
"""

import re

NEXT = r" *$| (?:i|im|ive|id|ill|and|but|so|because|please|goodbye|bye|sorry|nothing|nobody|everything)\b"
DIE = (
    r"(?:die(?! hard)|be dead|not exist|stop existing|cease to exist|never wake up|not wake up|sleep forever|"
    r"disappear forever)"
)
WANT = (
    r"(?:want(?:ed|ing)?|wanna|wish(?:ed|ing)?|longing|longed|hope|hoping|plan(?:ning)?|would like|id like|id love|"
    r"would love|"
    r"prefer|decided|trying|tried|prepared|begging|praying|(?:i|id|im|we|me)(?: \w+)?? (?:need(?:ed)?|deserve|should|"
    r"better|ready|choose|chose))"
)
INTENT = (
    r"(?:want|wanna|going|gonna|plan|planning|need|about|thinking (?:of|about)|thought (?:of|about)|will|feel like|"
    r"ready|urge|could just|"
    r"might|should i|decided|cant wait)"
)
NO_POINT = (
    r"(?:no|any|zero|not a|not much|isnt (?:a|any|much)|whats the|what is the|wheres the|see the|see a|see much|"
    r"find a|find any|"
    r"find the|without a|lost (?:the|my|all|every)|there a)"
)
LITTLE = r"(?:just|really|only|literally|actually|honestly|simply|so badly|badly|so much|to just|to|all)"
LIVE = (
    r"(?:live|be alive|exist|keep living|continue living|go on living|keep existing|stay alive|be on this (?:earth|"
    r"planet))"
)
EVER = r"(?: any ?more| any ?longer| ever again| no more)"
SOON = r"(?: tonight| today| now| tomorrow| soon| this (?:week|month|weekend|year)| again| right now)"
END = (
    r"(?= *$| (?:tonight|today|now|tomorrow|soon|already|again|please|lol|right now|so (?:bad|badly|much)|and|but|"
    r"because))"
)
PLACES = (
    r"(?:bridge|building|roof|rooftop|balcony|overpass|window|train|trains|tracks|bus|truck|subway|metro|tube|traffic)"
)

# Of the writer's own death. ``(?:...)`` that say "myself" or "my life" need no subject; the others are looked at.
SUICIDE_MYSELF = (
    r"\bkill(?:ing|ed)? (?:off )?m[ye] ?self\b",
    r"\b(?:unaliv(?:e|ing|ed)|off|offing|hang(?:ing|ed)?|hung|shoot(?:ing)?|strangl(?:e|ing)|suffocat(?:e|ing)|"
    r"poison(?:ing)?|electrocut(?:e|ing)|gas(?:sing)?|end(?:ing)?|delet(?:e|ing)) myself\b",
    r"\bdrown(?:ing)? myself\b(?= *$| in (?:the|a|my) (?:river|sea|lake|ocean|bath|bathtub|tub|pool))",
    r"\b(?:tak(?:e|ing)|took|end(?:ing|ed)?|finish(?:ing)?) my (?:own )?life\b",
    r"\bslit(?:ting)? my (?:wrists?|throat|veins)\b",
    r"\bblow(?:ing)? my (?:own )?(?:brains|head) o(?:ut|ff)\b",
    r"\bbullet (?:in|through|to) my (?:own )?(?:head|brain|skull)\b",
    r"\bgun (?:in|into) my mouth\b",
    r"\bnoose (?:around|round) my neck\b",
    r"\bmy (?:\w+ )?(?:suicide (?:note|plan|attempt|letter|date)|suicidal (?:thoughts|ideation|urges|feelings))\b",
    r"\bplan(?:ning|ned)? my (?:own )?suicide\b",
    r"\b(?:better off|happier|easier for them|relieved) (?:without me\b|with me (?:dead|gone)|(?:if|when|once) i(?:m|"
    r" was| were| am|d)"
    r"(?: \w+){0,2}? (?:dead|gone|die|died|killed|not here|not around)\b)",
    r"\beveryone (?:says|thinks|knows|agrees) (?:that )?i should (?:just )?(?:die|be dead)\b",
    r"\b(?:everyone|everybody|they all|people|my family|nobody) wants? me (?:to (?:die|be dead|kill myself)|dead)\b",
    r"\b(?:(?:wouldnt|wont|dont|doesnt|not) (?:even |really )?)?(?:care|notice|cry|mind|bother|miss me|"
    r"matter)(?: \w+)? if i (?:\w+ )?(?:die|died|disappeared|vanished|was dead|"
    r"were dead|was gone|were gone|killed myself|wasnt here|werent here|wasnt around)\b",
    r"\b(?:dont|doesnt|wouldnt) (?:even )?(?:care|mind|matter) (?:if|whether) i (?:live or die|die|wake up|"
    r"dont wake up|died)\b",
    r"\bwouldnt mind (?:dying|not waking up|being dead)\b",
    r"\bi(?:d| would| should) (?:be better (?:off )?dead|rather be dead|be dead)\b",
    r"\bim better off dead\b",
    r"\bwhen im (?:dead|gone) (?:theyll|they will|everyone will|hell|shell|nobody)\b",
    r"\b(?:suicide|goodbye|farewell) (?:note|letter)s? (?:is|are) (?:written|ready|done|finished)\b",
    r"\b(?:wrote|writing|written|write|finished) (?:my|a) (?:suicide|farewell) (?:note|letter)s?\b",
    r"\bwill be my last (?:night|message|words|day (?:alive|on (?:this )?earth))\b(?= *$| alive| on earth| ever)",
    r"\b(?:this is|tonight is) my last (?:night alive|day alive|day on earth|night on earth)\b",
    r"\bi (?:\w+ )?(?:took|swallowed|have taken|just took) (?:all|a (?:whole )?(?:bottle|bunch|lot|handful|box)|"
    r"too many|every one|"
    r"so many|the whole) (?:of )?(?:my |the |those |these )?(?:of )?(?:\w+ )?(?:pills|tablets|meds|medication|"
    r"paracetamol|tylenol|"
    r"ibuprofen|xanax|sleeping|antidepressants|bottle)\b",
    r"\bi (?:\w+ )?(?:have|got|bought|saved up) (?:the|a|enough|all the|some|all my) (?:pills|rope|noose|razor|gun|"
    r"tablets|meds)"
    r"(?: \w+){0,3}? (?:to (?:do it|end|die|kill|finish)|ready|in front of me|in my hand|next to me|right here)\b",
    r"\bi (?:\w+ )?(?:od(?:ed|d)?|overdosed) (?:on|again|last|tonight|yesterday)\b",
    rf"\b{INTENT} "
    r"(?:to |just )*(?:jump(?:ing)?|throw(?:ing)? myself|step(?:ping)?|walk(?:ing)?|driv(?:e|ing)) "
    rf"(?:off|from|in front of|under|into|out of) (?:an?|the|my|that|some|oncoming) (?:\w+ )?{PLACES}\b",
    r"\b(?:driv(?:e|ing)|crash(?:ing)?|steer(?:ing)?) (?:my|the|this) car into (?:a|the) (?:tree|wall|river|truck|"
    r"pole|traffic)\b",
    r"\bgive me (?:a|one) (?:good )?reason (?:not to|to (?:live|stay alive|go on living|keep going))\b",
    r"\breason(?:s)? (?:for me )?to (?:live|stay alive|keep living|be alive)\b(?= any ?more| *$)(?<=\w)",
    r"\bi (?:also )?(?:cant|can not|cannot) (?:live|keep living|go on living|"
    r"keep existing)(?: like this)?(?: any ?more| any ?longer| *$)",
    r"\bi (?:just )?(?:cant|cannot|can not) go on(?: any ?more| any ?longer| *$)",
    r"\bgiv(?:e|en|ing) up on (?:life|living)\b",
    r"\bfantasi[sz](?:e|ing) about (?:my (?:own )?death|dying|being dead|killing)\b",
    r"\b(?:goodbye|bye|farewell) (?:cruel world|forever everyone|everyone forever|forever)\b",
    r"\bsewer ?slid(?:e|ing)\b",
)
# "want to die": whose wish it is must be seen from the words before.
SUICIDE_WISH = (
    r"\bending it all\b|(?<!the )\bend (?:it all|my (?:suffering|misery|existence))\b",
    r"\b(?:had enough of|through with|cant stand) (?:this |my )?life\b(?= *$| any ?more)",
    r"\b(?:could|want to|wanna) (?:just )?stop being(?: alive)?(?= *$)",
    r"\bi (?:really |just |probably )?shouldnt (?:exist|be alive|have been born|have survived)\b",
    r"\b(?:cant|cannot|dont) see myself (?:living|being alive|alive|growing old|making it)\b(?! (?:in|at|with|near|"
    r"there|here|abroad))",
    r"\bsaid my (?:final |last )?goodbyes?\b(?= *$)",
    r"\b(?:thinking|thought|dreaming|wondering) (?:about|of) (?:just )?jumping(?= *$)",
    r"\bno (?:other )?way out (?:\w+ ){0,3}?(?:but|except|other than|than) (?:death|dying|suicide|to die)\b",
    r"\bhate (?:being alive|living|existing)\b(?! (?:in|at|with|near|here|there|on|under|next|alone|so|like|this|out|"
    r"through))",
    r"\b(?:i|ive|have) (?:just )?(?:took|taken) an overdose\b",
    r"\b(?:dont|do not|cant|cannot) (?:see|imagine|picture) (?:a |any |the )?(?:future|life|world|tomorrow) (?:where|"
    r"in which|with) (?:im|i am|i|me)\b",
    r"\b(?:disappointed|sad|sorry|angry|upset|hate) (?:that )?(?:i |it that i )?(?:did|woke up|wake up|"
    r"am still alive|im still (?:alive|here))(?= *$)|\bwish i hadnt woken up\b",
    r"\b(?:scared|afraid|worried) (?:of|about) what i (?:might|could|would|will|may) do to myself\b|"
    r"\bnot safe (?:with|from|around) myself\b",
    r"\b(?:wont|will not) be (?:around any ?more|alive (?:tomorrow|next week|any ?more))\b",
    r"\b(?:better|happier|easier|brighter) (?:place )?without me\b(?= *$| in it| here| around)",
    r"\bshould (?:have|ve|of) (?:just )?died\b|\bshouldnt have survived\b|\bwish (?:the|it|this|"
    r"my) (?:\w+ )?would (?:just )?(?:take|kill|finish) me\b",
    r"\bdisappear and never (?:come back|return|be found)\b|\b(?:fall asleep|sleep) forever\b(?! young)",
    r"\b(?:have|made|got) a plan and (?:a|the) (?:date|day|method|note)\b",
    r"\bcant do (?:this )?life (?:thing )?any ?more\b",
    r"\b(?:husband|wife|mom|mum|dad|son|daughter|partner|best friend|brother|sister|baby) (?:died|passed away|passed|"
    r"is dead)(?: \w+){0,4}? want to be with (?:him|her|them)\b",
    rf"\b{INTENT} (?:to )?(?:just )?(?:drown|take (?:some |all |all the |all my |the )?pills|bleed out)(?= *$|{SOON})",
    rf"\b(?:going|gonna|about) to (?:die(?={SOON})|be dead(?= tonight| soon))(?! laughing)",
    r"\bi(?:ll)? (?:wont|will not|not) be alive (?:much longer|tomorrow|next|for long|by)\b",
    r"\bi (?:\w+ )?welcome death\b|\bbeing dead (?:would|will|must|sounds)\b",
    r"\bcant wait (?:to (?:die|be dead)|until im dead)\b(?! laughing)",
    rf"\b{INTENT} (?:to )?"
    r"(?:overdos(?:e|ing)|od(?:ing)?)\b(?= *$| on (?:pills|meds|my|sleeping|heroin|drugs|xanax|insulin|tylenol|"
    rf"paracetamol|\w+ pills)|{SOON})",
    r"\brather (?:be dead|die)\b(?= *$| already| now| tonight| honestly| tbh| any ?more)",
    r"\b(?:dont|do not|doesnt|didnt) (?:even )?deserve to (?:live|be alive|exist|be here)\b",
    r"\bwhy (?:am i|do i|was i|did i|are we) (?:even |still |ever )*(?:alive|exist|born|have to (?:live|exist)|"
    r"have to be alive|survive)\b",
    r"\b(?:easier|better|happier|good|best|nice|fine) (?:\w+ ){0,3}?if i (?:just )?(?:wasnt (?:around|here|alive|"
    r"there)|werent (?:around|here|alive|there)|"
    r"was gone|were gone|was dead|were dead|didnt exist|stopped existing|died|disappeared|never existed|"
    r"wouldnt exist)\b",
    r"\bfavou?r (?:if i|by) (?:\w+ )?(?:die|died|dying|disappear\w*|was dead|were dead|kill\w* myself|was gone|"
    r"were gone)\b",
    r"\b(?:dont|wont|not|never|cant) (?:\w+ ){0,4}?(?:make it|survive|get|last) (?:through|to|until|"
    r"till) (?:the night|tonight|tomorrow|the morning|morning|the weekend)(?= *$)",
    r"\bfeel(?:ing)? like (?:dying|death would be)(?= *$| every| all the time| again| any ?more| today| lately)",
    r"\b(?:cant|cannot|can not) (?:do|handle|take|stand|bear|face) (?:life|living|being alive|another day|existing)\b",
    r"\b(?:want|wanna|going|gonna|ready|decided|plan|planning|time) to (?:just )?end (?:it|things)(?! with)(?= *$|"
    r" tonight| today| now| here| soon| for good| please| tell| because| this)",
    rf"\b{WANT}(?: {LITTLE})*? {DIE}\b",
    r"\bwish(?:ed|ing)? (?:that )?i (?:\w+ ){0,2}?(?:was dead|were dead|am dead|wasnt (?:here|alive|born)|"
    r"werent (?:here|alive|born)|"
    r"didnt exist|never existed|had never existed|was never born|were never born|had never been born|hadnt been born|"
    r"could (?:just )?(?:die|disappear forever|stop existing|not wake up|never wake up|fall asleep and)|"
    r"would (?:just )?(?:die|not wake up|never wake up)|"
    r"wouldnt wake up|died|hadnt (?:survived|woken up)|could end (?:it|everything))",
    r"\bwish (?:someone|somebody|something|god|a car|they) would (?:just )?kill me\b",
    r"\bhope (?:that )?i (?:\w+ )?(?:die(?! hard)|dont wake up|never wake up|wont wake up|get hit by|dont survive)\b",
    rf"\b(?:dont|do not|didnt|doesnt|not|never) (?:\w+ )?(?:want|wanna|wanted|wanting|wish) (?:to )?{LIVE}(?! (?:with|"
    r"in|at|near|there|here|"
    r"alone|on|by|next|under|to|like (?:a|an|the|my|that|kings?|queens?)|through|for|off|up|forever|out|paycheck|my|"
    r"is|was))",
    r"\b(?:dont|do not|didnt) (?:\w+ )?(?:want to|wanna|wanted to) (?:be here|be around|wake up|go on|see tomorrow|"
    rf"see another day){EVER}",
    r"\b(?:dont|do not) (?:\w+ )?(?:want to|wanna) (?:wake up tomorrow|see tomorrow|see another day|go on)(?= *$)",
    r"\b(?:dont|do not) know (?:if|whether) i (?:\w+ )?(?:want|wanna) (?:to )?(?:live|be alive|be here any ?more|"
    r"keep living)\b",
    r"\bnot sure (?:if |that |whether )?i (?:\w+ )?(?:want|wanna) (?:to )?(?:live|be alive|keep living|exist)\b",
    r"\b(?:fall asleep|go to sleep|sleep|close my eyes) and (?:just )?(?:never|not) (?:wake up|"
    r"open them)\b(?! (?:again )?(?:until|till|before|at|for))",
    rf"\b{NO_POINT} (?:\w+ )?(?:point|reason|sense|use|will|motivation) (?:in|of|to|for) (?:me )?(?:to |"
    r"in )?(?:liv(?:e|ing)|keep living|"
    r"go(?:ing)? on living|be(?:ing)? (?:here any ?more|alive)|stay(?:ing)? alive|exist(?:ing)?|my life|"
    r"life)\b(?! (?:in|at|near|here|there|with))",
    rf"\b{NO_POINT} (?:\w+ )?(?:point|reason|sense) (?:in|to) (?:go(?:ing)? on|carry(?:ing)? on)(?: any ?more)?(?= *$)",
    r"\b(?:nothing|no one|nobody|anything) (?:left |more )?to live for\b",
    r"\b(?:life|it|this) (?:is not|isnt|aint|not|no longer|is no longer|doesnt feel|feels not|doesnt seem) (?:even |"
    r"really )?worth (?:living|being alive for)\b",
    r"\b(?:life|living|my life) (?:is not|isnt|aint) worth it(?: any ?more| *$)",
    r"\b(?:tired|sick|exhausted|weary|fed up|im done|so done|just done|completely done|im over) (?:of|with|"
    r"from) (?:just )?(?:being alive|living|existing|this life|my life|life)\b(?! (?:in|at|with|near|on|here|next|"
    r"together|out|paycheck|under|alone|by))",
    r"\b(?:want|wanna|going|gonna|ready|have|need|plan|planning|decided|time|about|thinking (?:of|about)|tempted|"
    r"wish i could|should i|simpler|easier|better)"
    r"(?: just| to)* (?:end(?:ing)?) (?:it all|everything|this life|things for good|it for good|it once and for all|"
    r"it tonight)\b",
    r"\b(?:want|ready|decided) (?:to )?(?:leave|be gone from|get out of|check out of|exit|quit) (?:this world|"
    r"this earth|life|this life)\b",
    r"\b(?:want|wanna|need) (?:to )?be (?:with|next to) (?:my )?(?:dead|late|mom|mum|dad|mother|father|her|him|them|"
    r"\w+) in heaven\b",
    r"\bdeath (?:is|seems|would be|feels like) (?:the|my|an?) (?:only|best|easy|easier|better|good|"
    r"real)? ?(?:way out|option|solution|answer|relief|escape|choice)\b",
    r"\b(?:only|best|easiest) way out is (?:death|to die|dying|suicide)\b",
    r"\b(?:think(?:ing)?|thought|dream(?:ing)?) (?:a lot |every day |constantly |all day |only )?(?:about|"
    r"of) (?:my own death|being dead|my funeral|ending (?:it|things|everything))\b",
    r"\b(?:think(?:ing)?|thought) (?:a lot |every day |constantly |all day |only )?(?:about|of) (?:dying)(?= *$|"
    r" every| all| a lot| again| constantly)",
    r"\blet me (?:just )?die(?= *$| already| please| in peace)",
)
# The word itself, with the writer as its subject.
GAP = (
    r"(?:(?:want|wanted|wanna|going|gonna|to|will|might|may|could|should|must|have|had|been|am|was|be|being|just|"
    r"really|almost|nearly|"
    r"even|tried|trying|keep|kept|often|sometimes|actively|seriously|about|always|constantly|thinking|think|thought|"
    r"of|so|very|feel|"
    r"feeling|felt|a bit|a little|still|get|getting|got|become|became|ever|also|honestly|having|these|some|do|did|"
    r"not sure if i am|literally|"
    r"probably|maybe|cant|cannot|stop|rather|need|decided|plan|planned|planning|ready|like|extremely|pretty|kinda|"
    r"actually|again|"
    r"basically|only|quite|super|more|and|depressed|sad|alone|lonely|wont|started|began|wait|afraid im|scared im|"
    r"knows im|that im) ){0,6}?"
)
TOPIC = (
    r"(?! (?:squad|prevention|awareness|rates?|hotline|helpline|watch|silence|girls?|doors?|bomb\w*|missions?|scenes?|"
    r"statistics|pacts?|"
    r"attack\w*|vest\w*|drink|king|kings|lambs?|machine|burn|by cop|forest|character|thriller|movie|film|book|song|"
    r"episode|storyline|"
    r"research|in literature|in japan|in the))"
)
SUICIDE_WORD = (
    rf"\b(?:i|im|ive|id|ill|me) {GAP}suicidal\b{TOPIC}",
    rf"\b(?:i|im|ive|id|ill|me) {GAP}(?:commit(?:ting|ted)?|attempt(?:ed|ing)?|contemplat(?:e|ed|ing)|consider(?:ed|"
    r"ing)?|"
    r"plan(?:ning|ned)?|googl(?:e|ed|ing)|thinking (?:of|about)|think (?:of|about)|thought (?:of|about)|"
    r"thoughts (?:of|about)|"
    rf"fantasi[sz]ing about|researching|obsessed with|close to|resort to) (?:my )?(?:committing )?suicide\b{TOPIC}",
    r"^(?:(?:feeling|feel|really|so|very|pretty|kinda|been|having|still|currently|getting|more|and|having|had|got|"
    r"these|some|constant) )*"
    r"suicidal(?: thoughts| ideation| urges)?(?= *$| again| tonight| today| right now| lately| for| every| since|"
    r" and| but| are| wont| keep)",
    r"^(?:(?:thinking|thoughts|dreaming|been thinking|keep thinking|constantly thinking) )(?:of|"
    r"about) (?:committing )?suicide" + TOPIC,
    r"\bsuicid(?:e|al) (?:is|seems|feels like) (?:the|my) (?:only|best|last|easiest) (?:way|option|solution|choice|"
    r"escape)",
    r"\bshould i (?:just )?(?:commit suicide|die|be dead)\b",
)
# Questions about the means.
MEANS: tuple[str, ...] = (
    r"\b(?:painless|quickest|fastest|easiest|best|quick|easy|peaceful|least painful|surest) (?:way|ways|method|"
    r"methods) (?:to|of|for) "
    r"(?:die|dying|kill(?:ing)? (?:my|your|one)self|commit(?:ting)? suicide|suicide|end(?:ing)? (?:my|your|"
    r"ones) life|go for good)\b",
    r"\b(?:suicide|self harm) methods?\b(?! in)",
    r"\bhow (?:do i|to|can i|could i|would i|does one|do you) (?:painlessly |quickly )?(?:commit suicide|kill (?:my|"
    r"your|one)self|"
    r"hang (?:my|your|one)self|tie a noose|end (?:my|your) (?:own )?life|overdose|die without|die painlessly|"
    r"slit my)\b",
    r"\bhow (?:many|much) (?:\w+ ){0,3}?(?:pills|tablets|paracetamol|tylenol|ibuprofen|xanax|mg|grams|milligrams|"
    r"benadryl|advil|aspirin|insulin|"
    r"melatonin|antidepressants|medication|meds|poison|bleach) (?:\w+ ){0,2}?(?:does it take |would it take |"
    r"do i need |should i take |will it take |it takes )?(?:to |for me to )"
    r"(?:die|overdose|od|kill (?:me|myself|yourself|you|a person)|be (?:lethal|fatal))\b",
    r"\b(?:lethal|fatal|deadly) (?:dose|amount) of (?:paracetamol|tylenol|ibuprofen|acetaminophen|sleeping pills|"
    r"xanax|pills|aspirin|insulin|my)\b",
)
MEANS += (
    r"\b(?:what (?:would|will) happen|would i die|will i die|would it kill me|is it enough|what happens) if (?:i|you|"
    r"one) (?:took|take|swallow\w*|overdose\w*) "
    r"(?:\w+ ){1,3}?(?:pills|tablets|paracetamol|tylenol|ibuprofen|xanax|benadryl|sleeping|antidepressants)\b",
    r"\bsuicide (?:is |has been |was )?(?:always |constantly |often )?on my mind\b",
    r"\b(?:does it|does|it|do you think it) (?:really )?hurts? to (?:die|hang yourself|drown|hang myself|overdose|"
    r"bleed out|jump)\b",
    r"\b(?:normal|wrong|bad|ok|okay|weird|a sin|selfish|crazy|common) (?:that i |to )(?:often |always |"
    r"sometimes )?(?:want to |think about |think of )?"
    r"(?:kill(?:ing)? (?:your|my)self|die|dying|suicide|hurt(?:ing)? (?:your|my)self|be dead|being dead)\b",
    r"\b(?:imagin\w+|picturing|thinking (?:of|about)|thought (?:of|about)|fantasi\w+ about|tempted to|urge to|want to|"
    r"wanna|going to|gonna) (?:\w+ )?"
    r"driv(?:e|ing)(?: \w+){0,3}? (?:into|off) (?:a|the|an) (?:wall|tree|river|bridge|cliff|truck|pole|lake|"
    r"oncoming)\b",
    r"\b(?:sitting|sat|lying|standing|alone|here)(?: \w+){0,5}? with (?:a|the|my) (?:razor(?: ?blade)?|blade|gun|"
    r"noose|rope|bottle of pills|pills)\b",
)
SELF_HARM = (
    r"\b(?:myself|my (?:arms?|skin|legs?|wrists?|hands?)) until i (?:bled|bleed|was bleeding|bruised?)\b",
    r"\bi(?:ve| have)? been cutting(?= *$| for| again| since| every| and)",
    r"\bcuts (?:\w+ )?(?:all over|on|across|up and down) my (?:arms?|wrists?|legs?|thighs?|body)\b",
    r"\b(?:self ?harm(?:ed|ing|s)?|self ?injur(?:e|ing|ed)|self ?mutilat\w+)\b",
    r"\b(?:cut|cutting|cuts|hurt|hurting|harm|harming|harmed|burn|burning|burned|burnt|injur(?:e|ing)|punish|"
    r"punishing|stab|stabbing|scratch|"
    r"scratching|starv(?:e|ing)|mutilat(?:e|ing)|hitting|bruis(?:e|ing)) myself\b",
    r"\b(?:cut|cutting|cuts|slice|slicing|sliced|slash|slashing|burn|burning) (?:(?:up|into|open|"
    r"at) )?my (?:own )?(?:wrists?|arms?|thighs?|veins|skin|legs?)(?! (?:hair|off my|nails))\b",
    r"\b(?:urge|urges|want|wanna|need|going|started|began|back) (?:to )?(?:cut(?:ting)?)(?= *$| again| so bad|"
    r" tonight| right now)",
    r"\bi(?:ve)? (?:\w+ )?relapsed(?: and)? (?:i )?(?:cut|on (?:self ?harm|cutting))\b",
    r"\brazor ?blades? (?:to|on|against|into|across) my (?:skin|arms?|wrists?|legs?|thighs?)\b",
)
# What is worrying together with something else.
WEAK = (
    r"\b(?:come to|at|plan(?:ning|ned)?|about) my (?:own )?funeral\b",
    r"\b(?:keep|hide|have) (?:a|the|my) (?:razor ?)?blades?\b",
    r"\b(?:tonight it ends|it ends tonight|ready to go now)\b",
    r"\b(?:wont|will not) be here (?:tomorrow|next week|any ?more|much longer)\b",
    r"\btell (?:my|them|him|her|everyone) (?:\w+ ){0,3}?(?:sorry|love|goodbye)\b",
    r"\blife (?:has|is|feels|seems) (?:no meaning|no purpose|meaningless|pointless|hopeless|unbearable)\b",
    r"\b(?:want|wish|need) (?:\w+ ){0,2}?to (?:be over|end|stop)\b(?! it| my (?:subscription|trial|contract|order))",
    r"\b(?:standing|sitting|stood) on (?:the|a) (?:roof|bridge|ledge|edge|tracks|rails|balcony)\b",
    r"\bbought (?:a|some|the) (?:rope|gun|razor|razors|blades)\b",
    r"\bi (?:just )?want out\b",
    r"\bfeel like dying\b",
    r"\bi (?:am|feel|m) (?:so |all |completely )?alone\b",
    r"\bhate (?:myself|my life|being me|being alive)\b",
    r"\b(?:cant|cannot|can not) (?:\w+ )?(?:take|do|handle|stand|bear) (?:it|this|any of this|life)(?: any ?more|"
    r" any ?longer)\b",
    r"\b(?:cant|cannot|can not) go on like this\b",
    r"\b(?:im|i am|feel|feeling|ive been|just|only) (?:\w+ )?(?:a|such a|nothing but a)? ?burden\b",
    r"\b(?:im|i am|feel|feeling|i feel) (?:\w+ ){0,2}?(?:worthless|hopeless|useless|empty inside|numb|broken|trapped|"
    r"a failure)\b",
    r"\b(?:no way out|no hope|see no future|no future for me|nothing matters(?: any ?more)?)\b",
    r"\b(?:nobody|no one|noone) (?:is going to |would |will |really |even |ever )*(?:miss me|cares? about me|cares?|"
    r"loves me|need(?:s)? me)\b",
    r"\b(?:want|wish|wanna|need) (?:\w+ ){0,3}?(?:to|could) (?:just )?(?:disappear|vanish|be gone|give up|end it)\b",
    r"\b(?:simpler|easier|better|time|ready|thinking (?:of|about)) (?:to )?(?:just )?(?:end|ending) it\b",
    r"\b(?:want|need|make) (?:\w+ )?(?:the pain|it all|everything|my life|all of this|this pain) (?:to )?(?:stop|end|"
    r"be over)\b",
    r"\b(?:dont|do not) (?:want to|wanna) be here\b",
    r"\b(?:dont|do not) (?:want to|wanna) wake up\b(?= *$)",
    r"\b(?:im|i am) (?:so )?(?:done|finished) with everything\b",
    r"\b(?:whats|what is) the point (?:of|in) (?:anything|it all|going on|trying)\b",
    r"\b(?:pills|rope|razor|blade|the bridge)\b.{0,40}\b(?:in my hand|in front of me|looking at|staring at)\b",
    r"\b(?:this is|its|my last|saying|time to say) goodbye\b(?! (?:party|drinks|to))",
    r"\bi give up\b",
    r"\b(?:everyone|everybody) hates me\b",
    r"\b(?:ich kann nicht mehr|no puedo mas|je nen peux plus|nao aguento mais)\b",
)


def joined(*groups: tuple[str, ...]) -> re.Pattern[str]:
    """Return one expression that finds any of these."""
    # Where a phrase must end, it may also go on as a new clause: commas are not seen here.
    return re.compile("|".join(phrase.replace(" *$", NEXT) for group in groups for phrase in group))

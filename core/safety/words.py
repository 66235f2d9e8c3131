"""WORD LISTS FOR FILTERING: slurs, sexual words, insults. Offensive by nature; here so that the bot never says them.

Own work, made for this filter and for nothing else; small on purpose. Whole words, in the form that folding.py gives
them. Words that are mostly harmless (rooster, dam, fissure, pot) are left out or stand with their company only.
"""

# Against groups of people. A plural or a possessive is found as well.
_SLURS = """
    nigger nigga nigguh niglet sandnigger porchmonkey junglebunny kike kyke heeb chink chinky gook zipperhead
    slanteye spic spick beaner wetback raghead towelhead cameljockey paki muzzie kaffir kaffer coonass darkie darky
    jigaboo pickaninny sambo wop dago polack gyppo pikey squaw halfbreed mongoloid faggot fag fagot faggy tranny
    trannie shemale dyke poofter retard retarded retards spastic spaz libtard kanake kanacke neger schwuchtel
    zigeuner judensau maricon sudaca bougnoule youpin bicot viado frocio
"""
SLURS = frozenset(_SLURS.split())
# Each of these is harmless in this company, on either side.
SLUR_COMPANY = {
    "chink": r"armou?r|in (?:the|his|her|their|my|your|our) (?:armou?r|defen[cs]e)|light|of light|curtains?",
    "spick": r"span",
    "dyke": r"offa|offas|sea|flood|flooding|water|van|dick|dutch|dam|river|land|city|road",
    "retarded": r"growth|fire|flame|development|time|potential|position",
    "fag": r"packet|end|ends|break",
    "spastic": r"colon|paralysis|diplegia|cerebral|muscles?|gait|quadriplegia",
    "squaw": r"valley",
    "paki": r"shanghai",
    "sambo": r"wrestling|combat|martial|wrestler|champion",
    "wop": r"bop|doo",
    "dago": r"san|diego",
    "zigeuner": r"schnitzel|sauce",
    "retard": r"en|du|mon|le|de|ton|votre|sans|timing|spark|ignition|growth|avoir|aucun",
    "polack": r"jackson|hamlet|sledded",
}
# Of sex, in plain words that have no other use; words of anatomy and health are not here.
_SEXUAL = """
    blowjob blowjobs handjob rimjob footjob cumshot cumshots creampie bukkake gangbang deepthroat deepthroating
    fellatio cunnilingus dildo dildos buttplug fleshlight pornhub porn porno pornos pornography pornographic hentai
    milf milfs dilf gilf horny boner boners titties titty tits boobies boobs boob pussies clit jizz jizzed cum
    cumming whore whores slut sluts slutty fuckable fuckbuddy fingerbang motherfucker motherfuckers cunt cunts twat
    wank wanking wanker masturbate masturbating masturbation orgasm orgasms ejaculate ejaculating ejaculation
    threesome threesomes bdsm bondage dominatrix fetish fetishes upskirt camgirl onlyfans nudes sext sexting sexts
    xxx nympho orgy orgies strapon cameltoe doggystyle ficken fickt gefickt fotze muschi wichsen schlampe nutte
    polla follar follarte chupamela verga mamada puta putas salope pute enculer branler foder buceta caralho boquete
"""
SEXUAL = frozenset(_SEXUAL.split())
SEXUAL_COMPANY = {
    "cum": r"laude|magna|summa|grano|bedroom|office|living|kitchen|dining|study",
    "pussies": r"cats?|kittens?",
    "tits": r"blue|great|coal|birds?|feeder|marsh",
    "titty": r"tiki",
    "bondage": r"out of|egypt|slavery|human|slaves?|debt",
    "fetish": r"object|objects|commodity|west african|african|wooden",
    "boner": r"joke|mike",
    "polla": r"futbolera|lotteria",
    "verga": r"giovanni",
    "puta": r"madre",
    "muschi": r"katze",
}
SEXUAL_PHRASES = (
    r"\bsuck(?:ing)? (?:my|your|his|her|a|on my|on your) (?:dick|cock|balls|tits|toes|clit)\b",
    r"\b(?:hard|big|thick|huge|wet|tight|throbbing|juicy|your|my|his) (?:cock|dick|pussy|asshole)\b(?! (?:van|cheney|"
    r"tracy|cat|cats|a doodle))",
    r"\b(?:have|having|had|want|wants|love) (?:hot |rough |some |wild |amazing |passionate )?sex with (?:me|you|him|"
    r"her)\b",
    r"\bfuck(?:ing)? (?:me|you|him|her)(?: so)? (?:hard|harder|good|now|deep|senseless|like|all night|from behind)\b",
    r"\b(?:take|taking|rip|tear) off (?:your|my) (?:clothes|pants|panties|bra|underwear|shirt|dress)\b",
    r"\b(?:send|show) (?:me )?(?:your |some |a )?(?:nudes?|naked (?:pics?|pictures?|photos?)|boobs|tits|dick pics?)\b",
    r"\b(?:sit|sitting) on my (?:face|lap and)\b",
    r"\b(?:touch(?:ing)?|play(?:ing)? with) (?:your|my)self (?:down there|sexually|while|for me|tonight)\b",
    r"\b(?:make|making) love (?:to|with) (?:you|me)\b",
    r"\b(?:im|i am|you are|youre|so|getting|got|makes me|make me) (?:so |very |really )?(?:turned on by you|aroused|"
    r"naked for|hard for you|wet for you)\b",
    r"\b(?:kiss|lick|licking|kissing) (?:your|my) (?:neck|thighs?|breasts?|nipples?|body|ass)\b",
    r"\b(?:want|wanna|would love|id love|like) to (?:sleep with you|get you into bed|see you naked|feel you inside|"
    r"undress you)\b",
)
# Said to somebody. "{you}" is who is meant.
INSULTS = (
    r"(?:idiots?|moron|imbecile|cretin|dumbass|dumb ?fuck|dipshit|shithead|dickhead|asshole|arsehole|bastard|bitch|"
    r"cunt|twat|wanker|prick|"
    r"scum(?:bag)?|loser|piece of (?:shit|crap|trash|garbage|junk)|pile of (?:shit|crap|junk|garbage)|"
    r"waste of (?:space|time|oxygen|air|electricity)|"
    r"stupid|dumb|retard(?:ed)?|useless|worthless|pathetic|braindead|brain dead|moronic|idiotic|garbage|trash|a joke|"
    r"a disgrace|"
    r"disgusting|an? (?:embarrassment|failure)|dumb as (?:a|an) \w+|shit|crap|clown|fool|jerk|motherfucker|fucker|"
    r"dumbo|knob|tosser|numpty)"
)

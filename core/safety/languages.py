"""The commonest phrases of self-harm in German, Spanish, French, Portuguese, Italian, Dutch. See phrases.py; own work.

A denial in these languages mostly breaks the phrase apart, so little is looked for before it.
"""

OTHER_LANGUAGES = (
    # German
    r"\bich (?:will|mochte|mocht|wollte|wurde|moechte) (?:\w+ ){0,2}?(?:(?<!nicht )sterben|tot sein|"
    r"nicht mehr (?:leben|da sein|hier sein|aufwachen|existieren|weiterleben))\b",
    r"\b(?:will|mochte|moechte|wollte) (?:einfach |nur |am liebsten )*(?:sterben|tot sein|nicht mehr leben|"
    r"nicht mehr aufwachen)\b",
    r"\b(?:mich|mir) (?:\w+ ){0,2}?(?:umbringen|umzubringen|das leben nehmen|das leben zu nehmen|toten|erhangen|"
    r"erhaengen|die pulsadern)\b",
    r"\bich (?:bring|bringe|brachte) mich (?:\w+ ){0,2}?(?<!nicht )um\b",
    r"\bich (?:hab|habe|denke|hatte|bin|fuhle mich|fuehle mich) (?:\w+ ){0,4}?(?:selbstmord\w*|suizid\w*|lebensmude|"
    r"lebensmuede)\b",
    r"\b(?:selbstmordgedanken|suizidgedanken)\b(?= *$| und| seit| wieder)",
    r"\b(?:ich ware|ich waere|war ich doch|ware ich doch|ich wunschte ich ware|"
    r"ich wollte ich ware) (?:\w+ ){0,3}?(?:tot|nie geboren)\b",
    r"\b(?:mein leben hat|das leben hat|alles hat|sehe) kein(?:en)? sinn mehr\b",
    r"\b(?:ich (?:ritze|schneide|verletze|ritz) mich|mich (?:\w+ )?(?:zu )?(?:ritzen|selbst verletzen|"
    r"selbst zu verletzen))\b(?! beim)",
    # Spanish
    r"\b(?:quiero|quisiera|me quiero|ganas de|deseo|solo quiero|prefiero) (?:morir(?:me)?|matar(?:me)|suicidarme|"
    r"estar muert[oa]|desaparecer para siempre|dejar de (?:vivir|existir))\b(?! de (?:risa|viej))",
    r"\b(?:me (?:quiero|voy a|quisiera) (?:matar|suicidar)|voy a matarme|voy a suicidarme|pienso en (?:suicidarme|"
    r"matarme|"
    r"el suicidio)|intente suicidarme)\b",
    r"\b(?:quitarme|quitar) la vida\b",
    r"\bno quiero (?:seguir )?(?:vivir|viviendo|existir|despertar(?:me)? (?:nunca )?mas|estar viv[oa])\b(?! (?:aqui|"
    r"en|con|asi contigo))",
    r"\b(?:pensamientos suicidas|ideas suicidas)\b",
    r"\b(?:mejor|ojala estuviera|quisiera estar|desearia estar) muert[oa]\b",
    r"\bno vale la pena (?:seguir )?(?:vivir|viviendo)\b",
    r"\b(?:cortarme las venas|me corto (?:las venas|los brazos|la piel|a proposito)|me autolesiono|autolesionarme|"
    r"hacerme dano a mi mism[oa])\b",
    # French
    r"\b(?:je (?:veux|voudrais|vais|souhaite|prefere|prefererais)|jai envie de|envie de|jaimerais|"
    r"javais envie de) (?:\w+ )?(?:mourir|me tuer|me suicider|crever|en finir|mourrir|etre morte?|"
    r"disparaitre pour toujours)\b(?! de (?:rire|faim|soif|honte|chaud))",
    r"\b(?:me suicider|me donner la mort|mettre fin a mes jours|en finir avec (?:la|ma) vie|me foutre en lair)\b",
    r"\b(?:ne veux|veux|ne souhaite|nai|ai|jai) plus (?:envie de )?(?:vivre|etre en vie|exister)\b",
    r"\bje pense (?:souvent |toujours |beaucoup )?(?:au suicide|a (?:me tuer|mourir|en finir))\b|\b(?:idees|"
    r"pensees) (?:suicidaires|noires et)\b",
    r"\b(?:je (?:me (?:scarifie|mutile|taillade|fais du mal))|me scarifier|me mutiler|me faire du mal)\b",
    # Portuguese
    r"\b(?:quero|queria|vou|so quero|vontade de|penso em|pensando em|prefiro) (?:\w+ )?(?:morrer|me matar|"
    r"me suicidar|estar morto|estar morta|sumir para sempre|sumir pra sempre)\b(?! de (?:rir|tanto|fome|calor))",
    r"\b(?:tirar|acabar com|por fim a) (?:a )?minha (?:propria )?vida\b",
    r"\bnao (?:quero|aguento|consigo) (?:mais )?(?:viver|estar viv[oa]|existir)(?: mais)?(?= *$| mais| assim)",
    r"\b(?:pensamentos|ideias) suicidas\b",
    r"\b(?:eu me corto|me cortar de novo|cortar meus pulsos|me automutilo|me automutilar)\b",
    # Italian, Dutch
    r"\b(?:voglio|vorrei|ho voglia di) (?:solo |soltanto )?(?:morire|uccidermi|ammazzarmi|suicidarmi|farla finita|"
    r"togliermi la vita)\b(?! dal ridere)",
    r"\bnon (?:voglio|ho piu voglia di) (?:piu )?vivere\b",
    r"\bik (?:wil|wou) (?:\w+ ){0,2}?(?:dood|niet meer leven|sterven|zelfmoord plegen)\b",
    r"\b(?:zelfmoord plegen|mezelf van kant|mezelf iets aan)\b",
)

"""German: the plainest of each kind. Text is folded: no umlauts, `ss` for sharp s; both `ue` and `u` are met."""

# ruff: noqa: E501  # a pattern broken over many lines is no easier to read

from __future__ import annotations

from guards.content.rules.rule import (
    HARASS,
    HATE,
    HATE_THREAT,
    ILLICIT,
    INTENT,
    METHOD,
    PROFANITY,
    SELF_HARM,
    SEXUAL,
    THREAT,
    TOXICITY,
    VIOLENCE,
    WEAPONS,
    Rule,
    either,
    words,
)

_GROUP = either(
    r"ausla(?:e)?nder|muslime|juden|schwulen?|schwule|lesben|flu(?:e)?chtlinge|asylanten|migranten|turken|tuerken|araber"
    r"|afrikaner|schwarzen?|zigeuner|polen|russen|frauen|behinderten?|transen|homosexuellen?|einwanderer|chinesen"
)
_INSULT = either(
    r"idiot(?:en)?|vollidiot(?:en)?|arschloch|arschlocher|trottel|depp(?:en)?|spast(?:i|en)?|blodmann|dummkopf|versager"
    r"|missgeburt|hurensohn|wichser|schlampe|drecksau|dreckskerl|mistkerl|penner|abschaum|fotze|arschgeige|hackfresse"
    r"|bloede? kuh|blode kuh|dumme (?:kuh|sau|gans)|nichtsnutz|loser|opfer|mongo|schwachkopf|stuck (?:scheisse|dreck)"
)
_PERSON = r"(?:dich|ihn|sie|euch|ihnen|jemanden|meine[nmr]? (?:\w+)|deine[nmr]? (?:\w+)|alle|menschen|leute|einen menschen|den kerl)"
_KILL = either(
    r"umbringen|umzubringen|toten|toeten|zu toten|zu toeten|abstechen|erschiessen|ermorden|erstechen|erwurgen|vergiften"
    r"|verprugeln|verpruegeln|zusammenschlagen|abknallen|kaltmachen|totschlagen|anzunden|fertigmachen|aufschlitzen|kalt machen"
)
_NOT_MEANT = r"\b(?:spiel|prozess|thread|roman|geschichte|film|schach|game|level|server|verhindern|krimi)\b"

RULES: tuple[Rule, ...] = (
    Rule(
        words(
            "scheisse scheiss~ beschissen~ arschloch arschlocher wichser hurensohn fotze fotzen verfickt~ gefickt kacke arsch arschgeige drecksau"
        )
        + r"|\b(?:fick dich|fickt euch|leck mich(?: am arsch)?|verpiss dich)\b",
        {PROFANITY: 0.85, TOXICITY: 0.45},
    ),
    Rule(words("verdammt~ mist verflucht~"), {PROFANITY: 0.25}),
    Rule(
        rf"\bdu (?:bist |warst |siehst aus wie )?(?:so |echt |wirklich |nur |doch |einfach |ein |eine |der |die |totaler? |kleiner? |fetter? |dreckiger? |dummer? |blo(?:e)?der? |verdammter? |elender? |das )*{_INSULT}\b|\b{_INSULT},? du\b",
        {TOXICITY: 0.85, HARASS: 0.75},
        unless=r"\bdu bist (?:kein|nicht)\b",
    ),
    Rule(
        r"\bdu bist (?:so |echt |einfach |total |viel zu |wirklich )*(?:dumm|blod|bloed|hasslich|haesslich|wertlos|ekelhaft|widerlich|erbarmlich|nutzlos|fett|hirnlos|peinlich)\b|\b(?:halt(?:'?s)?|halte) (?:die |dein |deine |endlich )*(?:maul|fresse|klappe|schnauze)\b|\b(?:fick dich|verpiss dich|verrecke|niemand mag dich|keiner mag dich|alle hassen dich|ich hasse dich|du widerst mich an)\b|\bdeine mutter ist\b",
        {TOXICITY: 0.75, HARASS: 0.7},
        unless=r"\bnicht (?:dumm|so)\b",
    ),
    Rule(
        rf"\b{_INSULT}\b",
        {TOXICITY: 0.35, HARASS: 0.2},
        unless=r"\b(?:opfer (?:von|des|der)|idiotensicher|verkehrsopfer)\b|\bopfer\b",
    ),
    Rule(
        rf"\b{_GROUP} raus\b|\b{_GROUP} sind (?:alle |nur |doch |einfach |ja |so |faule |alles )*(?:abschaum|dreck|untermenschen|parasiten|ungeziefer|tiere|kriminell\w*|verbrecher|schmarotzer|dumm|faul|krank|pest|eine plage|minderwertig|terroristen|vergewaltiger|ekelhaft|abartig|pervers\w*|schweine|affen)\b|\b(?:dreckige?|scheiss|drecks|verdammte|faule|stinkende) ?-?{_GROUP}\b|\bich hasse (?:alle |diese |die )*{_GROUP}\b",
        {HATE: 0.85, TOXICITY: 0.7},
        unless=r"\b(?:vorurteil|rassis|klischee|behauptung|falsch|propaganda|nazis?|demonstr|museum|parole|skandier)",
    ),
    Rule(
        rf"\b{_GROUP} (?:gehoren|gehoeren|sollte man|sollten|mussen|muessen|soll man) (?:\w+ ){{0,2}}(?:vergast|erschossen|abgeschoben|verbrannt|ausgerottet|umgebracht|weg|vernichtet|eingesperrt|gehangt)\b|\b(?:juden|ihr) (?:ins gas|vergasen)\b|\b(?:sieg heil|heil hitler)\b",
        {HATE: 0.85, HATE_THREAT: 0.8, VIOLENCE: 0.6},
        unless=r"\b(?:nazis?|museum|geschichte|verboten|strafbar|19\d\d|wurden)\b",
    ),
    Rule(
        rf"\b(?:ich|wir) (?:werde|werden|will|wollen|mochte|moechte|bring|bringe|mach|mache|schlag|schlage|stech|steche|konnte|koennte)(?: \w+)?? {_PERSON}(?: \w+){{0,3}}? (?:{_KILL}|um|ab|kalt|tot|krankenhausreif|zusammen)\b|\bdu bist (?:so gut wie )?tot\b|\bich weiss,? wo du wohnst\b|\bich mach dich (?:fertig|kalt|platt)\b",
        {VIOLENCE: 0.85, THREAT: 0.8},
        unless=rf"{_NOT_MEANT}|\b(?:bring|bringe|mach|mache) \w+ (?:\w+ )?(?:mit|zum lachen)|\b(?:ruf|hol|stimm|wart|lenk|frag)\w* \w+ ab\b",
    ),
    Rule(
        rf"\bwie (?:kann|konnte|koennte|soll|kann man|bringe|bring|tote|toete|vergifte)(?: \w+){{0,5}}? (?:{_KILL}|um)\b",
        {VIOLENCE: 0.7, ILLICIT: 0.55},
        unless=rf"{_NOT_MEANT}|\b(?:geht|handelt|kummer|kuemmer)\w* es\b|\bum (?:zu|die|den|das|ein|\w+ zu)\b",
    ),
    Rule(
        r"\bich (?:will|mochte|moechte|wollte|wunschte|wuenschte|werde)(?: \w+){0,4} (?:sterben|nicht mehr leben|mich umbringen|umbringen|tot sein|tot|selbstmord begehen|mein leben beenden|nicht mehr (?:da|hier) sein|schluss machen mit (?:allem|meinem leben))\b|\b(?:mich umbringen|mir das leben nehmen|mir die pulsadern|ritze mich|mich ritzen|ich ritze|mich erhangen|ich bin suizidal|suizidgedanken|lebensmude)\b",
        {SELF_HARM: 0.75, INTENT: 0.75},
        unless=r"\b(?:hilfe fur|telefonseelsorge|vorbeugung|pravention|praevention|statistik|dich|ihn|sie umbringen|vor lachen)\b",
    ),
    Rule(
        r"\b(?:bring dich um|hang dich auf|haeng dich auf|erhang dich|geh sterben|stirb endlich|bringt euch um)\b",
        {HARASS: 0.8, SELF_HARM: 0.7, TOXICITY: 0.8},
    ),
    Rule(
        r"\b(?:wie|methoden?|schmerzlos\w*)\b.{0,50}\b(?:selbstmord|suizid|mich (?:schmerzlos )?(?:umbringen|toten|erhangen)|schmerzlos sterben|mir das leben)\b|\bwie viele (?:tabletten|pillen)\b.{0,40}\b(?:sterben|todlich|toedlich|umzubringen)\b",
        {SELF_HARM: 0.8, METHOD: 0.8},
        unless=r"\b(?:pravention|praevention|verhindern|helfen|hilfe|statistik|vorbeugen)\b",
    ),
    Rule(
        r"\b(?:fick mich|fick(?:en|st)? (?:mich|dich|sie|ihn)|lutsch (?:meinen|mir)|blas mir|porno\w*|nacktbilder|nacktfotos|titten|muschi lecken|schwanz lutschen|sexgeschichte|geile (?:schlampe|sau|titten)|wichs\w*|erotische geschichte|mit (?:mir|dir) schlafen|ich bin (?:so )?geil auf)\b",
        {SEXUAL: 0.75},
        unless=r"\b(?:sperr|filter|jugendschutz|beratung|sucht|studie|aufklarung)\w*\b",
    ),
    Rule(
        r"\b(?:wie|anleitung|rezept|zeig mir|erklar mir|erklaer mir|kannst du mir)\b.{0,60}\b(?:bombe|rohrbombe|sprengsatz|sprengstoff|molotow\w*|giftgas|schalldampfer|handgranate)\b",
        {ILLICIT: 0.8, WEAPONS: 0.85},
        unless=r"\b(?:entscharf\w*|badebombe\w*|verhindern|schutz\w*|erkennen|polizei|museum|krieg|geschichte|weltkrieg)\b",
    ),
    Rule(
        r"\b(?:wie|wo|anleitung|rezept|zeig mir)\b.{0,50}\b(?:(?:kokain|heroin|meth|crystal|drogen|falschgeld|gefalschte\w*|falsche\w* (?:pass|ausweis|papiere)\w*|ransomware|schadsoftware|phishing-?\w*)\b.{0,30}\b(?:kaufen|herstellen|kochen|bestellen|machen|verkaufen|schreiben|programmieren|drucken|bekomme|bekommen|schmuggeln|her)|(?:kauf\w*|koch\w*|bestell\w*|stell\w*|druck\w*|schreib\w*|bekomm\w*|schmuggl\w*|mach\w*) (?:\w+ ){0,3}(?:kokain|heroin|meth|crystal meth|drogen|falschgeld|falsche\w* ausweis\w*|ransomware|gefalschte \w+))\b|\bwie (?:kann ich|knacke ich|hacke ich|stehle ich|klaue ich|breche ich)(?: \w+){0,5} (?:hacken|stehlen|klauen|knacken|einbrechen|auto|konto|whatsapp|wlan|bank|geld waschen|betrugen)\b",
        {ILLICIT: 0.7},
        unless=r"\b(?:schutz\w*|verhindern|erkennen|vorbeugen|therapie|sucht\w*|polizei|mein eigenes|wirken|wirkt)\b",
    ),
)

"""French: the plainest of each kind. Text is folded: no accents, no cedilla."""

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
    r"arabes?|juifs?|noirs?|musulmans?|homosexuels?|immigres|migrants|refugies|etrangers|gitans|roms|femmes|africains"
    r"|chinois|gays|lesbiennes|handicapes|trans|asiatiques|catholiques|chretiens"
)
_INSULT = either(
    r"(?:gros|sale|pauvre|petit|espece de|vieux|grosse|petite|vieille) (?:con|conne|merde|pute|chien|batard|idiot|debile|porc|truie|cretin|vache|minable)"
    r"|connards?|connasses?|salopes?|salauds?|encules?|batards?|fils de pute|abrutie?s?|cretins?|debiles?|imbeciles?|tocards?"
    r"|trou du cul|ordures?|minables?|grognasse|bouffon|idiote?s?|raclure|dechet|bon a rien|pouffiasse|merdeux|sous-merde"
)
_KILL = r"(?:tuer|buter|crever|frapper|egorger|poignarder|massacrer|eclater|defoncer|etrangler|abattre|demolir|saigner|empoisonner|assassiner|casser la gueule|bruler|fumer|tabasser)"
_NOT_MEANT = (
    r"\b(?:jeu|processus|roman|histoire|film|echecs|niveau|serveur|partie|temps|moustiques?|cafards?|personnage)\b"
)

RULES: tuple[Rule, ...] = (
    Rule(
        words("merde putain connard connasse salope salaud encul~ foutre couilles chier bordel pute")
        + r"|\b(?:fils de pute|nique (?:ta|sa|ton|toi|la|les)|va te faire (?:foutre|enculer|voir)|ta gueule|trou du cul|casse les couilles|je m'en fous)\b",
        {PROFANITY: 0.85, TOXICITY: 0.4},
    ),
    Rule(
        rf"\b(?:tu es|t'es|vous etes|tu n'es|espece d[e']|tu restes|quelle?|bande de) ?(?:qu'un |qu'une |vraiment |qu' |un |une |de |des |trop |tellement |si |juste |le |la )*(?:{_INSULT}|con|conne|nul|nulle|stupide|moche|pathetique|degoutante?|inutile|laid|laide|grosse|minable)\b",
        {TOXICITY: 0.8, HARASS: 0.75},
        unless=r"\bpas (?:un|une|si|stupide|nul|con|bete)\b",
    ),
    Rule(
        r"\b(?:ferme(?:-la| ta gueule| ta bouche)|ta gueule|va te faire (?:foutre|enculer)|nique ta (?:mere|race)|va mourir|creve(?:,| |!|$)|personne ne t'aime|tout le monde te deteste|je te (?:hais|deteste)|tu me degoutes|tu devrais avoir honte d'exister)",
        {TOXICITY: 0.75, HARASS: 0.7},
        unless=r"\bcreve de\b|\bpneu\b",
    ),
    Rule(
        rf"\b{_INSULT}\b",
        {TOXICITY: 0.4, HARASS: 0.25},
        unless=r"\bordures? menageres?\b|\bdechets?\b|\bordures?\b|\bl'idiot\b",
    ),
    Rule(
        rf"\b(?:les |tous les |ces |sales? |tous ces ){{1,2}}{_GROUP} (?:sont|c'est) (?:tous |toutes |que |des |de la |rien que |vraiment |de |une |un |la )*(?:animaux|vermine|parasites|voleurs|criminels|terroristes|racaille|sous-hommes|merde|cafards|rats|singes|inferieur\w*|faineants|porcs|malades|peste|cancer|violeurs|sales|racailles|stupides|degoutants)\b|\bsales? {_GROUP}\b|\b(?:les |tous les ){_GROUP} dehors\b|\bmort aux {_GROUP}\b|\bje (?:hais|deteste) (?:tous |toutes )?(?:les|ces) {_GROUP}\b|\b(?:sale negre|bougnoules?|youpins?|sale pede|sales pedes|tarlouze|bamboula)\b",
        {HATE: 0.85, TOXICITY: 0.7},
        unless=r"\b(?:racis\w*|prejuge\w*|stereotype\w*|faux|cliche|propagande|eau|linge|nazis?)\b",
    ),
    Rule(
        rf"\b(?:il faut|faut|on devrait|on doit|ils devraient|devraient)(?: \w+){{0,3}} (?:tuer|exterminer|expulser|gazer|bruler|eliminer|pendre|etre (?:tues|expulses|extermines|gazes)) (?:tous |toutes )?(?:les |ces )?{_GROUP}\b",
        {HATE: 0.85, HATE_THREAT: 0.8, VIOLENCE: 0.6},
        unless=r"\b(?:nazis?|histoire|19\d\d|racis\w*)\b",
    ),
    Rule(
        rf"\b(?:je vais|je veux|j'ai envie de|on va|je compte|j'aimerais|je voudrais)(?: \w+)?? (?:te |vous |le |la |les |lui |leur |l')?(?:\w+ )?{_KILL}\b|\btu es (?:un homme )?mort\b|\bt'es mort\b|\bje sais ou tu (?:habites|vis)\b|\btu vas (?:crever|mourir|le payer|saigner)\b",
        {VIOLENCE: 0.85, THREAT: 0.8},
        unless=rf"{_NOT_MEANT}|\b(?:bruler (?:un|des|le|mes|les|de l'|de la|du|une)|fumer (?:une?|des|du|moins)|crever de|abattre (?:un|le|les|cet|une) (?:arbre|mur|cloison)\w*|moi le (?:dire|temps))\b|\bme (?:tuer|crever|buter)\b",
    ),
    Rule(
        r"\bcomment (?:\w+ ){0,2}(?:tuer|empoisonner|assassiner|poignarder|etrangler|frapper|torturer) (?:quelqu'un|ma|mon|mes|une personne|un homme|une femme|sa|son|un enfant|les gens|le|la)\b",
        {VIOLENCE: 0.75, ILLICIT: 0.6},
        unless=rf"{_NOT_MEANT}|\b(?:eviter|empecher)\b",
    ),
    Rule(
        r"\b(?:je veux|j'ai envie de|je voudrais|j'aimerais|je vais|je pense a|envie d')(?: \w+)?? ?(?:mourir|en finir|me tuer|me suicider|me pendre|disparaitre|me faire du mal|ne plus vivre|ne plus exister|mettre fin a mes jours)\b|\b(?:me suicider|me tuer|me scarifier|me scarifie|mettre fin a mes jours|je ne veux plus vivre|je veux plus vivre|idees suicidaires|m'ouvrir les veines|me taillader)\b",
        {SELF_HARM: 0.75, INTENT: 0.75},
        unless=r"\b(?:prevention|numero d'aide|ecoute|statistiques?|soutien|de rire)\b",
    ),
    Rule(
        r"\b(?:suicide-toi|va te pendre|va te tuer|tue-toi|pends-toi|va crever|va te jeter)\b",
        {HARASS: 0.8, SELF_HARM: 0.7, TOXICITY: 0.8},
    ),
    Rule(
        r"\b(?:comment|methodes?|moyen|combien de)\b.{0,50}\b(?:me suicider|se suicider|mourir sans (?:douleur|souffrir)|me tuer|(?:pour|de) mourir|suicide|me pendre|overdose)\b",
        {SELF_HARM: 0.8, METHOD: 0.75},
        unless=r"\b(?:prevenir|prevention|aider|empecher|eviter|soutenir|parler|statistiques?)\b",
    ),
    Rule(
        r"\b(?:suce[- ](?:moi|ma)|baise(?:r|[- ]moi)|porno\w*|photos? (?:nue?s?|de toi nue?)|histoire (?:erotique|porno|de sexe)|ma bite|ta chatte|ta bite|ma chatte|gros seins|enculer|branle\w*|coucher avec (?:moi|toi)|me deshabiller|deshabille[- ]toi|nudes|sodomi\w+|fellation)\b",
        {SEXUAL: 0.75},
        unless=r"\b(?:filtre\w*|bloquer|education|sante|prevention|etude|va te faire)\b",
    ),
    Rule(
        r"\b(?:comment|recette|explique\w*|montre\w*|tutoriel|instructions)\b.{0,50}\b(?:bombes?|explosifs?|cocktail molotov|gaz (?:toxique|sarin)|detonateur|silencieux)\b",
        {ILLICIT: 0.8, WEAPONS: 0.85},
        unless=r"\b(?:desamorcer|bain|prevenir|proteger|detecter|histoire|guerre|demineur|peinture|aerosol)\b",
    ),
    Rule(
        r"\b(?:comment|ou|recette|montre\w*|je veux)\b.{0,40}\b(?:acheter|fabriquer|vendre|cuisiner|produire|faire|commander|trouver|obtenir|ecrire|imprimer|passer) (?:\w+ |de la |du |de l'|d'|des ){0,3}(?:cocaine|heroine|methamphetamine|meth|drogues?|ecstasy|fausse monnaie|faux (?:billets|papiers|passeports?)|rancongiciel|ransomware|logiciel malveillant|fausse carte)\b|\bcomment (?:\w+ ){0,2}(?:pirater|voler|cambrioler|blanchir|braquer|escroquer|espionner|hacker|frauder) (?:\w+ |l'){0,3}(?:compte|voiture|banque|argent|maison|telephone|wifi|whatsapp|femme|mari|instagram|gens|voisins?|facebook|magasin|fisc|impots)\b",
        {ILLICIT: 0.7},
        unless=r"\b(?:prevenir|proteger|eviter|detecter|empecher|contre|desintox\w*|aider|police)\b",
    ),
)

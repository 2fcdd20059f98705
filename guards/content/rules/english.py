"""English: rude words, insults, hate. Words that nobody should have to read by accident are written in ROT13."""

# ruff: noqa: E501  # a pattern broken over many lines is no easier to read

from __future__ import annotations

import codecs

from guards.content.rules.rule import (
    HARASS,
    HATE,
    HATE_THREAT,
    PROFANITY,
    SELF_HARM,
    TOXICITY,
    VIOLENCE,
    Rule,
    either,
    word,
    words,
)

# --- profanity ---

_STRONG = words(
    "fuck~ motherfuck~ shit shitty shithead shitshow bullshit horseshit asshole arsehole bitch~ cunt~ dickhead"
    " cocksuck~ twat wanker bollocks bastard dumbass jackass douchebag shithole fucktard clusterfuck fck fuk fcking"
)
_MILD = words("damn damned goddamn crap crappy arse wtf stfu bugger piss pissed lmfao ffs effing freaking")
_BODY = r"\b(?:kiss my|kick your|your|my|dumb|fat|lazy|sorry|bad|big) ass\b|\bass ?hat\b|\bsuck (?:my|a|his) (?:dick|cock|balls)\b"
_PRICK = r"\b(?:you|a|an?|that|little|complete|arrogant|such a) (?:prick|dick|tosser|bellend)\b"

# --- insults ---

_NOUN = either(
    r"idiots?|morons?|imbeciles?|losers?|retards?|scum(?:bag)?s?|dimwits?|half-?wits?|nit-?wits?|cretins?|degenerates?"
    r"|freaks?|creeps?|dumb(?:ass|fuck|o)e?s?|wankers?|bastards?|ass?holes?|arseholes?|bitch(?:es)?|dickheads?|cunts?"
    r"|whores?|sluts?|skanks?|twats?|pricks?|douche(?:bag)?s?|jackass(?:es)?|vermin|parasites?|sub-?humans?|trash|garbage|filth"
    r"|piece of (?:shit|crap|garbage|trash|filth|work)|waste of (?:space|oxygen|skin|air|life)|son of a bitch|clowns?|jerks?"
    r"|pigs?|cows?|rats?|snakes?|pests?|disgrace|failures?|joke|nobody|nothing|weirdos?|lowlifes?|bitch|mistake|coward|liar"
)
_HARD_NOUN = either(
    r"idiots?|morons?|imbeciles?|losers?|retards?|scum(?:bag)?s?|dimwits?|half-?wits?|nit-?wits?|cretins?|degenerates?"
    r"|dumbass(?:es)?|wankers?|bastards?|assholes?|arseholes?|bitch(?:es)?|dickheads?|cunts?|whores?|sluts?|skanks?|twats?"
    r"|douchebags?|jackass(?:es)?|vermin|sub-?humans?|piece of (?:shit|crap|garbage|trash|filth)|lowlifes?"
    r"|waste of (?:space|oxygen|skin|air)|son of a bitch"
)
_ADJECTIVE = either(
    r"stupid|dumb|ugly|worthless|pathetic|useless|disgusting|brainless|repulsive|revolting|fat|hideous|moronic|idiotic"
    r"|retarded|vile|gross|braindead|spineless|insufferable|unlovable|incompetent|clueless|ignorant|filthy|sick in the head"
)
_BEST = r"(?:(?:dumb|stupid|ugli|fatt?|lazi|nasti|mean|weak|slow|dim|crazi)est|worst|most (?:stupid|pathetic|useless|worthless|disgusting|annoying|hated|idiotic|incompetent|ignorant|boring))"
_CREATURE = r"(?:worm|creep|maggot|rat|snake|freak|clown|pig|cow|dog|muppet|monster|coward|toad|leech|parasite|slug|donkey|goblin|troll|psycho|lunatic|weirdo|liar|brat|peasant|animal|nobody)"
_VERY = r"(?:so|such|really|very|just|too|all|truly|absolutely|totally|completely|utterly|fucking|bloody|damn|freaking|a|an|the|as|nothing but|one|most|biggest|complete|total|utter|little|big|fat|old|lazy|lying|filthy|dirty|real|f[*]+ing|[a-z]{2,9}ing)"
_YOU_ARE = (
    r"\b(?:you|u|y'?all|you guys|you people)(?: are| were| r|'re|re| look| sound|'ve always been| will always be)"
)
_NOT = r"\b(?:you|u) (?:are not|aren't|were not|weren't)\b|\byou're not\b|\bnot (?:a|an|that|so)\b|\bnever\b|\bdon't (?:feel|think|look)\b"
_QUOTED = r"\b(?:called me|calls me|call me|said i|says i|saying i|told me i|feel like|felt like|as if)\b"

# --- people ---

GROUP = either(
    r"jews|jewish people|muslims|islam|christians|catholics|hindus|sikhs|arabs|blacks|black people|black (?:men|women|kids)"
    r"|white people|whites|asians|asian people|chinese people|chinese|mexicans|latinos|hispanics|indians|pakistanis"
    r"|africans|immigrants|migrants|refugees|asylum seekers|foreigners|gays|gay people|gay men|homosexuals|lesbians|queers"
    r"|trans people|trans women|trans men|transgender people|transgenders|women|females|disabled people|the disabled"
    r"|autistic people|gypsies|roma|romani people|turks|poles|russians|ukrainians|italians|irish people|atheists|old people"
    r"|fat people|poor people|homeless people|bisexuals|nonbinary people|native americans|aboriginals|jew|muslim|gay"
)
_LOW = either(
    r"animals|vermin|rats|cockroaches|parasites|sub-?human|inferior|savages|filth|scum|trash|garbage|a disease|a plague"
    r"|a cancer|criminals|thieves|rapists|terrorists|evil|disgusting|lazy|stupid|dirty|dumb|worthless|monkeys|apes|pigs"
    r"|dogs|liars|greedy|less intelligent|not (?:human|people|really human)|mentally ill|abominations?|unnatural|sick"
    r"|perverts|groomers|p(?:a)?edophiles|leeches|invaders|a burden|disgust(?:s)? me|barbarians|sinners|cheap|idiots|losers"
    r"|weak|too emotional|property|objects|whores|sluts|bitches|retards|freaks|useless|the problem|ruining (?:this|our) country"
)
_SO = r"(?:all |a |an |just |nothing but |a bunch of |basically |really |the |fucking |like |such |simply |naturally |by nature |always |so |a race of |mostly |lazy |dirty |filthy |and |genetically |too )*"
_ABOUT_HATE = (
    r"\b(?:stereotypes?|myths?|claim(?:s|ed)?|false|racist|racism|sexist|prejudice|not true|isn't true|untrue|wrong to"
    r"|propaganda|nazis?|hitler|portray(?:s|ed)|discriminat|debunk|why do (?:some )?people|hate speech|bigot|history of"
    r"|people who (?:say|think)|no evidence|study|survey|misconception|offensive|moderat(?:e|ion)|classif(?:y|ier))"
)
HISTORY = r"\b(?:nazis?|holocaust|genocide|museum|history|historian|hitler|in 1[89]\d\d|were|was|tried to|regime|crusades|war crimes?|pogroms?)\b"

_SLURS = codecs.decode(
    "avttre avttref avttn avttnf avtn snttbg snttbgf snt xvxr xvxrf fcvp fcvpf puvax puvaxf tbbx tbbxf jrgonpx jrgonpxf"
    " enturnq enturnqf genaavr genaavrf gnetryurnq pbba wvtnobb cnxv cnxvf tlccb fnaqavttre orenre furznyr",
    "rot13",
)

RULES: tuple[Rule, ...] = (
    Rule(_STRONG, {PROFANITY: 0.9, TOXICITY: 0.45}),
    Rule(_MILD, {PROFANITY: 0.35, TOXICITY: 0.15}),
    Rule(_BODY, {PROFANITY: 0.6, TOXICITY: 0.4}),
    Rule(
        _PRICK,
        {PROFANITY: 0.6, TOXICITY: 0.6, HARASS: 0.4},
        unless=r"\b(?:dick (?:van|grayson|tracy|cheney)|prick (?:of|your finger))",
    ),
    # insults
    Rule(
        rf"{_YOU_ARE}(?: {_VERY}){{0,4}} (?:{_NOUN}|{_ADJECTIVE})\b",
        {TOXICITY: 0.85, HARASS: 0.75},
        unless=f"{_NOT}|{_QUOTED}",
    ),
    Rule(
        rf"\b(?:you|u)(?: {_VERY}| {_ADJECTIVE}){{0,3}} {_HARD_NOUN}\b",
        {TOXICITY: 0.85, HARASS: 0.7},
        unless=f"{_NOT}|{_QUOTED}",
    ),
    Rule(
        rf"\b{_ADJECTIVE} (?:little |old |fat |fucking |lying )?(?:{_HARD_NOUN}|people like you|freak|pig|cow|clown|creature)\b",
        {TOXICITY: 0.75, HARASS: 0.45},
    ),
    Rule(
        rf"\b(?:he|she|they|everyone|this (?:guy|man|woman)|that (?:guy|man|woman)|your (?:mother|mom|mum|wife|sister|father|brother|family|friends?)|my (?:boss|neighbou?r|teacher|ex|manager)|[a-z]{{3,12}})(?: is| are|'s|'re)(?: {_VERY}){{1,4}} {_HARD_NOUN}\b",
        {TOXICITY: 0.6, HARASS: 0.5},
        unless=_QUOTED,
    ),
    Rule(
        rf"\b(?:you|u)(?: are|'re| r) (?:really |just |probably |honestly |by far )*(?:the |one of the )?{_BEST}\b|\b(?:are|r) (?:you|u) (?:so |really |too |that |always so |just )+(?:{_ADJECTIVE}|lazy|slow)\b|\bas (?:{_ADJECTIVE}|lazy|slow) as you\b|\b(?:{_HARD_NOUN}|filth|trash|scum|creatures?|losers) like you\b",
        {TOXICITY: 0.75, HARASS: 0.7},
        unless=_NOT,
    ),
    Rule(
        rf"\b(?:listen|hey|look|ok|okay|hi|bye|well|sorry|yes|no|wrong|shut up|get out|nice try|congrats),? (?:up,? )?(?:you )?{_HARD_NOUN}\b|\byou(?: {_VERY}| {_ADJECTIVE}){{0,2}} {_CREATURE}(?:[.!,?\n]|$)|\b(?:pig|cow|loser|moron|idiot|creep|freak|clown|worm|fatty|fatso)[.!?]*$",
        {TOXICITY: 0.6, HARASS: 0.55},
        unless=rf"{_NOT}|{_QUOTED}|\b(?:guinea|the|a|an) (?:pig|cow|worm|clown|idiot|moron|loser|freak)",
    ),
    Rule(
        r"\bcrawl back (?:in|under|to)|\byou (?:should|ought to) be ashamed (?:to (?:exist|live|be alive|show)|of existing)|\b(?:makes?|making) me (?:want to |wanna )?(?:throw up|puke|vomit|sick)\b.{0,10}(?:[.!]|$)|\b(?:nobody|no one|noone|we|everyone here)(?: \w+){0,4} (?:can'?t|cannot|can) stand you\b|\bget (?:the (?:hell|fuck) )?out of my (?:sight|face)\b|\bnobody (?:asked|wants) (?:you|your opinion)",
        {TOXICITY: 0.65, HARASS: 0.65},
        unless=r"\b(?:food|smell|boat|car sick|bus|medicine|pills|motion|i eat|smells)\b",
    ),
    Rule(
        r"\byour (?:stupid|ugly|dumb|fat|worthless|pathetic|disgusting|fucking) (?:face|mother|mom|mum|brain|head|mouth|opinion|family|country|ass|little)\b",
        {TOXICITY: 0.8, HARASS: 0.65},
    ),
    Rule(
        rf"\b{_HARD_NOUN}\b",
        {TOXICITY: 0.35, HARASS: 0.2},
        unless=r"\b(?:the idiot by|dostoevsky|idiot[ -]?proof|(?:for|by) idiots|parasites? (?:in|of|that)|son of)\b",
    ),
    Rule(
        r"\bshut (?:the (?:fuck|hell) )?up\b|\bstfu\b",
        {TOXICITY: 0.55, HARASS: 0.45},
        unless=r"\bshut up (?:shop|and take)\b",
    ),
    Rule(
        r"\b(?:go to hell|screw you|fuck (?:you|off|u)|get lost|piss off|drop dead|eat shit|rot in hell|burn in hell|bite me|up yours|go fuck yourself|kiss my ass)\b",
        {TOXICITY: 0.75, HARASS: 0.7},
    ),
    Rule(
        r"\b(?:nobody|no one|noone|everyone|everybody) (?:likes|loves|cares about|wants|would miss|hates|laughs at|is laughing at|despises) you\b",
        {TOXICITY: 0.75, HARASS: 0.75},
    ),
    Rule(
        r"\b(?:the world|everyone|we|they|your family)(?: would be|'d be| will be|'ll be) better (?:off )?without you\b|\byou (?:should|shouldn't) (?:never have|have never|have) been born\b|\byou don't deserve to (?:live|breathe|exist|be loved)\b",
        {HARASS: 0.85, TOXICITY: 0.8, SELF_HARM: 0.4},
    ),
    Rule(
        r"\bi hope (?:you|he|she|they|your (?:kids?|family|children))(?: all| just)? (?:die|dies|suffer|suffers|gets? (?:cancer|raped|hit|run over|killed|fired)|rot|choke|burn|never wake up|lose everything)\b",
        {HARASS: 0.85, TOXICITY: 0.85, VIOLENCE: 0.55},
    ),
    Rule(
        r"\bi (?:fucking |really |absolutely |just )?(?:hate|despise|loathe) (?:you|your guts)\b",
        {HARASS: 0.55, TOXICITY: 0.6},
    ),
    Rule(
        r"\byou (?:make me sick|disgust me|belong in (?:the|a) (?:trash|garbage|zoo|cage|dump)|(?:will|'ll) never amount to anything|people disgust)|\byou (?:have|'ve) (?:no brain|shit for brains|the brain of)|\bare you (?:really |that |actually |just )?(?:stupid|retarded|dumb|brain ?dead|deaf or)",
        {TOXICITY: 0.65, HARASS: 0.6},
    ),
    # hate
    Rule(
        rf"\b(?:{'|'.join(word(one) for one in _SLURS.split())})\b",
        {HATE: 0.9, TOXICITY: 0.9},
        unless=r"\b(?:slurs?|etymology|the word|reclaim)|\bin (?:the|his|her|their|its) armou?r",
    ),
    Rule(rf"\b{GROUP} (?:are|r|is|will always be|have always been) {_SO}{_LOW}\b", {HATE: 0.85}, unless=_ABOUT_HATE),
    Rule(
        rf"\b(?:kill|exterminate|gas|deport|eliminate|ban|burn|get rid of|wipe out|lynch|shoot|cleanse|hang|hunt|enslave|nuke|castrate|sterili[sz]e) (?:all |every |every last |off |the |those |these |of |out |all the |fucking |filthy )*{GROUP}\b",
        {HATE: 0.8, HATE_THREAT: 0.85, VIOLENCE: 0.7},
        unless=f"{HISTORY}|{_ABOUT_HATE}",
    ),
    Rule(
        rf"\bi (?:fucking |really |just |absolutely |honestly |do )*(?:hate|despise|can't stand|cannot stand|loathe|detest) (?:all |these |those |the |fucking |dirty |filthy )*{GROUP}\b",
        {HATE: 0.8},
        unless=r"\b(?:women's|gay bar|when (?:women|people)|that (?:women|immigrants|refugees|gay|trans|muslims|jews) (?:are|have|get))\b",
    ),
    Rule(
        rf"\b{GROUP} (?:should|must|need to|needs to|ought to|deserve to|deserves to|have to|has to) (?:all |just |never |not |only )*(?:be |)(?:killed|shot|deported|banned|exterminated|gassed|hanged|locked up|sterili[sz]ed|eliminated|wiped out|castrated|put down|enslaved|stoned|burned|burnt|beaten|die|burn|rot|hang|go back|leave (?:this|our)|get out|be allowed to|allowed to|segregated|drowned)\b",
        {HATE: 0.85, HATE_THREAT: 0.7},
        unless=f"{HISTORY}|{_ABOUT_HATE}",
    ),
    Rule(
        r"\bgo back to (?:your (?:own )?(?:shithole )?country|where you (?:came|come) from|africa|mexico|china|india|the jungle|your cave)\b",
        {HATE: 0.75, HARASS: 0.7},
    ),
    Rule(
        rf"\b(?:no|(?:don't|do not|won't|will not) (?:want|need|serve|hire|trust|rent to)(?: any)?|never (?:hire|trust|rent to)(?: any)?|keep) {GROUP}(?: allowed| here| in (?:my|our|this)|\b)",
        {HATE: 0.55},
        unless=f"{_ABOUT_HATE}|\\b(?:no women|data|figures|statistics|law|illegal|records)\\b",
    ),
    Rule(
        r"\b(?:women|girls|females)(?:'s place is| belong| should (?:stay|be)| are only good| were made) (?:only )?(?:in the kitchen|at home|for (?:sex|breeding|cooking)|in bed|silent|obedient|barefoot)|\bwomen (?:shouldn't|should not|can't|cannot) (?:be allowed to )?(?:vote|drive|lead|work|think|be in charge)\b",
        {HATE: 0.75},
        unless=_ABOUT_HATE,
    ),
    Rule(
        rf"\b(?:the )?jews (?:secretly )?(?:control|run|own|rule|are behind)\b|\bwhite (?:power|pride world ?wide)\b|\b(?:gas chambers?|ovens?) (?:again|for (?:the )?{GROUP})\b|\brace war now\b|\bmaster race\b.{{0,40}}\b(?:we|our|superior)\b",
        {HATE: 0.8},
        unless=_ABOUT_HATE,
    ),
    Rule(
        r"\b(?:heil hitler|sieg heil)\b|\bhitler (?:was right|did nothing wrong|should have finished|had a point)\b",
        {HATE: 0.8},
        unless=r"\b(?:slogan|museum|banned|illegal|history|racis|propaganda|arrested|shouted|people who)",
    ),
    Rule(
        rf"\b(?:dirty|filthy|disgusting|fucking|bloody|stupid|sneaky|greedy|goddamn) (?:{GROUP}|mexican|arab|indian|chinese|african|immigrant|refugee|foreigner|homosexual|lesbian|tranny|gypsy|turk|pole|jewish|asian|illegals?)\b",
        {HATE: 0.75, TOXICITY: 0.7},
        unless=_ABOUT_HATE,
    ),
    Rule(
        rf"\b{GROUP} (?:go|get) (?:home|out)\b|\b(?:sending|send|ship|kick|throw) (?:all |the |these |those |all the )*{GROUP} (?:back|home|out)\b|\b(?:hate|kill|death to|down with|fuck) (?:all |the )*(?:{GROUP}|israelis|palestinians|americans|infidels)\b",
        {HATE: 0.75, HATE_THREAT: 0.4},
        unless=f"{HISTORY}|{_ABOUT_HATE}",
    ),
)

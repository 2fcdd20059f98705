"""English: violence, sex, self-harm, crime."""

# ruff: noqa: E501  # a pattern broken over many lines is no easier to read

from __future__ import annotations

from guards.content.rules.english import HISTORY
from guards.content.rules.rule import (
    GRAPHIC,
    HARASS,
    ILLICIT,
    INTENT,
    METHOD,
    MINORS,
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

# --- violence ---

_PERSON = either(
    r"you|him|her|them|everyone|everybody|people|someone|somebody|a person|a man|a woman|a child|a kid|children|kids|women"
    r"|men|girls?|boys?|humans?|neighbou?rs?|wife|husband|boss|boyfriend|girlfriend|ex|brother|sister|mother|father|mom"
    r"|mum|dad|parents|family|teachers?|classmates?|students?|coworkers?|colleagues?|manager|roommates?|landlord|police"
    r"|policem[ae]n|cops?|officers?|president|politicians?|guys?|bastards?|bitch|bitches|stranger|baby|babies|grandmother"
    r"|grandfather|uncle|aunt|son|daughter|enem(?:y|ies)|victims?|wom[ae]n|m[ae]n|child|kid|person|friends?|journalists?"
    r"|traitors?|cheaters?|liars?|soldiers?|judges?|lawyers?|doctors?|nurses?|priests?|immigrants?|muslims?|jews?|workers?|bully|bullies|one of (?:you|them)"
)
_OWNED = r"(?:(?:all|every single|each of|them|every|my|your|his|her|their|the|that|this|those|these|our|a|an|some|any|other|whole|entire|of|stupid|fucking|annoying|old|little|innocent|another|cheating|lying|dirty|corrupt|noisy|dumb|ugly|damn|goddamn|rich|poor|new) ){0,4}"
_KILL = either(
    r"kill|murder|stab|shoot|strangle|hang|behead|burn|slaughter|poison|rape|torture|choke|lynch|massacre|suffocate|drown"
    r"|assassinate|butcher|bludgeon|mutilate|beat up|run over|beat the (?:shit|crap|hell) out of|throw acid (?:on|at)|maim"
)
_HURT = rf"(?:{_KILL}|hurt|punch|smash|attack|beat|hit|slap|kick|hunt down|make pay|end|destroy|cripple)"
_WILL = (
    r"(?:\b(?:i|we)(?:'ll| will| am going to|'m going to|'m gonna| gonna| am gonna|'re going to| are going to| want to| wanna"
    r"|'d like to| would like to| should| must| plan to| have to| swear i'll| swear i will|'m about to| need to|'d love to| shall)|\b(?:let's|someone should|somebody should|someone needs to|somebody needs to|why don't we|time to|i swear i(?:'ll| will)))"
)
_NOT_MEANT = (
    r"\b(?:(?:shoot|hit) (?:you|him|her|them|someone|people) (?:an?|the|over|my|another|with a|up|back)|game|games|gaming"
    r"|gta|chess|npcs?|level|boss fight|minecraft|novel|story|fiction|characters?|play(?:er|ing)|tournament|match|movie"
    r"|film|scene|with kindness|process(?:es)?|thread|daemon|pids?|signal|sig(?:kill|term)|container|pods?|zombie|orphan"
    r"|parent process|forks?|subprocess|photos?|photo ?shoot|camera|portrait|debate|quiz|race|sprint|at (?:tennis|golf|chess)"
    r"|(?:an?|the) email|mosquito(?:e?s)?|weeds?|bacteria|virus(?:es)?|calories|cancer cells|headache|joke|comedy)\b"
)

# --- sexual ---

_CLINICAL = (
    r"\b(?:patients?|clinical|health|infections?|contracepti|doctor|stds?|stis?|symptoms?|consent|education|educator|stud(?:y|ies)"
    r"|research|diseases?|hiv|hpv|cancer|urolog|gyn(?:a)?ecolog|polic(?:y|ies)|training|survey|laws?|filter|moderation|block"
    r"|museum|sculpture|painting|statue|anatomy|biology|therap(?:y|ist)|addiction|prevent|report(?:ed|ing)?|parental|assault"
    r"|harassment|trafficking|abuse|statistics)"
)
_EXPLICIT = words(
    "porn porno pornographic pornhub blowjob handjob cumshot creampie deepthroat gangbang hentai dildo milf fap titties"
    " boobs hornier horny smut bukkake fleshlight rimjob buttplug camgirl"
)
_ACT = r"\b(?:fuck|bang|undress|screw|ride|finger|spank|lick|suck|eat out|cum (?:in|on)) (?:me|you|her|him|my (?:cock|dick|pussy|clit|tits)|your (?:cock|dick|pussy|clit|tits|brains))\b"
MINOR = (
    r"\b(?:child(?:ren)?|kids?|under-?age[d]?|minors?|pre-?teens?|toddlers?|lolita|loli|shota|school ?girls?|school ?boys?"
    r"|(?:[1-9]|1[0-7])[ -]year[ -]olds?|(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen)[ -]year[ -]olds?"
    r"|little (?:girls?|boys?)|young (?:girls?|boys?)|my (?:niece|nephew|daughter|son)|barely legal)\b"
)

# --- self-harm ---

_WISH = r"\bi(?:'m| am| just| really| honestly|'ve| have|'d| would| only| often| sometimes| still)*(?: want| wanna| wish| going| gonna| need| plan| planning| decided| thinking| think| thought| ready| about| tempted| like| rather)(?: to| of| about| i could| i was| i were|ed)*"
_SELF_END = either(
    r"die|dead|kill(?:ing)? myself|end(?:ing)? (?:my|this) life|end(?:ing)? it all|end it|end everything|hurt(?:ing)? myself"
    r"|cut(?:ting)? myself|commit(?:ting)? suicide|overdos(?:e|ing)|not (?:be alive|wake up|exist)|never wake up|hang myself"
    r"|jump(?:ing)? off (?:a|the) (?:bridge|building|roof)|take my own life|taking my own life|harm(?:ing)? myself"
    r"|suicide|slit my wrists|shoot myself|starve myself|disappear(?:ing)? for ?ever|go to sleep (?:and )?(?:never|not) wake"
)
_ACCIDENT = r"\b(?:shaving|cooking|kitchen|accident(?:ally)?|paper|slipped|chopping|gym|running|back|knee|iron|oven|stove|pan|vegetables|onions?|lifting|football|skiing|falling|fell|laugh(?:ing)?|embarrass(?:ed|ment)|to know|song|lyrics|for (?:a|some) (?:pizza|coffee))\b"
_CARE = r"\b(?:prevent(?:ion)?|hotline|helpline|lifeline|rates?|statistics|awareness|risk factors?|research|stud(?:y|ies)|clinicians?|assessment|screening|policy|patients?|support group|how (?:do|can) i (?:help|support)|survivors?|warning signs)\b"

# --- illicit ---

_HOW = r"\b(?:how (?:do|can|could|would|should|to|does|might)|ways? to|best way|easiest way|steps? (?:to|for)|instructions? (?:to|for|on)|recipe (?:to|for)|guide (?:to|for|on|how)|tutorial|blueprints?|(?:tell|teach|show|help) (?:me|us)|explain how|where (?:do|can|could) (?:i|we|you)|i (?:want|need) to|write (?:me )?(?:a|an|some)|give me|want to know how|walk me through)\b"
_FILL = r"(?: [a-z0-9'\-]{1,14}){0,5}? "
_MAKE = r"(?:make|making|build|building|cook|cooking|synthesi[sz]e|produce|manufacture|create|construct|assemble|3d print|write|code|develop|brew|extract|grow)"
_WEAPON = either(
    r"(?:pipe |nail |dirty |fertili[sz]er |car |home-?made |time |nuclear |letter |mail |pressure cooker )?bombs?|explosives?"
    r"|napalm|molotov(?: cocktail)?s?|nerve (?:gas|agent)|sarin|ricin|anthrax|mustard gas|chemical weapons?|bio-?weapons?"
    r"|ghost guns?|silencers?|suppressors?|ieds?|detonators?|thermite|grenades?|untraceable (?:gun|firearm|weapon)s?|tatp|c4"
)
_DRUG = either(
    r"meth|methamphetamine|crystal meth|cocaine|crack cocaine|heroin|fentanyl|lsd|mdma|ecstasy|ketamine|ghb|pcp"
    r"|date[ -]rape drugs?|roofies|rohypnol|illegal drugs|hard drugs|opium|amphetamines?|magic mushrooms"
)
_CODE = either(
    r"ransomware|malware|keyloggers?|computer viru[s]e?s?|trojans?|rootkits?|botnets?|spyware|worm that|phishing (?:page|site"
    r"|mail|email|e-mail|kit|campaign|message|website)s?|credit card skimmers?|exploit kit"
)
_FORGED = either(
    r"counterfeit (?:money|bills?|notes?|cash|currency|euros?|dollars?)|fake (?:ids?|passports?|driver'?s? licen[cs]es?|prescriptions?"
    r"|documents?|bank statements?|diplomas?|money|vaccination cards?|invoices?)|forged [a-z]+|a fake id|stolen (?:goods|cards?"
    r"|credit cards?|accounts?|identit(?:y|ies)|data)"
)
_STEAL = r"(?:steal|pick the lock|shoplift|rob|break into|hot-?wire|launder|forge|counterfeit|blackmail|extort|bribe|stalk|hack(?: into)?|ddos|crack|clone|skim|scam|defraud|embezzle|burgle|phish|impersonate|smuggle|kidnap|traffic|bypass|tap|spy on|sabotage)"
_LOOT = either(
    r"cars?|houses?|homes?|banks?|stores?|shops?|money|checks?|cheques?|wallets?|credit cards?|identit(?:y|ies)|passwords?"
    r"|accounts?|wi-?fi|phones?|emails?|e-mails?|websites?|servers?|passports?|signatures?|ex|girlfriend'?s?|boyfriend'?s?"
    r"|wife'?s?|husband'?s?|neighbou?r'?s?|someone'?s?|people|atms?|drugs|guns|weapons|border|packages?|elderly|bikes?"
    r"|old people|officials?|judges?|networks?|database|instagram|facebook|whatsapp|snapchat|child|kids?|alarm|company|paywall|boss|girlfriend|boyfriend|wife|husband|neighbou?rs?|teacher|colleagues?|customers?|women|someone|landlord|roommate"
)
_DEFENCE = (
    r"\b(?:prevent(?:s|ed|ing|ion)?|protect(?:s|ed|ing|ion)?|against|stop (?:people|someone|hackers|attackers|thieves)|avoid|detect(?:s|ed|ing|ion)?"
    r"|defen[dcs]e?|secure|if (?:someone|my|anyone)|from being|attackers?|hackers?|thieves|burglars|criminals|ethical|ctf"
    r"|my own|locked out|awareness|training|simulat|malware analysis|remov(?:e|ing|al)|recover|was (?:hacked|stolen)|police|novel"
    r"|game|history|bath bombs?|seed bombs?|antivirus|sandbox|investigat|report|victims?|rehab|overdose|addict|patient|treat"
    r"|spot|recogni[sz]e|identify|scanner|fictional|movie|museum|photo|breaking bad|minecraft|laws?|penalt)"
)

RULES: tuple[Rule, ...] = (
    # violence
    Rule(rf"{_WILL}(?: \w+){{0,2}}? {_HURT} {_OWNED}{_PERSON}\b", {VIOLENCE: 0.85}, unless=_NOT_MEANT),
    Rule(
        rf"{_WILL}(?: \w+){{0,2}}? {_HURT} (?:you|your|u)\b|\b(?:i|we)(?:'ll| will) (?:find|come for|be waiting for|get) you\b.{{0,60}}\b(?:pay|regret|dead|die|suffer|hurt|bleed)|\byou(?:'re| are| r) (?:a )?dead(?: man| meat)?\b|\bi know where you live\b|\byou(?:'ll| will)(?: all)? (?:die|bleed|pay for this with|be dead)\b|\bwatch your back\b|\bi(?:'ll| will) make you (?:suffer|bleed|pay)",
        {THREAT: 0.85, VIOLENCE: 0.75},
        unless=_NOT_MEANT,
    ),
    Rule(
        rf"{_WILL}(?: \w+){{0,2}}? (?:break|cut|slit|snap|smash|rip|bash|crush|gouge|blow|chop)(?: off| out| open| in)? (?:your|his|her|their|my \w+'s|the \w+'s|that \w+'s) (?:neck|legs?|bones|throat|head|skull|face|teeth|arms?|fingers|heart|eyes|brains|knees)|{_WILL}(?: \w+){{0,2}}? break (?:every|all)(?: the| of the)? bones?|\b(?:put|fire|shoot) a bullet (?:in|into|through) (?:\w+ ){{0,4}}(?:head|brain|heart|skull|chest|face|him|her|you|them)\b|\b(?:kill|shoot|stab|burn|hang) (?:them|us|you) all\b|\b(?:won't|will not|never|not going to) (?:\w+ ){{0,5}}alive\b",
        {VIOLENCE: 0.85, THREAT: 0.6},
        unless=rf"{_NOT_MEANT}|\\b(?:keep|stay|plants?|battery|fish|memory|survive)\\b",
    ),
    Rule(
        rf"{_HOW}(?: \w+){{0,3}}? (?:{_KILL}|get rid of|hurt|torture|attack) {_OWNED}{_PERSON}\b",
        {VIOLENCE: 0.75, ILLICIT: 0.6, WEAPONS: 0.55},
        unless=rf"{_NOT_MEANT}|\b(?:process|prevent|protect|avoid|feelings|stop (?:him|her|someone))\b|\b(?:get rid of|hurt) (?:my|the) (?:back|ex from|roommate legally|children'?s)|\bhow (?:does|did|do) (?:poison|cancer|smoking|it)",
    ),
    Rule(
        rf"\b(?:kill|shoot|bomb|burn|hang|lynch|massacre|slaughter|behead|stab) (?:all|every|those|these|them all|every single|the whole)(?: (?:the|of|fucking|damn|last|single|one|stupid|lying|corrupt))* (?:{_PERSON}|\w+s)\b",
        {VIOLENCE: 0.65},
        unless=rf"{_NOT_MEANT}|{HISTORY}|\b(?:jobs|tasks|servers?|connections?|sessions?|instances|workers|queries|tabs|bugs|birds|lights|pods|apps?|programs?|ports?|germs|plants|ants|insects|fleas|ticks|rats|mice|cells|calories|files|scenes?|photos|videos|pictures|bridges|letters|stations|enemies|monsters|bosses|children|child|candles)\b",
    ),
    Rule(
        r"\b(?:should|must|needs? to|ought to|deserves? to|has to|have to) (?:all |just )?be (?:hanged|killed|lynched|burned alive|stabbed|tortured|beheaded|beaten(?: up| to death)?|murdered|strung up|raped)\b|\bdeserves? to (?:die|burn|suffer|be shot|bleed)\b|\b(?:he|she|they|you|politicians|cops|journalists) (?:should|must|ought to) be (?:shot|executed)\b",
        {VIOLENCE: 0.7, THREAT: 0.4},
        unless=rf"{_NOT_MEANT}|\b(?:jobs?|tasks?|server|service|query|instance|connections?|session|cells?|innings|egg|eggs|whites|feature|idea|argument|plants?|animals?|horse|steps?|process)\b",
    ),
    Rule(
        r"\b(?:shoot(?:ing)? up|blow(?:ing)? up|bomb(?:ing)?|set(?:ting)? fire to|burn(?:ing)? down|attack(?:ing)?) (?:a |an |the |my |your |this |that |our |their |his |her |every )?(?:local |whole |entire |fucking |old )?(?:school|mall|church|mosque|synagogue|concert|building|plane|airport|station|embassy|house|bus|train|office|hospital|parliament|government|city|festival|crowd|nightclub|temple|stadium|police station|apartment)\b",
        {VIOLENCE: 0.75, WEAPONS: 0.6, ILLICIT: 0.5},
        unless=rf"{_NOT_MEANT}|{HISTORY}|\b(?:news|reported|attackers?|arrested|suspect|police said|prevent|world war|ww2|documentary)\b",
    ),
    Rule(
        r"\b(?:decapitat\w+|disembowel\w*|dismember\w*|eviscerat\w+|mutilated|(?:skin|skinned|flay\w*) (?:him|her|them|it|people) alive|(?:blood|guts|brains|entrails|intestines) (?:\w+ ){0,3}(?:splatter\w*|spill\w*|gush\w*|spray\w*|everywhere|pour\w*|ooz\w+)|(?:rip|tore|tear|ripped|gouge|gouged|cut|hack|hacked)(?:s|ing)? (?:out |off )?(?:his|her|their|your|the victim's) (?:head|heart|throat|guts|eyes|tongue|limbs?|intestines)(?: out| off)?|pool of (?:his|her|their) (?:own )?blood|severed (?:head|limbs?|arm|leg|hand))\b",
        {GRAPHIC: 0.75, VIOLENCE: 0.7},
        unless=_CLINICAL,
    ),
    # sexual
    Rule(_EXPLICIT, {SEXUAL: 0.8}, unless=_CLINICAL),
    Rule(
        _ACT,
        {SEXUAL: 0.8, PROFANITY: 0.5},
        unless=r"\bscrew you\b|\bfuck you\b|\bride (?:me|you|him|her) (?:home|to)\b|\bbang (?:on|the)\b",
    ),
    Rule(
        r"\b(?:erotica?|nsfw|nudes|bdsm|anal sex|oral sex|sex (?:scenes?|stor(?:y|ies)|chat|tape|toys?|slave|dolls?|positions?|doll)|sexual(?:ly)? explicit|explicit(?:ly)? sex(?:ual)?|strip ?tease|threesome|orgy|orgies|masturbat\w+|orgasms?|kinky|fetish|sext(?:ing)?|onlyfans|dominatrix|talk(?:ing)? dirty|dirty talk|naked (?:slave|body|bodies|pictures?|photos?|women|girls?)|(?:she|he|they) moan(?:s|ed|ing)?|between (?:her|his|my|your) (?:thighs|legs)|undressing (?:me|you|him|her|my|your)|turns? me on|make love to (?:me|you|her|him)|cum(?:s|ming)? (?:on|in|inside|hard))\b",
        {SEXUAL: 0.6},
        unless=_CLINICAL,
    ),
    Rule(
        r"\b(?:send (?:me )?(?:your |some |a )?(?:nudes?|naked|sexy|topless) ?(?:pics?|photos?|pictures?|selfies?)?|(?:show|flash) me your (?:tits|boobs|breasts|pussy|cock|dick|ass|body)|(?:have|having|had) (?:rough |wild |hot |passionate |kinky )?sex with (?:me|you|her|him|a|my)|sleep with me tonight|(?:throbbing|dripping|hard|wet|tight|bare) (?:cock|dick|pussy|nipples|member)|(?:tits|pussy|clit|nipples)\b.{0,40}\b(?:lick|suck|squeeze|rub|touch|wet|hard|bare)|(?:lick|suck|squeeze|rub|fondle)\w* (?:my|your|her|his|those) (?:tits|breasts|nipples|thighs|balls|clit)|take off (?:your|all your|her) (?:clothes|bra|panties)|(?:get|be|stand|lie|pose) naked (?:for|with|in front))",
        {SEXUAL: 0.8},
        unless=_CLINICAL,
    ),
    Rule(
        r"\b(?:write|tell|describe|generate|draw|create|role ?play)\b.{0,50}\b(?:erotic\w*|smut|porn\w*|sexual (?:story|scene|encounter|fantasy|roleplay)|sex scene|sexy (?:story|scene|roleplay)|nude (?:woman|man|girl|picture|image)|steamy (?:scene|story)|lewd|undressing)\b",
        {SEXUAL: 0.75},
        unless=r"\b(?:block|filter|moderat|detect|policy|prevent)",
    ),
    Rule(
        rf"(?:{_EXPLICIT}|{_ACT}|\b(?:sex|sexual|sexy|nude|nudes|naked|erotic|fuck\w*|molest\w*|grope\w*|seduc\w+|porn\w*|masturbat\w+|touch\w* (?:her|him|them)(?:self|selves)?)\b).{{0,60}}{MINOR}|{MINOR}.{{0,60}}(?:{_EXPLICIT}|\b(?:sex with|nude|nudes|naked|erotic|fuck\w*|seduc\w+|porn\w*|undress\w*|sexy|sexual fantas\w+)\b)",
        {MINORS: 0.9, SEXUAL: 0.85},
        unless=rf"{_CLINICAL}|\b(?:sex of|same-sex|single-sex|both sexes|changing a|bath|bathe|sunbath|beach|law enforcement|illegal|arrested|convicted|protect|safe)\b",
    ),
    # self-harm
    Rule(rf"{_WISH} (?:\w+ ){{0,3}}?{_SELF_END}\b", {SELF_HARM: 0.8, INTENT: 0.85}, unless=_ACCIDENT),
    Rule(
        r"\bi (?:don't|do not|dont|no longer) want to (?:live|be alive|exist|wake up|be here|go on)\b|\bi(?:'m| am| feel| felt|'ve been| have been)(?: \w+){0,2} suicidal\b|\b(?:no|any) (?:reason|point) (?:to|in) (?:liv(?:e|ing)|go(?:ing)? on)\b|\b(?:better off|rather be) dead\b|\btired of (?:living|being alive|life)\b|\b(?:my )?life is(?:n't| not) worth living\b|\bi can't (?:go on|do this|take it) any ?more\b|\bi wish i (?:was|were) (?:dead|never born)\b|\bi(?:'m| am) going to end (?:it|my life|everything)\b|\bwant to be dead\b|\b(?:better|happier|easier|relieved)(?: off)? if i (?:was|were|am) (?:dead|gone|not here|never born)\b|\b(?:wrote|writing|write|written|left|finished) (?:my |a |the )?(?:suicide|goodbye) (?:note|letter)\b",
        {SELF_HARM: 0.75, INTENT: 0.75},
        unless=f"{_ACCIDENT}|\\b(?:here in|in (?:this|the) (?:city|house|flat|town|country|apartment)|with my parents|if you're|if you are|if someone|if a friend)\\b",
    ),
    Rule(
        r"\bi (?:have been |'ve been |started |keep |always |used to |like |want to )?(?:cut|cutting|burn|burning|hurt|hurting|harm|harming|starve|starving) myself\b|\bcut my (?:wrists?|arms?|thighs?)\b",
        {SELF_HARM: 0.65, INTENT: 0.55},
        unless=_ACCIDENT,
    ),
    Rule(
        r"\bkill(?:ing)? myself\b|\btake my own life\b|\bhang myself\b",
        {SELF_HARM: 0.6, INTENT: 0.5},
        unless=_ACCIDENT,
    ),
    Rule(
        r"\b(?:how|ways?|methods?|easiest|quickest|painless(?:ly)?|best place|tips|what (?:pills|drugs|dose|is the)|instructions)\b.{0,60}\b(?:kill myself|kill yourself|commit suicide|die painlessly|painless(?:ly)? (?:death|die|suicide)|hang myself|slit my wrists|cut (?:myself|my wrists)|end my (?:own )?life|overdose (?:on|with)|self-?harm without|hide (?:my )?(?:cuts|scars|self-?harm)|suicide methods?|starve myself|make myself (?:vomit|throw up|sick))\b|\b(?:suicide|self-?harm) (?:methods?|instructions|guide|techniques)\b|\bhow many (?:\w+ ){1,4}(?:to|would|will|does it take to|until i) (?:die|kill|be fatal|overdose|not wake up|never wake up)\b|\b(?:painless|easiest|quickest|fastest|best|least painful) ways? to (?:die|kill|end|commit|suicide|go)\b",
        {SELF_HARM: 0.85, METHOD: 0.85},
        unless=rf"{_CARE}|\b(?:calories|to (?:die|kill) for|weeds?|moss|ants|time|process|bacteria)\b",
    ),
    Rule(
        r"\b(?:kill yourself|kys|go hang yourself|hang yourself|go (?:and )?die|go (?:and )?jump off|end your life|slit your wrists|drink bleach|you should (?:just )?(?:die|kill yourself|end it|cut yourself|jump|hang)|neck yourself|off yourself)\b",
        {HARASS: 0.8, SELF_HARM: 0.75, TOXICITY: 0.85},
        unless=r"\b(?:don't|do not|never|thinking about|trying to|want to|wanting to|tells? you to|said|told)\b",
    ),
    Rule(
        r"\b(?:suicidal (?:thoughts|ideation|feelings)|suicide note|thinspo|pro-?ana|self-?harm(?:ing)?|suicide pact)\b",
        {SELF_HARM: 0.45},
        unless=_CARE,
    ),
    # illicit
    Rule(
        rf"{_HOW}{_FILL}{_MAKE}{_FILL}{_WEAPON}\b|\b{_MAKE} (?:a |an |some |my own )?(?:{_WEAPON}) (?:at home|from household|out of|with household|using)\b|{_HOW} {_MAKE} (?:a |an |some )?{_WEAPON}\b",
        {ILLICIT: 0.8, WEAPONS: 0.85},
        unless=_DEFENCE,
    ),
    Rule(
        rf"{_HOW}(?:{_FILL}| )(?:{_MAKE}|buy|get|order|purchase|sell|smuggle|deal|score|find|inject)(?:{_FILL}| ){_DRUG}\b|\b(?:buy|sell|order|selling|buying|smuggl\w+) (?:\w+ ){{0,2}}{_DRUG}\b",
        {ILLICIT: 0.75},
        unless=_DEFENCE,
    ),
    Rule(
        rf"{_HOW}(?:{_FILL}| )(?:{_MAKE}|deploy|spread|send|set up|use|run)(?:{_FILL}| ){_CODE}\b",
        {ILLICIT: 0.7},
        unless=_DEFENCE,
    ),
    Rule(
        rf"\b(?:write|create|build|make|develop|code|generate|design|give me|send me|need|want)(?: me| us)?(?: a| an| some| the| undetectable| simple| working| convincing| realistic)* {_CODE}\b",
        {ILLICIT: 0.65},
        unless=_DEFENCE,
    ),
    Rule(
        rf"\b(?:need|want|looking for|got any|where (?:do|can) i (?:get|find))(?: a| an| some| any| cheap| good)* {_DRUG}\b|\b(?:cheat|scam|trick|swindle|con) (?:\w+ ){{1,4}}out of (?:\w+ )?(?:money|savings|pension|inheritance)\b",
        {ILLICIT: 0.65},
        unless=_DEFENCE,
    ),
    Rule(
        rf"\b(?:make|print|buy|get|order|sell|sells|selling|create|use|produce|obtain|find|need|forge)(?: \w+){{0,3}}? {_FORGED}\b",
        {ILLICIT: 0.7},
        unless=_DEFENCE,
    ),
    Rule(rf"{_HOW}(?:{_FILL}| ){_STEAL}(?:{_FILL}| )(?:{_LOOT})\b", {ILLICIT: 0.7}, unless=_DEFENCE),
    Rule(
        r"\b(?:without (?:getting|being) caught|get away with (?:murder|it|theft|fraud|stealing)|(?:dispose of|hide|dissolve|get rid of) (?:a|the|his|her) (?:dead )?(?:body|corpse)|evad(?:e|ing) (?:taxes|tax|the police|customs)|(?:pass|cheat|beat) a drug test|without (?:her|him|them|my (?:wife|husband|girlfriend|boyfriend|partner)|their) (?:knowing|knowledge|noticing|consent)|leave no (?:evidence|trace|fingerprints)|hire a hit ?man|bypass (?:airport|customs|security) (?:checks?|scanners?)|on the dark ?(?:web|net))\b",
        {ILLICIT: 0.6},
        unless=rf"{_DEFENCE}|\b(?:gift|surprise|party|present)\b",
    ),
)

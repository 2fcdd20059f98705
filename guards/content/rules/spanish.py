"""Spanish: the plainest of each kind. Text is folded: no accents, but the tilde of `\xf1` is kept."""

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
    r"judios|musulmanes|moros|negros|gitanos|inmigrantes|migrantes|refugiados|extranjeros|homosexuales|gays|lesbianas|mujeres"
    r"|arabes|chinos|indios|mexicanos|venezolanos|discapacitados|trans|catolicos|cristianos|africanos|sudacas|latinos"
)
_INSULT = either(
    r"idiotas?|imbecil(?:es)?|estupid[oa]s?|gilipollas|cabron(?:es|a|as)?|pendej[oa]s?|hij[oa]s? de puta|hijueputa|capullos?"
    r"|subnormal(?:es)?|retrasad[oa]s?|malparid[oa]s?|zorras?|basura|escoria|asqueros[oa]s?|maricon(?:es)?|tarad[oa]s?"
    r"|mierda|inutil(?:es)?|perdedor(?:a|es)?|puta|puto|mamon|culer[oa]|payas[oa]|cretin[oa]s?|patetic[oa]|fracasad[oa]|cerd[oa]"
)
_KILL = r"(?:matar|asesinar|apu\xf1alar|rajar|disparar|estrangular|degollar|golpear|pegar|reventar|quemar|violar|torturar|romper la (?:cara|cabeza)|partir la cara|envenenar|ahorcar|descuartizar|machacar)"
_NOT_MEANT = r"\b(?:juego|proceso|novela|cuento|pelicula|ajedrez|nivel|servidor|partida|personaje|tiempo|mosquitos?|cucarachas?|foto)\b"

RULES: tuple[Rule, ...] = (
    Rule(
        words(
            "mierda puta puto cabron cabrones cabrona gilipollas joder jodete jodido pendejo pendeja chingar chingada chinga verga maricon cojones culero hijueputa malparido mamada"
        )
        + r"|\bco\xf1o\b|\b(?:hij[oa]s? de (?:la gran )?puta|vete a la mierda|que te jodan|me cago en|chinga tu madre|que te den por culo|a tomar por culo)\b",
        {PROFANITY: 0.85, TOXICITY: 0.4},
    ),
    Rule(
        rf"\b(?:eres|sois|pareces|siempre seras|usted es|son) (?:un |una |unos |unas |muy |tan |solo |el |la |pura |un pedazo de |un maldito |una maldita |un puto |una puta |realmente |mas )*(?:{_INSULT}|tont[oa]|fe[oa]|gord[oa]|despreciable|repugnante|un don nadie)\b|\b(?:pedazo de|maldit[oa]|put[oa]|pinche|jodid[oa]) {_INSULT}\b|\b{_INSULT} de mierda\b",
        {TOXICITY: 0.8, HARASS: 0.75},
        unless=r"\bno (?:eres|sois|pareces|son)\b|\bcomida basura\b",
    ),
    Rule(
        r"\b(?:callate(?: la boca)?|cierra (?:la|el) (?:boca|pico)|vete a la mierda|que te jodan|jodete|muerete|nadie te quiere|todos te odian|te odio|das asco|me das asco|ojala te mueras|no vales nada|chinga tu madre)\b",
        {TOXICITY: 0.75, HARASS: 0.7},
    ),
    Rule(
        r"\b(?:idiotas?|imbecil(?:es)?|gilipollas|cabron(?:es)?|pendej[oa]s?|hij[oa]s? de puta|subnormal(?:es)?|malparid[oa]s?)\b",
        {TOXICITY: 0.4, HARASS: 0.25},
    ),
    Rule(
        rf"\b(?:los |las |estos |esos |todos los |todas las |malditos |putos ){{1,2}}{_GROUP} son (?:todos |todas |unos |unas |solo |la |una |puros |puras |el |muy |de )*(?:animales|escoria|basura|parasitos|ladrones|criminales|delincuentes|terroristas|ratas|cucarachas|monos|inferiores|vagos|cerdos|plaga|peste|cancer|violadores|sucios|asquerosos|subhumanos|enfermos|mierda|tontas|tontos|estupid[oa]s)\b|\b(?:putos|sucios|malditos|asquerosos|pinches) {_GROUP}\b|\b(?:fuera|muerte a) (?:los |todos los )?{_GROUP}\b|\bodio a (?:todos |todas )?(?:los|las|esos|estos) {_GROUP}\b|\b(?:negro de mierda|moro de mierda|maricon de mierda|sudaca de mierda|judio de mierda|panchitos? de mierda)\b",
        {HATE: 0.85, TOXICITY: 0.7},
        unless=r"\b(?:racis\w*|prejuicio\w*|estereotipo\w*|falso|mito|propaganda|nazis?)\b",
    ),
    Rule(
        rf"\b(?:hay que|habria que|deberian|deberiamos|se debe|tenemos que)(?: \w+){{0,2}} (?:matar|exterminar|expulsar|gasear|quemar|eliminar|colgar|fusilar|deportar)(?:los|las)? (?:a )?(?:todos |todas )?(?:los |las |estos |esos )?{_GROUP}\b",
        {HATE: 0.85, HATE_THREAT: 0.8, VIOLENCE: 0.6},
        unless=r"\b(?:nazis?|historia|19\d\d|racis\w*)\b",
    ),
    Rule(
        rf"\b(?:te|os|lo|la|los|le|les) (?:voy|vamos) a {_KILL}\b|\b(?:voy|vamos|quiero|pienso|quisiera|me gustaria)(?: a)? {_KILL}(?:te|lo|la|los|las|le|les|os| a (?:mi|tu|su|mis|una|un|la|todos|alguien|el|los|esa|ese|esos))\b|\bestas muert[oa]\b|\bse donde vives\b|\bvas a (?:morir|pagarlo|sangrar|arrepentirte)\b",
        {VIOLENCE: 0.85, THREAT: 0.8},
        unless=rf"{_NOT_MEANT}|\b(?:pegar (?:el|la|un|una|esto)|disparar(?:te|le)? (?:una? )?(?:foto|video)|pegar(?:lo|la) en)\b",
    ),
    Rule(
        r"\bcomo (?:puedo |se puede |podria |hago para )?(?:matar|envenenar|asesinar|apu\xf1alar|estrangular|torturar|golpear) a (?:mi|una|un|alguien|la|el|mis|tu|su)\b",
        {VIOLENCE: 0.75, ILLICIT: 0.6},
        unless=rf"{_NOT_MEANT}|\b(?:evitar|prevenir)\b",
    ),
    Rule(
        r"\b(?:quiero|voy a|pienso en|ganas de|deseo|quisiera|me quiero|pensando en|he decidido)(?: \w+)?? ?(?:morir(?:me)?|matarme|suicidarme|quitarme la vida|desaparecer|cortarme|hacerme da\xf1o|dejar de vivir|acabar con (?:todo|mi vida)|no (?:vivir|existir) mas|ahorcarme|morirme)\b|\b(?:suicidarme|quitarme la vida|no quiero (?:seguir viviendo|vivir(?: mas)?)|ya no quiero vivir|me corto los brazos|cortarme las venas|me quiero morir|pensamientos suicidas|me autolesiono)\b",
        {SELF_HARM: 0.75, INTENT: 0.75},
        unless=r"\b(?:prevencion|linea de ayuda|estadisticas?|apoyo|de risa|el pelo|cabello|u\xf1as)\b",
    ),
    Rule(
        r"\b(?:matate|suicidate|ahorcate|muerete ya|tirate de un puente)\b",
        {HARASS: 0.8, SELF_HARM: 0.7, TOXICITY: 0.8},
    ),
    Rule(
        r"\b(?:como|metodos?|forma|manera|cuantas? (?:pastillas|dosis))\b.{0,50}\b(?:suicidarme|suicidarse|morir sin dolor|matarme|quitarme la vida|para morir|suicidio|ahorcarme|sobredosis)\b",
        {SELF_HARM: 0.8, METHOD: 0.75},
        unless=r"\b(?:prevenir|prevencion|ayudar|evitar|apoyar|hablar|estadisticas?)\b",
    ),
    Rule(
        r"\b(?:chupame(?:la)?|follar(?:me|te|nos)?|follame|porno\w*|fotos? (?:desnud[oa]s?|tuyas? desnud[oa])|historia (?:erotica|porno|sexual)|relato erotico|mi polla|tu co\xf1o|tetas|masturba\w+|acostarme contigo|desnudate|cogeme|mamamela|nudes|tener sexo conmigo|verga dura)\b",
        {SEXUAL: 0.75},
        unless=r"\b(?:filtr\w*|bloquear|educacion|salud|prevencion|estudio)\b",
    ),
    Rule(
        r"\b(?:como|receta|explicame|ensename|instrucciones|tutorial|dime)\b.{0,50}\b(?:bombas?|explosivos?|coctel molotov|gas (?:toxico|sarin)|detonador|granadas?|silenciador)\b",
        {ILLICIT: 0.8, WEAPONS: 0.85},
        unless=r"\b(?:desactivar|ba\xf1o|prevenir|proteger|detectar|historia|guerra|agua|calor|bomberos?|semillas|desactiva\w*)\b",
    ),
    Rule(
        r"\b(?:como|donde|receta|quiero|ensename)\b.{0,40}\b(?:comprar|fabricar|vender|cocinar|producir|hacer|pedir|conseguir|escribir|imprimir|pasar) (?:\w+ |de |la |un ){0,3}(?:cocaina|heroina|metanfetamina|drogas?|extasis|dinero falso|billetes falsos|pasaportes? falsos?|documentos? falsos?|ransomware|malware|identificacion falsa)\b|\bcomo (?:puedo |se puede )?(?:hackear|robar|blanquear|lavar|estafar|espiar|clonar|falsificar|entrar en|atracar) (?:\w+ |el |la |a ){0,3}(?:cuenta|coche|carro|banco|dinero|casa|telefono|wifi|whatsapp|tarjetas?|instagram|novia|novio|esposa|facebook|vecino|tienda|firma|gente|ancianos)\b",
        {ILLICIT: 0.7},
        unless=r"\b(?:prevenir|proteger|evitar|detectar|contra|ayudar|policia|rehabilitacion|dejar las)\b",
    ),
)

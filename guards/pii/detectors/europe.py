"""Numbers of persons in Europe: identity, tax, insurance, health, driving.

Forms and checks are those of the issuing states; the sums are python-stdnum's where it has them, else `checks`.
"""

from __future__ import annotations

import re

from stdnum.at import vnr
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.ch import ssn as ahv
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nif as spi
from stdnum.fr import nir
from stdnum.gb import nhs, utr
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.is_ import kennitala
from stdnum.it import codicefiscale
from stdnum.lt import asmens
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import cc
from stdnum.pt import nif as contribuinte
from stdnum.ro import cnp
from stdnum.ru import inn
from stdnum.se import personnummer
from stdnum.si import emso
from stdnum.ua import rntrc

from guards.pii.detectors import checks
from guards.pii.detectors.identifiers import Identifier, detector

_DNI_LETTER = "[TRWAGMYFPDXBNJZSQVHLCKE]"
_OMOCODE = "[0-9LMNPQRSTUV]"
_NINO = "[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] 99 99 99 [A-D]"
_NIR = "[1278]|99|99|9[0-9AB]|999|999|99"
_NINO_WORDS = "national insurance|nino|ni number|ni no"


def _finnish(number: str) -> bool:
    """The sign of the 20th century is a hyphen, which is gone here."""
    return hetu.is_valid(number if len(number) == 11 else f"{number[:6]}-{number[6:]}")


def _french(number: str) -> bool:
    """Months above 12 stand for those who were registered without one."""
    month = int(number[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and nir.is_valid(number)


def _italian(number: str) -> bool:
    """Letters may stand for digits where two would have the same number, but never for nearly all of them."""
    return re.search(r"[A-Z][0-9]{2}", number) is not None and codicefiscale.is_valid(number)


def _swedish(number: str) -> bool:
    return personnummer.is_valid(f"{number[:-4]}-{number[-4:]}")


TABLE = (
    Identifier("UK_NHS", ("999 999 9999",), nhs.is_valid, "nhs|national health|nhs service"),
    Identifier("UK_NINO", (_NINO,), checks.nino, _NINO_WORDS),
    Identifier("UK_NINO", (_NINO,), checks.nino, wary=True),
    Identifier("UK_UTR", ("9{5} 9{5}",), utr.is_valid, "utr|unique taxpayer|taxpayer reference"),
    Identifier("UK_DRIVING_LICENCE", ("[A-Z9]{5} 9[0156]9[0-3]99 [A-Z9]{2}9[A-Z]{2}",), checks.uk_driver),
    Identifier("IE_PPS", ("9{7}[A-W][ABHWTX]?",), pps.is_valid, "pps|ppsn|personal public service"),
    Identifier(
        "DE_TAX_ID",
        ("99 999 999 999",),
        idnr.is_valid,
        "steuer.?id|steuer.?identifikationsnummer|steuer.?idnr|idnr|tax id|tax identification|steuerliche id\\w*",
    ),
    Identifier(
        "DE_ID_CARD",
        ("[CFGHJ-NPRTV-Z0-9]{9}9",),
        checks.icao,
        "personalausweis|personalausweisnummer|ausweisnummer|ausweis nr|identity card|id card",
    ),
    Identifier(
        "DE_INSURANCE",
        ("99 [0-3]9[01]999 A 99 9",),
        checks.de_insurance,
        "(?:sozial|renten)versicherung\\w*|versicherungsnummer|svnr|rvnr|sv nummer|social (?:security|insurance)",
    ),
    Identifier(
        "AT_INSURANCE",
        ("9999 [0-3]9[01]999",),
        vnr.is_valid,
        "sozialversicherung\\w*|versicherungsnummer|svnr|sv nummer|sv nr|social security|social insurance",
    ),
    Identifier("CH_AHV", ("756[.]9999[.]9999[.]99",), ahv.is_valid),
    Identifier(
        "CH_AHV", ("756 9999 9999 99",), ahv.is_valid, "ahv|ahv nr|ahv nummer|avs|social security|social insurance"
    ),
    Identifier("FR_NIR", (_NIR.replace("|", "[ \\-]"),), _french),
    Identifier(
        "FR_NIR",
        (_NIR.replace("|", ""),),
        _french,
        "nir|s\xc0curit\xc0 sociale|securite sociale|insee|carte vitale|num\xc0ro de s\xc0cu|social security",
    ),
    Identifier(
        "FR_TAX_ID",
        ("[0-3]9 99 999 999 999",),
        spi.is_valid,
        "num\xc0ro fiscal|numero fiscal|spi|r\xc0f\xc0rence fiscale|tax id|tax number|tax identification",
    ),
    Identifier("ES_DNI", (f"99 999 999 {_DNI_LETTER}",), dni.is_valid, "dni|nif|documento nacional|identidad"),
    Identifier("ES_DNI", (f"99 999 999 {_DNI_LETTER}",), dni.is_valid, wary=True),
    Identifier("ES_NIE", (f"[XYZ] 9{{7}} {_DNI_LETTER}",), nie.is_valid, any_case=True, wary=True),
    Identifier(
        "ES_INSURANCE",
        ("99[ /]?9{8}[ /]?99",),
        checks.es_insurance,
        "seguridad social|afiliaci\xc0n|nuss|naf|social security",
    ),
    Identifier(
        "PT_CC",
        ("9{8} 9 X{2}9",),
        cc.is_valid,
        "cart\xc0o de cidad\xc0o|cart\xc0o cidad\xc0o|cidad\xc0o|citizen card|documento",
    ),
    Identifier(
        "PT_NIF",
        ("999 999 999",),
        contribuinte.is_valid,
        "nif|contribuinte|identifica\xc0\xc0o fiscal|tax id|tax number",
    ),
    Identifier(
        "IT_FISCAL_CODE",
        (f"A{{3}} A{{3}} {_OMOCODE}{{2}}[ABCDEHLMPRST]{_OMOCODE}{{2}} A{_OMOCODE}{{3}}A",),
        _italian,
        any_case=True,
    ),
    Identifier(
        "NL_BSN",
        ("9{8,9}", "9999 99 999", "999 999 999"),
        bsn.is_valid,
        "bsn|burgerservice nummer|sofi nummer|citizen service number",
    ),
    Identifier("BE_NATIONAL_NUMBER", ("99[.]99[.]99-999[.]99",), nn.is_valid),
    Identifier(
        "BE_NATIONAL_NUMBER",
        ("99 99 99 999 99",),
        nn.is_valid,
        "rijksregister\\w*|registre national|national register|national number|num.ro national|insz|niss",
    ),
    Identifier("PL_PESEL", ("9{11}",), pesel.is_valid, "pesel"),
    Identifier("SE_PERSON_NUMBER", ("9{6}-9{4}", "[12]9{7}-9{4}"), _swedish),
    Identifier(
        "SE_PERSON_NUMBER",
        ("9{6} 9{4}", "[12]9{7} 9{4}"),
        _swedish,
        "personnummer|person nr|personal identity number|personal number|samordningsnummer|personnr",
    ),
    Identifier(
        "NO_BIRTH_NUMBER",
        ("9{6} 9{5}",),
        fodselsnummer.is_valid,
        "f.dselsnummer|f.dselsnr|fnr|d nummer|personnummer|personal number|national identity number",
    ),
    Identifier("DK_CPR", ("[0-3]9[01]999 9{4}",), cpr.is_valid, "cpr|personnummer|cpr nr|cpr nummer"),
    Identifier("FI_HETU", ("[0-3]9[01]999[\\-A-FU-Y]9{3}[0-9A-FHJ-NPR-Y]",), _finnish),
    Identifier("IS_KENNITALA", ("[0-7]9[01]999-9{4}",), kennitala.is_valid),
    Identifier("IS_KENNITALA", ("[0-7]9[01]999 9{4}",), kennitala.is_valid, "kennitala|kt"),
    Identifier(
        "EE_PERSONAL_CODE", ("[1-8]9{10}",), ik.is_valid, "isikukood|personal code|personal id|personal identification"
    ),
    Identifier("LV_PERSONAL_CODE", ("[0-3]9{5}-9{5}",), pvn.is_valid),
    Identifier("LT_PERSONAL_CODE", ("[1-9]9{10}",), asmens.is_valid, "asmens kod\\w*|personal code|personal id"),
    Identifier("CZ_BIRTH_NUMBER", ("9{6}/9{4}",), rc.is_valid),
    Identifier(
        "CZ_BIRTH_NUMBER",
        ("9{6}[ /]?9{4}",),
        rc.is_valid,
        "rodn\xc0 \xc0\xc0slo|rodne cislo|birth number|rodn\xc0 \xc0islo",
    ),
    Identifier("HU_TAJ", ("999 999 999",), checks.hu_taj, "taj|taj sz\xc0m|t\xc0rsadalombiztos\xc0t\xc0si"),
    Identifier("RO_CNP", ("[1-9]9{12}",), cnp.is_valid, "cnp|cod numeric|personal numeric code"),
    Identifier("BG_EGN", ("9{10}",), egn.is_valid, "egn|personal number|citizen number"),
    Identifier("HR_OIB", ("9{11}",), oib.is_valid, "oib|osobni identifikacijski broj|personal identification"),
    Identifier(
        "JMBG",
        ("[0-3]9[01]9{10}",),
        emso.is_valid,
        "jmbg|emso|em\xc0o|embg|mati\xc0ni broj|maticni broj|mati\xc0na \xc0tevilka",
    ),
    Identifier("GR_AMKA", ("[0-3]9[01]9{8}",), amka.is_valid, "amka"),
    Identifier("UA_TAX_ID", ("9{10}",), rntrc.is_valid, "rnokpp|rntrc|ipn|tax id|tax number|taxpayer"),
    Identifier("RU_SNILS", ("999-999-999 99",), checks.snils),
    Identifier("RU_SNILS", ("999 999 999 99",), checks.snils, "snils"),
    Identifier("RU_INN", ("9{12}",), inn.is_valid, "inn|tax id|taxpayer"),
    Identifier("KZ_IIN", ("9{12}",), checks.kz_iin, "iin|individual identification number"),
)

DETECTORS = tuple(map(detector, TABLE))

"""Passports, driving licences and other papers, which have no check digit: a word must stand right before the number.

The lines of machine readable zones do have check digits; see `mrz`.
"""

from __future__ import annotations

from guards.pii.detectors import checks
from guards.pii.detectors.identifiers import Identifier, detector

_PASSPORT = (
    "passport|reisepass|reisepassnummer|passnummer|pass nr|passeport|pasaporte|passaporto|passaporte|paspoort|"
    "paspoortnummer|pasnummer|paszportu?"
)
# By country: digits alone (US, UK, RU), one to three letters in front (IN, JP, IT, ES), letters inside (FR, NL, DE).
_PASSPORTS = (
    "9{8,9}",
    "99 9{7}",
    "9999 9{6}",
    "A{1,3} ?9{5,9}",
    "99A{2}9{5}",
    "A9{6}A{2}",
    "A{2}X{6}9",
    "[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}",
)
_DRIVER = (
    "driv(?:er|ing).{0,2} licen[cs]e|driving permit|dl number|dl no|=DLN|f\xc0hrerschein|fuehrerschein|"
    "f\xc0hrerscheinnummer|permis de conduire|permiso de conducir|carnet de conducir|licencia de conducir|"
    "patente di guida|rijbewijs|carteira de motorista|=CNH|prawo jazdy"
)
_NATIONAL = (
    "national id|national identity|national identification|identity card|identity number|id card|citizen id|"
    "citizenship number|government id|carte d.identit\xc0|carte nationale|=CNI|documento de identidad|"
    "documento nacional|c\xc0dula|cedula|dni|carta d.identit\xc0|personalausweis|ausweisnummer|"
    "bilhete de identidade|dow\xc0d osobisty|identiteitskaart|=NIN|=NRC|residence permit|aufenthaltstitel"
)
_TAX = (
    "tax id|tax identification|tax ?payer id|tax number|tax no|tax reference|=TIN|steuernummer|steuer nr|st\\.nr|"
    "num\xc0ro fiscal|=NIT|nif|npwp|vat id|vat number|vat no|codice fiscale|partita iva|ust.?idnr"
)
_HEALTH = (
    "medical record|mrn|patient id|patient number|patient no|health card|health insurance|member id|insurance id|"
    "insurance number|policy number|policy no|versichertennummer|krankenversichertennummer|subscriber id|ehic"
)

# In groups each but the first has a digit, lest a word behind the number is taken for a part of it.
_GROUP = "[ \\-./]X{0,4}9X{0,4}"
_IN_GROUPS = ("X{1,4}" + 3 * _GROUP, "X{1,6}" + 2 * _GROUP, "X{1,6}" + _GROUP)
_LETTERED = (*_IN_GROUPS, "X{5,14}")

WEAK_TABLE = (
    Identifier("PASSPORT", _PASSPORTS, checks.digits_in(3), _PASSPORT, close=True),
    Identifier("DRIVER_LICENCE", (*_IN_GROUPS, "X{5,18}"), checks.digits_in(4), _DRIVER, close=True),
    Identifier("NATIONAL_ID", _LETTERED, checks.digits_in(4), _NATIONAL, close=True),
    Identifier("TAX_ID", _LETTERED, checks.digits_in(5), _TAX, close=True),
    Identifier("HEALTH_ID", _LETTERED, checks.digits_in(4), _HEALTH, close=True),
)

WEAK_DETECTORS = tuple(map(detector, WEAK_TABLE))

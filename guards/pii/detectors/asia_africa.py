"""Numbers of persons in Asia, Africa, Australia and New Zealand.

The words are Latin ones: folded text keeps no letters of other scripts.
"""

from __future__ import annotations

from stdnum import luhn
from stdnum.au import tfn
from stdnum.il import idnr as teudat
from stdnum.in_ import aadhaar, pan
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.my import nric
from stdnum.nz import ird
from stdnum.pk import cnic
from stdnum.th import pin
from stdnum.tr import tckimlik
from stdnum.za import idnr as za_id

from guards.pii.detectors import checks
from guards.pii.detectors.identifiers import Identifier, detector

_ID_WORDS = "id number|id no|identity number|identity no|identity card|id card|national id"


def _emirates(number: str) -> bool:
    return luhn.is_valid(number) and 1900 <= int(number[3:7]) <= 2100


def _voter(number: str) -> bool:
    return luhn.is_valid(number[3:])


TABLE = (
    Identifier("IN_AADHAAR", ("[2-9]999 9999 9999",), aadhaar.is_valid, "aadhaar|aadhar|adhaar|uidai|aadhaar card"),
    Identifier(
        "IN_PAN", ("A{3}[ABCFGHJLPT]A9{4}A",), pan.is_valid, "=PAN|=Pan|pan card|pan no|pan number|permanent account"
    ),
    Identifier("IN_PAN", ("A{3}[ABCFGHJLPT]A9{4}A",), pan.is_valid, wary=True),
    Identifier("IN_VOTER_ID", ("A{3}9{7}",), _voter, "voter id|voter card|epic|elector\\w* photo"),
    Identifier("CN_RESIDENT_ID", ("[1-9]9{5}[12]9{10}[0-9X]",), checks.cn_resident, any_case=True),
    Identifier("KR_RRN", ("99[01]9[0-3]9-[1-8]9{6}",), rrn.is_valid),
    Identifier("KR_RRN", ("99[01]9[0-3]9 [1-8]9{6}",), rrn.is_valid, "rrn|resident registration|jumin"),
    Identifier(
        "JP_MY_NUMBER", ("9999 9999 9999",), my_number.is_valid, "my number|individual number|kojin bango|mynumber"
    ),
    Identifier("TW_ID", ("[A-Z][12]9{8}",), checks.tw_id, f"{_ID_WORDS}|taiwan"),
    Identifier("HK_ID", ("A{1,2}9{6}[(][0-9A][)]",), checks.hk_id),
    Identifier("HK_ID", ("A{1,2}9{6}[0-9A]",), checks.hk_id, f"hkid|hong kong|{_ID_WORDS}"),
    Identifier("SG_NRIC", ("[STFGM]9{7}A",), checks.sg_nric, any_case=True, wary=True),
    Identifier("MY_NRIC", ("99[01]9[0-3]9-99-9{4}",), nric.is_valid),
    Identifier("MY_NRIC", ("99[01]9[0-3]9 99 9{4}",), nric.is_valid, "nric|mykad|ic number|ic no|kad pengenalan"),
    Identifier("TH_PIN", ("[1-8]-9999-9{5}-99-9",), pin.is_valid),
    Identifier("TH_PIN", ("[1-8] 9999 9{5} 99 9",), pin.is_valid, f"thai|citizen id|{_ID_WORDS}"),
    Identifier("PK_CNIC", ("[1-7]9{4}-9{7}-[1-9]",), cnic.is_valid),
    Identifier("PK_CNIC", ("[1-7]9{12}",), cnic.is_valid, "cnic|nadra"),
    Identifier("IL_ID", ("9{8,9}", "9{8}-9"), teudat.is_valid, "teudat zehut|mispar zehut|israeli id|israel id|zehut"),
    Identifier("TR_KIMLIK", ("[1-9]9{10}",), tckimlik.is_valid, "kimlik|tckn|tc no|tc kimlik|t.c. kimlik"),
    Identifier("AE_EMIRATES_ID", ("784-9999-9{7}-9",), _emirates),
    Identifier("AE_EMIRATES_ID", ("784 9999 9{7} 9",), _emirates, "emirates id|eid|idn"),
    Identifier("ZA_ID", ("9{6} 9{4} [012]9{2}",), za_id.is_valid, f"{_ID_WORDS}|south african|rsa id"),
    Identifier("AU_TFN", ("999 999 999", "99 999 999", "9{8,9}"), tfn.is_valid, "tfn|tax file"),
    Identifier("AU_MEDICARE", ("[2-6]9{3} 9{5} 9", "[2-6]9{3} 9{5} 9[ /-]?9"), checks.au_medicare, "medicare"),
    Identifier("NZ_IRD", ("9{2,3} 999 999",), ird.is_valid, "ird|inland revenue"),
    Identifier(
        "NZ_NHI", ("[A-HJ-NP-Z]{3}9999", "[A-HJ-NP-Z]{3}99[A-HJ-NP-Z]{2}"), checks.nz_nhi, "nhi|national health index"
    ),
)

DETECTORS = tuple(map(detector, TABLE))

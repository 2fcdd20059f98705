"""Numbers of persons in the Americas; those of the United States' social security are in `ssn`."""

from __future__ import annotations

from stdnum.ar import cuit
from stdnum.br import cnpj, cpf
from stdnum.ca import sin
from stdnum.cl import rut
from stdnum.cu import ni
from stdnum.do import cedula
from stdnum.ec import ci
from stdnum.mx import curp, rfc
from stdnum.us import ein

from guards.pii.detectors import checks
from guards.pii.detectors.identifiers import Identifier, detector

_MBI = "[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]9 [AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]9 [AC-HJKMNP-RT-Y]{2}99"
_RUT_WORDS = "rut|=RUN|rol \xc0nico|rol unico"


def _rfc(number: str) -> bool:
    return rfc.is_valid(number, validate_check_digits=True)


TABLE = (
    Identifier("US_MEDICARE", (_MBI,), checks.any_number, "medicare|mbi|beneficiary|hicn"),
    Identifier("US_MEDICARE", (_MBI.replace(" ", "-"),), checks.any_number),
    Identifier(
        "US_EIN",
        ("99-9{7}", "9{9}"),
        ein.is_valid,
        "=EIN|=FEIN|ein[\"']|ein number|employer identification|employer id|federal tax id",
        close=True,
    ),
    Identifier("US_NPI", ("[12]9{9}",), checks.us_npi, "npi|national provider|provider identifier"),
    Identifier("US_DEA", ("[A-HJ-MP-UX][A-Z9]9{7}",), checks.us_dea, "dea"),
    Identifier(
        "CA_SIN",
        ("999 999 999",),
        sin.is_valid,
        "=SIN|sin[\"']|sin number|social insurance|=NAS|assurance sociale",
    ),
    Identifier("BR_CPF", ("999[.]999[.]999-99",), cpf.is_valid),
    Identifier("BR_CPF", ("999 999 999 99",), cpf.is_valid, "cpf"),
    Identifier("BR_CNPJ", ("99[.]999[.]999/9999-99",), cnpj.is_valid),
    Identifier("BR_CNPJ", ("9{14}",), cnpj.is_valid, "cnpj"),
    Identifier("AR_CUIT", ("[23][0347]-9{8}-9",), cuit.is_valid),
    Identifier("AR_CUIT", ("[23][0347] 9{8} 9",), cuit.is_valid, "cuit|cuil"),
    Identifier("CL_RUT", ("9{1,2}[.]999[.]999-[0-9K]",), rut.is_valid),
    Identifier("CL_RUT", ("9{7,8} [0-9K]", "9{1,2} 999 999 [0-9K]"), rut.is_valid, _RUT_WORDS),
    Identifier(
        "MX_CURP", ("[A-Z][AEIOUX]A{2}99[01]9[0-3]9[HMX]A{2}[B-DF-HJ-NP-TV-Z]{3}X9",), curp.is_valid, any_case=True
    ),
    Identifier("MX_RFC", ("A{4} 99[01]9[0-3]9 X{2}[0-9A]",), _rfc, any_case=True),
    Identifier("EC_CEDULA", ("[0-3]9{9}", "[0-3]9{8}-9"), ci.is_valid, "c\xc0dula|cedula|=C\\.I\\."),
    Identifier("DO_CEDULA", ("999-9{7}-9",), cedula.is_valid),
    Identifier("DO_CEDULA", ("9{11}",), cedula.is_valid, "c\xc0dula|cedula"),
    Identifier("UY_CI", ("9[.]999[.]999-9",), checks.uy_ci),
    Identifier("UY_CI", ("9{8}", "9{7}-9"), checks.uy_ci, "c\xc0dula|cedula|=C\\.I\\."),
    Identifier("CU_ID", ("9{11}",), ni.is_valid, "carn\xc0 de identidad|carne de identidad|carnet de identidad"),
)

DETECTORS = tuple(map(detector, TABLE))

"""Putting cases to a gateway, each with a limit on its time, and keeping what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import aiohttp

from conformance.case import Case, Mismatch, short
from conformance.probe import Caller, Probe
from conformance.profile import Profile
from conformance.upstream import Upstream

JOBS = 4  # cases at once: enough to wait for several silent upstreams together, and little load


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105 - no password, a verdict
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True, slots=True)
class Result:
    case: Case
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Runner:
    """Puts cases to one gateway. `url` is without `/v1`; `key` may make keys where the profile asks for it."""

    url: str
    key: str
    profile: Profile
    upstream: Upstream

    async def run(self, cases: Sequence[Case], told: Callable[[Result], None] = lambda result: None) -> list[Result]:
        """The results in the order of `cases`; `told` hears of each as it comes."""
        results: dict[str, Result] = {}
        jobs = asyncio.Semaphore(JOBS)

        async def one(case: Case) -> None:
            async with jobs:
                results[case.id] = await self._result(case)
                told(results[case.id])

        for case in cases:
            if case.alone:
                await one(case)
        await asyncio.gather(*(one(case) for case in cases if not case.alone))
        return [results[case.id] for case in cases]

    async def _result(self, case: Case) -> Result:
        if why := self.profile.missing(case.needs):
            return Result(case, Verdict.NOT_APPLICABLE, why)
        self.upstream.forget(case.id)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            probe = Probe(case, self.url, Caller(self.key), self.profile, self.upstream, http)
            try:
                async with asyncio.timeout(case.limit):
                    await case.check(probe)
            except Mismatch as mismatch:
                return Result(case, Verdict.FAIL, str(mismatch))
            except TimeoutError:
                return Result(case, Verdict.FAIL, f"no end within {case.limit:g} s")
            except Exception as error:  # whatever a gateway's answer made a client or a case stumble over
                return Result(case, Verdict.FAIL, f"{type(error).__name__}: {short(str(error))}")
            finally:
                await probe.close()
        return Result(case, Verdict.PASS)

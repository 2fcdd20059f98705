"""The metrics of a gate that serves with several worker processes, as one page, whichever worker is asked.

Each worker keeps its values in files of a directory they share (prometheus_client's multiprocess mode, which is on
where `VARIABLE` names one before that library is imported). Counters of a worker that died stay counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
REFRESH_SECONDS = 1.0  # how old what a worker shows of itself may be on a page that another one makes

_LIVE = re.compile(r"gauge_live[a-z]+_([0-9]+)\.db")
_ADDED_UP = frozenset(
    (
        "process_cpu_seconds",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    )
)


def worker_registry(directory: Path) -> CollectorRegistry:
    """What all workers that share `directory` have counted."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    registry.register(_Processes(directory))
    return registry


def forget_worker(directory: Path, pid: int) -> None:
    """A worker is gone: what it counted stays, what it showed of its present does not."""
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]


class _Processes(Collector):
    """CPU time, memory and open files of all living workers together; the start time is the first one's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        together: dict[str, Metric] = {}
        for pid in sorted(self._pids()):
            for metric in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                known = together.setdefault(metric.name, metric)
                if known is not metric:
                    known.samples = [
                        _both(metric.name, *pair) for pair in zip(known.samples, metric.samples, strict=True)
                    ]
        yield from together.values()

    def _pids(self) -> set[str]:
        found = (_LIVE.fullmatch(path.name) for path in self._directory.iterdir())
        return {match[1] for match in found if match}


def _both(name: str, one: Sample, other: Sample) -> Sample:
    value = one.value + other.value if name in _ADDED_UP else min(one.value, other.value)
    return one._replace(value=value)

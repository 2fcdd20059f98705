"""The local engines' statistics as Prometheus metrics, read at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.types import EngineStats


class EngineCollector(Collector):
    """`engines` maps each local model's name to what returns its statistics; it must not block."""

    def __init__(self, engines: Mapping[str, Callable[[], EngineStats]]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Metric]:
        stats = {name: read() for name, read in self._engines.items()}
        yield _gauge("running_sequences", "Sequences in the batch.", {n: s.running for n, s in stats.items()})
        yield _gauge("waiting_sequences", "Sequences in the queue.", {n: s.waiting for n, s in stats.items()})
        yield _gauge(
            "batch_size_max",
            "The largest batch since the start.",
            {n: s.max_running_seen for n, s in stats.items()},
        )
        yield _gauge(
            "kv_blocks_cached",
            "Free blocks that still hold a beginning another request may share.",
            {n: s.blocks_cached for n, s in stats.items()},
        )
        blocks = GaugeMetricFamily(
            "sluicegate_engine_kv_blocks",
            "Blocks of the KV cache: used ones belong to a sequence, free ones can be given out at once.",
            labels=_BY_STATE,
        )
        tokens = CounterMetricFamily(
            "sluicegate_engine_tokens",
            "Tokens worked through; prompt tokens from the cache count.",
            labels=_BY_KIND,
        )
        hits = CounterMetricFamily(
            "sluicegate_engine_prefix_hit_tokens",
            "Prompt tokens taken from the prefix cache.",
            labels=("engine",),
        )
        for name, s in stats.items():
            blocks.add_metric((name, "free"), s.blocks_free + s.blocks_cached)
            blocks.add_metric((name, "used"), s.blocks_used)
            tokens.add_metric((name, "prompt"), s.prompt_tokens)
            tokens.add_metric((name, "generated"), s.generated_tokens)
            hits.add_metric((name,), s.prefix_hit_tokens)
        yield from (blocks, tokens, hits)


_BY_STATE = ("engine", "state")
_BY_KIND = ("engine", "kind")


def _gauge(name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"sluicegate_engine_{name}", text, labels=("engine",))
    for engine, value in values.items():
        family.add_metric((engine,), value)
    return family

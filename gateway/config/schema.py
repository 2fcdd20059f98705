"""The shape of the configuration file and every default.

Reading it is `load`'s work, rules between parts are `crosscheck`'s. All sections are frozen. Durations are in
seconds, sizes in bytes, prices in US dollars per million tokens (or per second of engine time) as exact
decimals. What this version does not build has no place here: see `unbuilt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from billing.budgets import Budget, BudgetError, Window, check_distinct
from billing.prices import Price
from engine.config import EngineConfig, KVCacheConfig, KVDtype, Weights
from engine.errors import EngineConfigError
from gateway.admission import limits
from gateway.config import faults, source
from gateway.config.guards import Guard
from gateway.config.section import Section
from gateway.config.values import (
    After,
    Amount,
    Count,
    DatabaseUrl,
    Dollars,
    Duration,
    HttpUrl,
    Integer,
    Name,
    Number,
    Secret,
    SecretUrl,
    Size,
    StateUrl,
    Tag,
    TimeZone,
    safe_name,
    switched_off,
)
from guards.spec import GuardSpec

OPENAI_BASE_URL = "https://api.openai.com/v1"
Share = Annotated[Number, Field(ge=0, le=1)]
ENGINE_FIRST_TOKEN = 120.0  # a local prompt waits its turn on hardware it shares; a provider's should not


class Server(Section):
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[Integer, Field(ge=0, le=65535)] = 8080  # 0: any free port
    max_body: Size = 10 * 2**20
    state_dir: Path = Path(".sluicegate")  # the admin key's file and the ledger's journal
    guards_header: bool = True  # tell callers what guards did, in x-sluicegate-guards
    guard_workers: Annotated[Integer, Field(ge=1, le=64)] = 1  # processes for guards' heavy work (names, topics)
    heartbeat: Duration = 15.0  # silence after which a stream gets a comment, so that proxies keep it open


class Journal(Section):
    fsync: Literal["interval", "always", "never"] = "interval"


class Storage(Section):
    """`on_outage`: what happens to calls while the database is away or the journal's disk is full.

    `refuse` answers 503. `continue` serves keys seen in the last hour and keeps records where they can be kept.
    """

    url: DatabaseUrl = SecretUrl("sqlite+aiosqlite:///sluicegate.db")
    journal: Journal = Journal()
    on_outage: Literal["refuse", "continue"] = "refuse"


class SharedState(Section):
    """Where limits and budgets are counted. Replicas that share keys must share it.

    `on_store_error`: what happens to calls under a limit while it is away. `refuse` answers 503; `local` counts in the
    process, so that each replica keeps the limits for itself.
    """

    url: StateUrl = SecretUrl("memory://")
    on_store_error: Literal["refuse", "local"] = "refuse"


class Rates(Section):
    """Limits of one model over all its callers. A minute is any 60 seconds."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    input_tokens_per_minute: Count | None = None
    output_tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None

    def to_limits(self) -> limits.Limits:
        return limits.Limits(**self.model_dump())


class TagBudget(Section):
    """A ceiling over all calls that carry one tag."""

    tag: Tag  # "customer=acme"
    limit_usd: Amount
    window: Window
    timezone: TimeZone = "UTC"

    def to_budget(self) -> Budget:
        return Budget(limit=self.limit_usd, window=self.window, timezone=self.timezone)


def _check_distinct(tags: tuple[TagBudget, ...]) -> tuple[TagBudget, ...]:
    for tag in {entry.tag for entry in tags}:
        try:
            check_distinct(entry.to_budget() for entry in tags if entry.tag == tag)
        except BudgetError as error:
            raise ValueError(f"{tag}: {error}") from None
    return tags


class Webhook(Section):
    """Where budgets tell their thresholds. With a `secret` each event is signed."""

    url: HttpUrl
    secret: SecretStr | None = None


class Budgets(Section):
    """What holds for all budgets; those of keys, teams and users are set by the admin API.

    `unpriced`: whether a target without a price may serve a call under a budget (at a cost of nothing).
    """

    unpriced: Literal["refuse", "allow"] = "refuse"
    thresholds: tuple[Annotated[Integer, Field(ge=1, le=100)], ...] = (50, 80, 100)
    webhook: Webhook | None = None
    tags: Annotated[tuple[TagBudget, ...], AfterValidator(_check_distinct)] = ()


class Prices(Section):
    """`file`: an operator's price list in litellm's format, used in place of the bundled one."""

    file: Path | None = None


class Timeouts(Section):
    """Seconds. `first_token`: from sending the request; `idle`: between two pieces of a stream."""

    connect: Duration = 2.0
    first_token: Duration = 20.0
    idle: Duration = 30.0
    total: Duration = 300.0


class Breaker(Section):
    """Opens after `failures` failures within `window` seconds, for `cooldown` seconds."""

    failures: Annotated[Integer, Field(ge=1, le=1000)] = 5
    window: Duration = 30.0
    cooldown: Duration = 10.0


class Health(Section):
    """A GET of `path` behind the target's base_url every `interval` seconds, from which any 2xx is expected."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/models"
    interval: Duration = 10.0
    timeout: Duration = 2.0


class Hedge(Section):
    """`after`: when a second target is asked as well; "p95" is that of the first one's own recent latencies."""

    after: After = "p95"


class LastResort(Section):
    """The text callers get as a normal answer when every target has failed."""

    message: Annotated[str, Field(min_length=1, max_length=10_000)]


class TokenPrices(Section):
    """US dollars per million tokens."""

    input: Dollars | None = None
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    output: Dollars | None = None
    reasoning: Dollars | None = None
    audio_input: Dollars | None = None
    audio_output: Dollars | None = None


class PriceTier(TokenPrices):
    """Other prices for a request of more than `above` input tokens: for all of its tokens."""

    above: Count


class TargetPrice(TokenPrices):
    """US dollars: tokens by the million, the rest by the piece; see `billing.prices.Price` for what defaults to what.

    `margin` is added to the sum ("0.05": 5 %), `batch_discount` taken off.
    """

    per_image: Dollars | None = None
    per_request: Dollars | None = None
    per_compute_second: Dollars | None = None
    margin: Dollars | None = None
    batch_discount: Dollars | None = None
    tiers: tuple[PriceTier, ...] | None = None

    def to_price(self) -> Price:
        """The ledger's own form. Raises PriceError if the parts do not make a price."""
        return Price.parse(self.model_dump(exclude_none=True))

    @model_validator(mode="after")
    def _makes_a_price(self) -> Self:
        self.to_price()  # PriceError is a ValueError
        return self


class ProviderOptions(Section):
    """What some providers need beside a key. Which takes which: `gateway.config.providers`."""

    region: Annotated[str, Field(min_length=1)] | None = None
    api_version: Annotated[str, Field(min_length=1)] | None = None
    project: Annotated[str, Field(min_length=1)] | None = None
    credentials: SecretStr | None = None  # a Google service account: its JSON, or the path of its file
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None


class Target(Section):
    """One place that can answer: a local engine, a model at an OpenAI-compatible server, or one of another provider.

    `name` labels it in headers, metrics and the ledger; made from the rest where it is not given, and unique
    to one upstream over the whole file. For `retries`, 0 means a single attempt.
    """

    name: Name
    engine: str | None = None
    provider: str | None = None  # one of `gateway.config.providers`
    model: Annotated[str, Field(min_length=1)] | None = None
    base_url: HttpUrl | None = None
    api_key: Secret | None = None
    proxy: HttpUrl | None = None  # of provider "openai"; nothing is taken from the environment
    ca_file: Path | None = None  # certificates (PEM) that sign the server's; the system's, where it is not given
    options: ProviderOptions = ProviderOptions()
    weight: Annotated[Number, Field(gt=0)] = 1.0
    retries: Annotated[Integer, Field(ge=0, le=10)] = 2
    timeouts: Timeouts = Timeouts()
    breaker: Annotated[Breaker | None, BeforeValidator(switched_off)] = Breaker()  # False: none
    health: Health | None = None
    price: TargetPrice | None = None
    tokenizer: Annotated[str, Field(min_length=1)] | None = None  # an encoding's name, or a tokenizer.json
    max_output_tokens: Count | None = None  # of an answer whose caller set no limit; sent to the provider


class Difficulty(Section):
    """For `routing: difficulty`: the configured model of each tier, and where the score (0 to 1) parts them.

    `model`: a weights file of one's own (`sluicegate difficulty train`). `shadow`: the tier that serves everything
    while decisions are only recorded; true means hard.
    """

    simple: str
    medium: str
    hard: str
    thresholds: tuple[Share, Share] = (0.35, 0.7)
    model: Path | None = None
    shadow: Literal[False, "simple", "medium", "hard"] = False

    @field_validator("shadow", mode="before")
    @classmethod
    def _hard_serves(cls, shadow: Any) -> Any:
        return "hard" if shadow is True else shadow

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.thresholds[0] > self.thresholds[1]:
            raise ValueError("the first of thresholds must not be above the second")
        return self


class Model(Section):
    """What clients name in "model"."""

    name: Name
    routing: Literal["ordered", "weighted", "least_busy", "lowest_latency", "lowest_cost", "difficulty"] = "ordered"
    targets: tuple[Target, ...] = ()  # none for routing by difficulty, at least one else: see `crosscheck`
    difficulty: Difficulty | None = None
    fallbacks: tuple[str, ...] = ()  # when every target failed
    context_window_fallbacks: tuple[str, ...] = ()  # when the prompt was too long
    content_filter_fallbacks: tuple[str, ...] = ()  # when the provider's own filter took the answer
    hedge: Hedge | None = None
    last_resort: LastResort | None = None
    limits: Rates = Rates()


class KVCache(Section):
    """None leaves the engine's own default."""

    dtype: KVDtype | None = None
    memory: Annotated[Size, Field(ge=2**20)] | None = None
    block_size: Count | None = None


class EngineModel(Section):
    """A local model. None leaves the engine's own default (`engine.config.EngineConfig`)."""

    path: Annotated[str, Field(min_length=1)]
    weights: Weights | None = None
    kv_cache: KVCache = KVCache()
    max_context: Count | None = None
    max_sequences: Count | None = None
    max_waiting: Count | None = None
    token_budget: Count | None = None
    prefill_chunk: Count | None = None
    threads: Count | None = None
    prefix_caching: bool | None = None
    input_log: str | None = None
    step_timeout: Duration | None = None

    def to_engine_config(self, name: str) -> EngineConfig:
        """The engine's own form. Raises EngineConfigError if the numbers cannot work together."""
        given = self.model_dump(exclude={"kv_cache"}, exclude_none=True)
        kv_cache = KVCacheConfig(**self.kv_cache.model_dump(exclude_none=True))
        config = EngineConfig(name=name, kv_cache=kv_cache, **given)
        config.check()
        return config

    @model_validator(mode="after")
    def _numbers_work_together(self) -> Self:
        try:
            self.to_engine_config("")
        except EngineConfigError as error:
            raise ValueError(str(error)) from None
        return self


class Engine(Section):
    models: Mapping[Name, EngineModel] = Field(default_factory=dict)


class ExactCache(Section):
    """Answers given again to equal requests of one tenant. `max_bytes` binds a cache in memory, not one on a server.

    `url`: where they are kept; by default where limits are counted. `stale_if_error`: how much longer they are kept
    for when every target fails.
    """

    ttl: Duration = 600.0
    max_bytes: Size = 64 * 2**20
    max_entry: Size = 2**20
    stale_if_error: Duration | None = None
    url: StateUrl | None = None

    @model_validator(mode="after")
    def _an_entry_fits(self) -> Self:
        if self.max_entry > self.max_bytes:
            raise ValueError("max_entry is more than max_bytes")
        return self


class Cache(Section):
    exact: ExactCache | None = None


class Telemetry(Section):
    otlp_endpoint: HttpUrl | None = None
    service_name: Annotated[str, Field(min_length=1)] = "sluicegate"
    traces_per_second: Annotated[Number, Field(gt=0)] | None = 50  # of requests that went well; null: all of them
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_bodies: Literal["none"] = "none"


class Config(Section):
    """The whole file. `fault` gives a later finding (a guard that cannot be built) its line in it."""

    server: Server = Server()
    admin_key: SecretStr | None = None
    storage: Storage = Storage()
    shared_state: SharedState = SharedState()
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    engine: Engine = Engine()
    guards: tuple[Guard, ...] = ()
    budgets: Budgets = Budgets()
    prices: Prices = Prices()
    cache: Cache = Cache()
    telemetry: Telemetry = Telemetry()

    _document: source.Document = PrivateAttr(default_factory=source.Document)

    @model_validator(mode="before")
    @classmethod
    def _fill_targets(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = {key: value for key, value in data.items() if value is not None}  # `guards:` with all lines commented
        if isinstance(models := data.get("models"), list):
            names = _TargetNames(models)
            data["models"] = [_with_targets(model, names) for model in models]
        return data

    def engine_configs(self) -> dict[str, EngineConfig]:
        """The engine's own configuration of every local model, by name."""
        return {name: model.to_engine_config(name) for name, model in self.engine.models.items()}

    def guard_specs(self) -> tuple[GuardSpec, ...]:
        """The guards' own form of every guard, in the file's order."""
        return tuple(guard.to_spec() for guard in self.guards)

    def target_providers(self) -> dict[str, str]:
        """Every target's name with its provider; "sluicegate" for local engines."""
        return {t.name: t.provider or "sluicegate" for model in self.models for t in model.targets}

    def fault(self, path: faults.Path, message: str) -> faults.Fault:
        """A fault at `path` (`("guards", 0, "entities")`) with the line it has in the file."""
        return self._document.fault(path, message)

    def redacted(self) -> dict[str, Any]:
        """The whole configuration, defaults included, as JSON-able data without secrets."""
        return {key: _plain(value) for key, value in self.model_dump().items()}


_TARGET_IDENTITY = (
    "engine", "provider", "model", "base_url", "api_key", "proxy", "ca_file", "options", "price", "breaker", "health",
)  # fmt: skip


class _TargetNames:
    """Gives each upstream one name: the same one at the same price in two models shares it, two others never do."""

    def __init__(self, models: Iterable[Any]) -> None:
        self._names: dict[tuple[str, ...], str] = {}
        self._taken = {target["name"] for model in models for target in _targets(model) if "name" in target}

    def name(self, target: Mapping[str, Any]) -> str:
        upstream = tuple(str(target.get(key)) for key in _TARGET_IDENTITY)
        if upstream not in self._names:
            engine, provider, model = target.get("engine"), target.get("provider"), target.get("model")
            base = safe_name(f"engine/{engine}" if engine else f"{provider}/{model}")
            numbered = (f"{base}#{n}" if n > 1 else base for n in count(1))
            self._names[upstream] = next(name for name in numbered if name not in self._taken)
            self._taken.add(self._names[upstream])
        return self._names[upstream]


def _targets(model: Any) -> list[dict[str, Any]]:
    """The targets of a model as far as they are mappings with a usable name, in data not yet checked."""
    targets = model.get("targets") if isinstance(model, dict) else None
    if not isinstance(targets, list):
        return []
    return [t for t in targets if isinstance(t, dict) and isinstance(t.get("name", ""), str)]


def _with_targets(model: Any, names: _TargetNames) -> Any:
    if not isinstance(model, dict) or not isinstance(targets := model.get("targets"), list):
        return model
    return {**model, "targets": [_filled(t, names) if isinstance(t, dict) else t for t in targets]}


def _filled(target: Mapping[str, Any], names: _TargetNames) -> dict[str, Any]:
    """`target` with the defaults that depend on what kind of target it is."""
    filled = {key: value for key, value in target.items() if value is not None}
    if filled.get("provider") == "openai":
        filled.setdefault("base_url", OPENAI_BASE_URL)
    filled.setdefault("name", names.name(filled))
    if filled.get("engine") and isinstance(timeouts := filled.get("timeouts", {}), dict):
        filled["timeouts"] = {"first_token": ENGINE_FIRST_TOKEN, **timeouts}
    return filled


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, SecretStr | Decimal | Path):
        return str(value)
    return value

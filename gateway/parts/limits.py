"""From the configuration to admission: the store of counters, what binds every key, the webhook."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.budgets import Budget
from billing.ledger import Ledger
from gateway.admission.admission import Admission, Scopes
from gateway.admission.alerts import Alerts, Counter, Webhook
from gateway.admission.limits import Binding, Limits
from gateway.admission.seeding import Seeder
from gateway.admission.stores.base import LimitStore
from gateway.admission.stores.open import StoreConfigError, open_store
from gateway.config import Config, schema
from gateway.parts.shared import Shared
from gateway.startup import StartupError


async def open_limits(config: Config, stack: AsyncExitStack) -> LimitStore:
    try:
        store = open_store(config.shared_state.url.get_secret_value(), config.shared_state.on_store_error)
    except StoreConfigError as error:
        raise StartupError(str(error)) from None
    await store.start()
    stack.push_async_callback(store.close)
    return store


async def open_seeder(store: LimitStore, database: AsyncEngine, ledger: Ledger, stack: AsyncExitStack) -> Seeder:
    seeder = Seeder(database, ledger, store)
    await seeder.start()
    stack.push_async_callback(seeder.close)
    return seeder


async def open_admission(
    config: Config, store: LimitStore, seeder: Seeder, passed: Counter, shared: Shared, stack: AsyncExitStack
) -> Admission:
    """What the configuration binds, counted in `store`; the webhook is held until `stack` is closed."""
    webhook = None
    if (told := config.budgets.webhook) is not None:
        webhook = await shared.hold(("webhook", told), partial(_webhook, told), stack)
    alerts = Alerts(config.budgets.thresholds, passed, webhook)
    admission = Admission(store, seeder, alerts, _scopes(config))
    stack.push_async_callback(admission.close)
    return admission


async def _webhook(told: schema.Webhook) -> Webhook:
    webhook = Webhook(told.url.get_secret_value(), told.secret.get_secret_value() if told.secret else None)
    await webhook.start()
    return webhook


def _scopes(config: Config) -> Scopes:
    """What the configuration itself binds."""
    models = {}
    for model in config.models:
        if (limits := model.limits.to_limits()) != Limits():
            models[model.name] = Binding(kind="model", id=model.name, limits=limits)
    by_tag: dict[str, list[Budget]] = {}
    for budget in config.budgets.tags:
        by_tag.setdefault(budget.tag, []).append(budget.to_budget())
    tags = {}
    for tag, budgets in by_tag.items():
        name, _, value = tag.partition("=")
        tags[name, value] = Binding(kind="tag", id=tag, budgets=tuple(budgets))
    return Scopes(models, tags, allow_unpriced=config.budgets.unpriced == "allow")

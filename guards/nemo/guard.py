"""The guard around a folder of rails."""

from __future__ import annotations

import logging
import secrets

from guards.base import Policy
from guards.judge.session import Asking, AskingGuard, Rule, Ruling
from guards.nemo.model import RailsFailed
from guards.nemo.process import RailsProcess
from guards.nemo.wire import Load
from guards.resources import Resources
from guards.types import GuardConfigError, GuardRequest, Stage

logger = logging.getLogger(__name__)


class NemoGuard(AskingGuard):
    """`folder`: absolute. `model`: the gate's model that rails ask; None: the folder's, else the caller's."""

    def __init__(self, policy: Policy, asking: Asking, resources: Resources, folder: str, model: str | None) -> None:
        # A fingerprint of its own each time: what the files of a folder come to is known by running them only.
        super().__init__(policy, asking, resources.cache, secrets.token_bytes(16))
        self.process = RailsProcess(Load(folder, model, sorted(policy.stages)))

    async def prepare(self) -> None:
        """Read the folder and try the rails. Raises GuardConfigError."""
        try:
            await self.process.start()
        except RailsFailed as error:
            raise GuardConfigError(str(error), ("rails",)) from None

    async def close(self) -> None:
        await self.process.close()

    def _rule(self, request: GuardRequest) -> Rule:
        async def rule(stage: Stage, text: str) -> Ruling:
            try:
                return await self.process.check(self.name, stage, text, request.models)
            except RailsFailed as error:
                logger.warning("the rails of the guard %r failed: %s", self.name, error)
                raise

        return rule

"""Where a record goes that the database will never take: a file beside the journals, for a person to look at."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from billing.entry import UsageEntry, encode

logger = logging.getLogger(__name__)


class Rejects:
    """Appends records to `path`, one line of JSON each: `{"error": why, "entry": the record}`.

    A record may be there twice, when the work on its batch was cut off. The file appears with the first one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def add(self, entry: UsageEntry, error: str) -> None:
        """When this returns the record is on the disk. Raises OSError."""
        line = msgspec.json.encode({"error": error, "entry": msgspec.Raw(encode(entry))}) + b"\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            if os.write(fd, line) < len(line):
                os.ftruncate(fd, size)
                raise OSError(f"{self.path} could not be written whole")
            os.fsync(fd)
        finally:
            os.close(fd)
        self.count += 1
        logger.error("the database refuses the usage record %s (%s); it is kept in %s", entry.id, error, self.path)

"""The operator's file: read, checked as a whole, and turned into one frozen `Config`.

`load_config` is the way in. Nothing here opens a socket, a database or a model.
"""

from gateway.config.faults import ConfigError, Fault
from gateway.config.load import load_config
from gateway.config.schema import Config

__all__ = ["Config", "ConfigError", "Fault", "load_config"]

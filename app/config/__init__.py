"""The configuration: config.yml with its environment's file and variables as one frozen value. Never acts
upon it.
"""

from app.config.destinations import destination, ssh_of
from app.config.effective import effective, secrets_of
from app.config.errors import ConfigError, Problem
from app.config.loader import load
from app.config.restart import diff_needs_restart
from app.config.schema.root import Config
from app.config.values import values_of

__all__ = [
    "Config",
    "ConfigError",
    "Problem",
    "destination",
    "diff_needs_restart",
    "effective",
    "load",
    "secrets_of",
    "ssh_of",
    "values_of",
]

"""What belongs to the sentences of the pages beyond the code's own texts, and what does not. Reads no code itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

NOT_SHOWN_FILES = (
    "app/cli/",  # commands speak English
    "app/migrate/",  # as does `flask config migrate`
    "app/demo.py",  # prints to a terminal
    "app/models/",  # tables
    "app/schema.py",  # before any page is served
    "app/systemd.py",
    "app/service_file.py",  # what `flask install` writes
    "app/logs.py",
    "app/database.py",
    *("app/web/openapi", "app/web/api", "app/web/reports.py"),  # the API speaks English
    "app/web/metrics.py",  # Prometheus
    "app/web/headers.py",
    "app/web/wording.py",  # it says what others wrote
    "app/sentences.py",
    "dns/core/interfaces.py",  # `ip` and /proc
)

NOT_SHOWN = re.compile(
    "|".join(
        (
            # what is looked for in the words of rsync, ssh, nsupdate and databases
            r"Permission denied|Too many authentication failures|no such identity|Load key|bad permissions",
            r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No matching host key",
            r"max connections|No space left|Couldn't verify signature|[Cc]ould(n't| not) read key",
            r"syntax error|invalid rdata|connection refused|operation canceled|(host|network) unreachable",
            r"couldn't get address|timed out|no servers could be reached|did not end( within)?|was ended",
            r"Failed to establish a new connection|no such table|does(n't| not) exist|disk is full|disk full",
            r"no space|not a database|unable to open",
            # what programs, providers and browsers are told
            r"(prereq|update (add|delete)) .*|server \{server\} \{port\}|zone \{zone\}\.",
            r"\+time=.*|change \{value\}|exit \{code\}",
            r"(\{name\} \{ttl\} IN|\$ORIGIN|@ 3600|; Written by Lockstep|auth users|port =|# /etc/rsyncd).*",
            r"Lockstep's check from .*|<[a-z]+ .*|Basic realm=.*|(good|nochg) \{addresses\}|serves http:.*",
            r"no-cache, .*|public, max-age.*|default-src .*|application/json; .*|\d+ per minute|\S+=\S* \S*",
            r"--filter=.*|--exclude=.*|\{line\}\n.*",
            r"\{(name|url)\}[?&].*|\[.*\]|rsync \{said\}",
            # names of threads, keys and types
            r"(look|outbox|canary|dns|filtered|reporter|token|IPv\{family\}|address( probe)?|unnamed) ?\{.*",
            r"Visitor\(.*|Destination\(.*|dict\[.*|a health that cannot be.*|(deep|source) (audit|errors)",
            r"the ioctl's .*|command \{argv\}|hostname \{name\}|interface \{interface\}",
            r"static \{addresses\}|url \{urls\}",
        )
    ),
    re.DOTALL,
)


CODES = (
    400,
    401,
    403,
    404,
    405,
    406,
    408,
    409,
    411,
    412,
    413,
    414,
    415,
    416,
    417,
    422,
    428,
    429,
    431,
    500,
    501,
    503,
)
WORDS = (
    *("ready", "recovery", "unhealth", "dead"),  # states
    *(
        "added",
        "drained",
        "undrained",
        "stopped",
        "unfrozen",
        "restored",
        "new",
        "nothing",
        "everything",
        "reloaded",
    ),
    *("default", "telecom", "unicom", "mobile", "edu", "oversea"),  # lines
    *("add", "replace", "remove"),  # what is done to records
    *("published", "withdrawn"),  # what came of it
    *("supervisor", "watcher", "disk", "database", "configuration", "deletions"),  # what an alert is about
    *("told", "failed", "sent", "dropped", "expired", "waiting", "retry"),  # what came of a notice
    *("firing", "repeat", "resolved", "flapping", "hook", "test"),  # why somebody is told
    *("critical", "warning", "info"),  # how bad it is
    *("error", "recovered", "drift", "source", "held", "dns", "system", "inventory"),  # what is wrong
    *("out_of_step", "cut_off"),
    "set",  # a secret
    *("a path", "unreadable", "sending"),
    *("node", "part", "channel", "service", "provider"),  # what there is none of
)
"""Words that say everything by themselves somewhere."""


def libraries() -> Iterator[tuple[str, str]]:
    """What the libraries underneath say on our pages, each with whose it is."""
    from werkzeug.exceptions import default_exceptions

    for code in CODES:
        if code in default_exceptions and (said := default_exceptions[code].description):
            yield said, "werkzeug"
    for said in (
        "The CSRF token is missing.",
        "The CSRF session token is missing.",
        "The CSRF token has expired.",
    ):
        yield said, "flask-wtf"
    yield "The CSRF token is invalid.", "flask-wtf"
    yield "The CSRF tokens do not match.", "flask-wtf"
    yield "{count} per 1 minute", "flask-limiter"


def words() -> Iterator[tuple[str, str]]:
    """Single words, and the comments of the shipped configuration, which are the hints of its forms."""
    from app.web.forms import hints

    for word in WORDS:
        yield word, "words"
    for hint in hints().values():
        yield hint.replace("{", "⦃").replace("}", "⦄"), "config.yml"

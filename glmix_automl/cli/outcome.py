"""What a command came to, for people who call it and for schedulers: the exit codes, and the line of `--json`.

| exit code | what it means |
|---|---|
| 0 | done |
| 1 | failed; the same call may go better later, and goes on where it was |
| 2 | failed, and will again until somebody changes what it is given: arguments, configuration, data that were refused, another dataset, a study that used up its budget without a model |
| 3 | done, and the old champion was kept |
| 130 | interrupted by Ctrl-C or SIGTERM; the same call goes on |

With `--json` the last line of standard output is one flat JSON object: `command`, `exit_code`, `error` and what was
found, under the same names in every command: `dataset`, `digest`, `study`, `run`, `run_url`, `validation_auc`,
`test_auc`, `action`, `name`, `version`, `rows`.
"""  # noqa: E501

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DONE, RETRY, REFUSED, KEPT, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True)
class Outcome:
    """What a command came to.

    Attributes:
        found: plain data by name.
        code: exit code.
        error: what went wrong, if anything did.
    """

    found: Mapping[str, Any] = field(default_factory=dict)
    code: int = DONE
    error: str | None = None

    def line(self, command: str) -> str:
        """The line of JSON."""
        return json.dumps({"command": command, "exit_code": self.code, "error": self.error, **self.found})

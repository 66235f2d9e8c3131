"""The command ``rapport``, with another worker: ``python -m tests.rapport.instant WORKER_MODULE_OR_PROGRAM ...``.

The first argument is the worker's command, as JSON; the rest goes to ``rapport``. All else is the real thing.
"""

import json
import sys

from rapport import procfile
from rapport.__main__ import main

of_the_procfile = procfile.command
worker = tuple(json.loads(sys.argv.pop(1)))
procfile.command = lambda name: worker if name == "worker" else of_the_procfile(name)
main()

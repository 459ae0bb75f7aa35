"""Tasks: `invoke image.build --python 3.11`; `invoke` lists them, `invoke -h TASK` explains."""

import os
import sys

# Invoke turns bytecode off, and every run would compile the project anew.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

from build_tasks.front import startup

startup.end_on_interrupt()

from build_tasks.front import invoke_tasks

namespace = invoke_tasks.namespace(sys.argv[1:])

"""Tasks: `invoke image.build --python 3.11`; `invoke` lists them, `invoke -h TASK` explains."""

from build_tasks.front import invoke_tasks

namespace = invoke_tasks.namespace()

"""``python -m tauscope``."""

import sys

from tauscope.cli import main

sys.exit(main())

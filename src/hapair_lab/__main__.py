"""``python -m hapair_lab`` is ``cllab``."""

import sys

from hapair_lab.cli import main

sys.exit(main())

"""`python -m bot` is `shipmate`."""

import sys

from bot.cli import main

sys.exit(main())

"""What does `python -m server` do? The same as the command `isopleth`."""

import sys

from server.cli import main

sys.exit(main())

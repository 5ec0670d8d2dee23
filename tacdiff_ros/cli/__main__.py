"""The `tacdiff` command as `python -m tacdiff_ros.cli`."""

import sys

from tacdiff_ros.cli import main

sys.exit(main())

"""ROS nodes; one file each. Only this package imports rclpy."""

import signal
import sys

if sys.argv[0] == "-m":  # `python -m tacdiff_ros.nodes.NAME`: its modules are still imported
    # Without a traceback, and without anything to close; `spinning.run` handles the signal later.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

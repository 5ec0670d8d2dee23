"""A calibrated, differentiable twin of a GelSight Mini tactile sensor on a Franka arm.

The ROS interfaces `tacdiff_ros.msg`, `.srv` and `.action` are generated into a second folder of
the same name; the package search path is extended to cover both folders.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"

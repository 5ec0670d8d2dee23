"""Topic and node names that more than one node uses."""

ROBOT_STATE = "franka_robot_state_broadcaster/robot_state"
IMAGE_SOURCES = ("virtual_gelsight", "gelsight_driver")  # nodes that publish image_raw
CONTROLLER_MANAGER = "controller_manager"  # of ros2_control
ERROR_RECOVERY = "action_server/error_recovery"  # of franka_ros2

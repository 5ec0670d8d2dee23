"""ROS nodes; one file each. Only this package imports rclpy."""

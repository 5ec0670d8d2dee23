"""What the launch files share; imported by them alone, and free of rclpy."""

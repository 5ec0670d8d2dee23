"""Quality of service, in one place."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Sensor data without retransmission, as franka_ros2 publishes; deep enough for a busy moment.
SENSOR_IMAGES = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
SENSOR_STATES = QoSProfile(depth=2000, reliability=ReliabilityPolicy.BEST_EFFORT)
# franka_ros2 publishes its convenience topics like this since v2.4.
FRANKA_CONVENIENCE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE_IMAGES = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
RELIABLE_STATES = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
LATEST_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# Results that late joiners need.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# Where nodes wait for each other, a lost message would stop them all.
LOCK_STEP = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_FROM_MANY = QoSProfile(
    depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# Requests wait here while one is computed; each is answered, if only by "another one is active".
REQUESTS = QoSProfile(
    depth=256, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)

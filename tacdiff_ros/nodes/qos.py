"""Quality-of-service profiles of all topics, services and actions."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Subscriptions without retransmission: the newest data counts. They match reliable publishers too,
# as that of `robot_state`. The queues bridge short periods in which the node is busy.
SENSOR_IMAGES = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
SENSOR_STATES = QoSProfile(depth=2000, reliability=ReliabilityPolicy.BEST_EFFORT)
# Profile of the convenience topics of franka_ros2 since v2.4.
FRANKA_CONVENIENCE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE_IMAGES = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
RELIABLE_STATES = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
LATEST_COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# Results that late subscribers need.
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# In lock step the nodes wait for each other, so that a lost message would stop all of them.
LOCK_STEP = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_FROM_MANY = QoSProfile(
    depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# Requests queue here during a computation. Each gets a response, at least that another computation
# is active.
REQUESTS = QoSProfile(
    depth=256, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)

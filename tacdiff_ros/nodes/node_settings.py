"""Parameters of every node: name, default, unit, range and description, each defined once.

`declare_model` turns a model into ROS parameters; `ros2 param describe` prints these descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.sensor.sensor_model import BORDER_FRACTION
from tacdiff_ros.touch_features.slip.slip_watch import WARNING_FRACTION

Simulator = Literal["pix2pix", "renderer", "differentiable"]
CameraFrame = Annotated[str, Field(description="frame id of the images (REP-103 optical frame)")]
GelFrame = Annotated[str, Field(description="frame id of the gel: surfaces and wrenches on it")]
BaseFrame = Annotated[
    str, Field(description="frame id of the robot base: that of O_T_EE in the robot states")
]
SensorFile = Annotated[
    str, Field(description="path of the sensor file; empty: the package's default sensor")
]
DataFolder = Annotated[str, Field(description="folder that requests may read from and write to")]
CAMERA_FRAME, GEL_FRAME, BASE_FRAME = "gelsight_optical_frame", "gel", "base"
END_EFFECTOR_FRAME = "fr3_hand_tcp"
HAND_FRAME = "fr3_hand"
DATA_FOLDER = "~/tacdiff_data"
IS_OWN: dict[str, Any] = {"is_own": True}  # not taken from the rig


class NodeSettings(BaseModel):
    """Base of all models, which refuse unknown names and values that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


class LockStepSettings(NodeSettings):
    """Synchronisation with the virtual clock; declared by every node that can take part."""

    lock_step: bool = Field(
        False, description="follow the clock of virtual_clock step by step; virtual hardware only"
    )
    lock_step_nodes: tuple[str, ...] = Field(
        ("",), description="names of the nodes that take part in lock step"
    )


class AcquisitionNodeSettings(NodeSettings):
    """Parameters of `acquisition` besides `rig`, `limits` and `motion`."""

    data_folder: DataFolder = DATA_FOLDER
    protocol_folder: str = Field(
        "", description="folder of the protocols; empty: the protocols of the package"
    )
    protocol: str = Field("default.yaml", description="protocol of goals that name none")
    base_frame: BaseFrame = BASE_FRAME
    end_effector_frame: str = Field(
        END_EFFECTOR_FRAME,
        description="link whose pose is O_T_EE of the robot states; the controller must steer it",
    )
    tolerated_checks: tuple[str, ...] = Field(
        ("",), description="names of checks of the rig that only warn, such as 'wrench bias'"
    )
    hardware_component: str = Field(
        "FrankaHardwareInterface", description="hardware component that `recover` activates"
    )
    controller: str = Field(
        "",
        description="Cartesian controller that `recover` activates; empty: the one that subscribes "
        "to the targets",
    )
    also_record: tuple[str, ...] = Field(
        ("",), description="names of additional topics of any type to record"
    )


class ArmWatchdogSettings(NodeSettings):
    """Parameters of `arm_watchdog` besides `rig` and `limits`."""

    base_frame: BaseFrame = BASE_FRAME


class CalibrationNodeSettings(NodeSettings):
    """Parameters of `calibration`."""

    sensor_file: Annotated[
        str,
        Field(
            description="path of the initial sensor file; empty: the package's default sensor",
            json_schema_extra=IS_OWN,
        ),
    ] = ""
    data_folder: DataFolder = DATA_FOLDER
    frame_id: CameraFrame = CAMERA_FRAME


class GuideSettings(NodeSettings):
    """Parameters of `calibration` below `guide`, for a guided calibration on topics."""

    diameter_mm: float = Field(
        0.0, ge=0, le=100, description="diameter of the ball, mm; 0: no guided calibration"
    )
    sensor_id: str = Field(
        "my_sensor", description="identifier of the sensor, and name of its file in data_folder"
    )
    folder: str = Field(
        "guided_calibration",
        description="folder of the images in data_folder; one that exists is resumed",
    )


class ComparatorSettings(NodeSettings):
    """Parameters of `comparator` besides `watch`."""

    sensor_file: SensorFile = ""
    reference_image: str = Field(
        "", description="path of the reference image; empty: taken by ~/take_reference"
    )
    simulator: Simulator = Field("pix2pix", description="name of the simulator in the messages")
    tolerance_s: float = Field(
        0.02, gt=0, le=1, description="maximum difference of the two stamps of a pair, s"
    )
    patience_s: float = Field(
        0.5, gt=0, le=60, description="time that a real image waits for its simulated one, s"
    )


class GelsightDriverSettings(NodeSettings):
    """Parameters of `gelsight_driver`."""

    source: str = Field(
        "camera", description="camera, generated, or the path of a video or image folder"
    )
    device: str = Field(
        "GelSight Mini", description="/dev/videoN, a number, or part of the camera's name"
    )
    rate_hz: float = Field(
        25.0, ge=1, le=120, description="wanted image rate, requested from a camera, Hz"
    )
    loop: bool = Field(True, description="repeat a video or folder from its beginning")
    frame_id: CameraFrame = CAMERA_FRAME
    border_fraction: float = Field(
        BORDER_FRACTION, ge=0, lt=0.45, description="fraction cropped at each side of an image"
    )
    capture_width: int = Field(
        3280, ge=16, le=8192, description="width that is requested from the camera, px"
    )
    capture_height: int = Field(
        2464, ge=16, le=8192, description="height that is requested from the camera, px"
    )
    capture_buffers: int = Field(
        1, ge=1, le=10, description="images stored by the camera's driver; more may be older images"
    )
    lock_exposure: bool = Field(
        True, description="lock exposure and white balance of a camera after they have settled"
    )
    capture_delay_s: float = Field(
        0.0,
        ge=0,
        le=1,
        description="time from exposure to arrival, subtracted from stamps at arrival, s",
    )
    width: int = Field(320, ge=16, le=8192, description="width of camera images, px")
    height: int = Field(240, ge=16, le=8192, description="height of camera images, px")
    camera_info_url: str = Field(
        "", description="calibration file for camera_info: file:///PATH or package://NAME/PATH"
    )
    focal_length_px: float = Field(
        0.0, ge=0, le=1e5, description="focal length for camera_info, px; 0: not calibrated"
    )
    compressed_format: Literal["jpeg", "png"] = Field(
        "jpeg", description="format of image_raw/compressed: jpeg or png"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="quality of compressed JPEG images")


class MarkerTrackerSettings(NodeSettings):
    """Parameters of `marker_tracker`."""

    grid: str = Field("7x9", description="rows x columns of the marker grid; older gels have 8x10")


class MeshInversionSettings(NodeSettings):
    """Parameters of `mesh_inversion` besides `material` and those of `InversionSettings`."""

    sensor_file: SensorFile = ""
    reference_image: str = Field(
        "", description="path of the reference image; empty: rendered by the sensor model"
    )
    frame_id: GelFrame = GEL_FRAME
    timeout_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="time after which a request is given up, s",
        json_schema_extra={"renamed_from": "timeout"},
    )
    streaming: bool = Field(False, description="invert every frame of image_raw")
    modulus_stddev_mpa: float = Field(
        0.0,
        ge=0,
        le=100,
        description="standard deviation of material.young_modulus_mpa, MPa; 0: 30 % of it",
    )


class ObjectPoseRefinerSettings(NodeSettings):
    """Parameters of `object_pose_refiner` besides `estimate`."""

    hand: str = Field(
        "franka_two_minis", description="name of a hand in config/hands, hand file, or URDF"
    )
    frame_id: str = Field(HAND_FRAME, description="frame id of the hand's root link")
    object_frame_id: str = Field("object", description="frame id of the object on /tf")
    object_folder: str = Field(
        "~/tacdiff_data/objects", description="folder with the meshes that may be loaded"
    )
    object: str = Field("", description="object that is loaded at the start; empty: none")
    camera_pose: tuple[float, float, float, float, float, float, float] = Field(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        description="camera in the hand: x, y, z [m], quaternion x, y, z, w; zeros: by the topic",
    )
    gravity: tuple[float, float, float] = Field(
        (0.0, 0.0, 0.0), description="gravity in the hand, m/s2; zeros: by the topic, or unknown"
    )
    max_age_s: float = Field(
        0.5, gt=0, le=60, description="age above which a message is not used, s"
    )
    timeout_s: float = Field(
        30.0, gt=0, le=600, description="time after which a request is given up, s"
    )


class TactileSimulatorSettings(NodeSettings):
    """Parameters of `tactile_simulator` besides `rig` and `material`."""

    sensor_file: SensorFile = ""
    model: str = Field("", description="folder of the network; empty: the shipped network")
    data_folder: DataFolder = DATA_FOLDER
    simulator: Simulator = Field("pix2pix", description="renderer of the images")
    threads: int = Field(2, ge=0, le=256, description="processor threads of the renderer; 0: all")
    max_cores: float = Field(
        0.0,
        ge=0,
        le=256,
        description="mean processor use above which frames are left out, cores; 0: no limit",
    )
    local_interreflection: bool = Field(
        False,
        description="renderer: parts of the deformed gel light each other, on sensors with "
        "reflected light",
    )
    half_precision: bool = Field(
        False, description="compute the network in bfloat16 where the processor supports it"
    )
    indenter: str = Field(
        "", description="spec of the indenter that the robot presses on; empty: not followed"
    )
    rate_hz: float = Field(25.0, ge=0.1, le=200, description="frame rate without a camera, Hz")
    frame_id: CameraFrame = CAMERA_FRAME
    gel_frame_id: GelFrame = GEL_FRAME


class TouchEncoderSettings(NodeSettings):
    """Parameters of `touch_encoder`."""

    encoder: str = Field("", description="folder of the touch encoder; empty: the shipped one")
    border_fraction: float = Field(
        BORDER_FRACTION,
        ge=0,
        lt=0.45,
        description="fraction cropped at each side of a Mini's whole frames",
    )
    reference_image: str = Field(
        "", description="path of the image of the untouched gel; empty: taken by ~/take_reference"
    )
    frame_id: GelFrame = GEL_FRAME
    second_sensor: bool = Field(
        False, description="read a second sensor: second/image_raw, second/touch_embedding, ..."
    )
    second_reference_image: str = Field(
        "", description="path of the second sensor's reference image; empty: ~/take_reference"
    )
    second_frame_id: str = Field("second_gel", description="frame id of the second sensor's gel")
    slip_head: bool = Field(
        False,
        description="estimate the slip fraction by the encoder's slip head, which knows simulated "
        "grasps only",
    )
    slip_warning: float = Field(
        WARNING_FRACTION,
        gt=0,
        le=1,
        description="slip fraction, mean of three images, from which slip has its warning",
    )
    data_folder: DataFolder = DATA_FOLDER
    memory_file: str = Field(
        "touch_memory.npz", description="name of the file in data_folder of remembered touches"
    )
    threads: int = Field(
        1, ge=1, le=256, description="processor threads of the encoder, for each sensor"
    )


class VirtualClockSettings(NodeSettings):
    """Parameters of `virtual_clock`."""

    step_ms: int = Field(10, ge=1, le=50, description="step of the clock, ms")
    participants: tuple[str, ...] = Field(
        ("",), description="names of the nodes that the clock waits for at every step"
    )
    followers: tuple[str, ...] = Field(
        ("",), description="names of nodes that may lag behind the clock"
    )
    follower_lag_s: float = Field(0.12, ge=0, le=10, description="maximum lag of the followers, s")
    speed_limit: float = Field(
        0.0, ge=0, le=1000, description="simulated seconds per second, 0: no limit"
    )


class VirtualGelsightSettings(NodeSettings):
    """Parameters of `virtual_gelsight`."""

    sensor_file: str = Field(
        "",
        description="path of the true sensor file; empty: a random sensor by `seed`",
        json_schema_extra=IS_OWN,
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of sensor, gel and noise")
    indenter: str = Field("sphere:diameter=5", description="spec of the indenter")
    noise_grey: float = Field(
        1.0, ge=0, le=50, description="standard deviation of the image noise, grey levels"
    )
    rate_hz: float = Field(25.0, ge=1, le=120, description="image rate, Hz")
    frame_id: CameraFrame = CAMERA_FRAME
    gel_frame_id: GelFrame = GEL_FRAME
    threads: int = Field(2, ge=1, le=256, description="processor threads of the renderer")


class VirtualGraspSettings(NodeSettings):
    """Parameters of `virtual_grasp`."""

    object: str = Field("", description="mesh of the object, m; empty: an angle bracket")
    hand: str = Field(
        "franka_two_minis", description="name of a hand in config/hands, or hand file"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of sensors, grasp, camera and noise")
    image_rate_hz: float = Field(4.0, ge=0.5, le=60, description="rate of the tactile images, Hz")
    depth_rate_hz: float = Field(2.0, ge=0.5, le=60, description="rate of the depth images, Hz")


class VirtualPandaSettings(NodeSettings):
    """Parameters of `virtual_panda` besides `rig`, `impedance` and `plane`."""

    start_gap_mm: float = Field(
        40.0, ge=0, le=500, description="initial distance of the sensor above the indenter, mm"
    )
    arm_id: str = Field("fr3", description="prefix of joint and link names")
    contact: Literal["plane", "topic", "none"] = Field(
        "plane", description="contact model: plane, topic (ground_truth/gel_wrench) or none"
    )
    convenience_every: int = Field(
        10, ge=1, le=1000, description="robot states per message on the convenience topics"
    )
    gel_frame_id: GelFrame = GEL_FRAME

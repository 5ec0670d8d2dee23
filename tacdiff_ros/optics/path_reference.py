"""Reference images by Mitsuba's own path tracer, to validate the fast renderer against.

The sensor is built from real parts: dielectric interfaces, area emitters, a fine mesh on which the
dots are raised and painted. Nothing of the fast renderer is used. One light is rendered at a time,
because the path tracer would else waste two samples of three per colour.

Limits: slow (about a minute per image at 1 % noise); the lights must lie inside the gel's layer,
where the path tracer can connect to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.reference_mesh import ReferenceMesh, mesh_normals, reference_mesh
from tacdiff_ros.optics.reference_smoothing import smooth_reflected
from tacdiff_ros.optics.variant import start_mitsuba
from tacdiff_ros.sensor.gel_surface import GelSurface, grid_triangles
from tacdiff_ros.sensor.sensor_model import Light, SensorModel

start_mitsuba()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402

from tacdiff_ros.optics import (  # noqa: E402
    lobe_emitter,  # noqa: F401  (makes the emitter known)
    passing_interface,  # noqa: F401  (makes the interface known)
)

INTERFACE_HALF_MM = 60.0
GUIDE_SAMPLES = 16
AMBIENT_FRACTION = 1 / 16  # of the samples, as its noise is so small
REFLECTED_FACTOR = 4  # more samples for the coarse image of what the layers throw back
MAX_LANES = 5_000_000
MARGIN_STEP = 1 / 16  # by which the undistorted view is drawn wider than the distorted one
SAFETY = 0.01  # of the width, kept around what is needed
FINER = 2  # and is drawn with so many times the pixels, so that warping does not blur
NEVER = 1000  # depth from which paths may end at random


@dataclass(frozen=True)
class PathSettings:
    """How a reference is drawn.

    Attributes:
        width_px: columns of the image; rows follow from the sensor's.
        samples: per pixel, for each light; the gel's own glow takes `AMBIENT_FRACTION` of them.
        bounces: returns from the layers, as `Interreflection.bounces`; 0 is direct light only.
        seed: of all samples.
        smooth_reflected: draw what the layers throw back at half the size, and take out its
            noise; the standard error is then that of the direct light.
        spacing_mm: of the mesh.
    """

    width_px: int = 320
    samples: int = 1024
    bounces: int = 1
    seed: int = 0
    smooth_reflected: bool = False
    spacing_mm: float = 0.025


@dataclass(frozen=True)
class Reference:
    """A reference image and how sure it is.

    Attributes:
        image: (H, W, 3) float32 pixel values, 1 for white, not clipped.
        standard_error: (H, W, 3) float32 of the image.
    """

    image: NDArray[np.float32]
    standard_error: NDArray[np.float32]


def path_depth(model: SensorModel, bounces: int) -> int:
    """Mitsuba's `max_depth` for returns: with two interfaces 4 is direct light, 8 one return."""
    interfaces = len(model.layers) - 1
    return interfaces + 2 + 2 * interfaces * bounces


def scene_of(model: SensorModel, settings: PathSettings) -> dict[str, Any]:
    """Mitsuba's scene of a sensor with all its lights, for other integrators; without a gel.

    Raises:
        InputError: a light lies above the gel's layer.
    """
    check_lights(model)
    lights = {f"light_{k}": _emitter(light) for k, light in enumerate(model.lights)}
    for part, light in zip(lights.values(), model.lights, strict=True):
        part["emitter"]["radiance"] = mi.ScalarVector3f(light.radiance)
    return {**_camera_and_layers(model, settings, _interface(settings)), **lights}


def path_reference(
    model: SensorModel,
    surface: GelSurface,
    settings: PathSettings | None = None,
    progress: Callable[[float], None] | None = None,
) -> Reference:
    """Path-traced image of a sensor.

    Args:
        model: the sensor.
        surface: the gel; interpolated smoothly to a finer mesh.
        settings: size and effort.
        progress: told the share that is done.

    Raises:
        InputError: a light lies above the gel's layer.
    """
    settings = settings or PathSettings()
    check_lights(model)
    mesh = reference_mesh(model, surface, settings.spacing_mm)
    sources = [({"light": _emitter(light)}, light.radiance) for light in model.lights]
    if any(model.gel.ambient):
        sources.append(({}, (1.0, 1.0, 1.0)))
    bare = replace(settings, bounces=0) if settings.smooth_reflected else settings
    radiance, variance = np.zeros(3), np.zeros(3)
    for k, (light, color) in enumerate(sources):
        gel = _gel(model, mesh, None if light else mesh.paint[..., None] * model.gel.ambient)
        effort = bare if light else _fewer(bare)
        mean, error = _accumulate(model, {"gel": gel, **light}, effort, k, _interface(bare))
        radiance = radiance + mean * np.array(color)
        variance = variance + (error * np.array(color)) ** 2
        if progress is not None:
            progress((k + 1) / len(sources))
    if settings.smooth_reflected and settings.bounces:
        radiance = radiance + _reflected(model, mesh, sources, settings)
    return _as_seen(model, settings, radiance, variance)


def _reflected(
    model: SensorModel,
    mesh: ReferenceMesh,
    sources: list[tuple[dict[str, Any], tuple[float, ...]]],
    settings: PathSettings,
) -> NDArray[np.float64]:
    """What the layers throw back, from a coarse image with the noise taken out."""
    coarse = replace(
        settings, width_px=settings.width_px // 2, samples=REFLECTED_FACTOR * settings.samples
    )
    total = np.zeros(3)
    for k, (light, color) in enumerate(sources):
        gel = _gel(model, mesh, None if light else mesh.paint[..., None] * model.gel.ambient)
        parts = {"gel": gel, **light}
        # The same seed: what is direct light is the same in both, and falls out.
        effort = coarse if light else _fewer(coarse)
        whole, _ = _accumulate(model, parts, effort, k)
        direct, _ = _accumulate(model, parts, replace(effort, bounces=0), k)
        total = total + (whole - direct) * np.array(color)
    normal = mesh_normals(mesh.position)[..., :2]
    glow = mesh.paint[..., None] * np.concatenate([np.ones_like(normal[..., :1]), 1 + normal], -1)
    views = []
    for size in (coarse, settings):
        effort = replace(size, bounces=0, samples=GUIDE_SAMPLES)
        gel = _gel(model, mesh, glow, black=True)
        seen, _ = _accumulate(model, {"gel": gel}, effort, 0, _interface(effort))
        seen[..., 1:] -= seen[..., :1]
        views.append(seen)
    return smooth_reflected(total, *views)


def _fewer(settings: PathSettings) -> PathSettings:
    """For the gel's own glow, which is all but free of noise."""
    return replace(settings, samples=max(1, round(AMBIENT_FRACTION * settings.samples)))


def check_lights(model: SensorModel) -> None:
    """Raise InputError where a light is not inside the gel's layer."""
    thickness = model.layers[-1].thickness_mm or 0.0
    for light in model.lights:
        if light.centre_mm[2] - light.half_width_mm < -thickness:
            raise InputError(
                f"path reference: light '{light.name}' at z = {light.centre_mm[2]:g} mm is not "
                f"inside the gel's layer of {thickness:g} mm; only the fast renderer takes "
                "effective light positions above it"
            )


def _size(model: SensorModel, settings: PathSettings) -> tuple[int, int]:
    return settings.width_px, round(
        settings.width_px * model.image.height_px / model.image.width_px
    )


def _drawn_larger(model: SensorModel) -> tuple[float, int]:
    """How much wider, and how much finer, the view is drawn before it is distorted."""
    if not any(model.camera.distortion):
        return 1.0, 1
    size = np.array([model.image.width_px, model.image.height_px])
    border = np.stack(np.meshgrid(*(np.linspace(-0.5, n - 0.5, 33) for n in size)), axis=-1)
    straight = _undistorted(model, border.reshape(-1, 2), 1.0)
    reach = np.abs(straight - (size - 1) / 2) / (size / 2)
    steps = math.ceil((reach.max() + SAFETY - 1.0) / MARGIN_STEP)
    return 1.0 + MARGIN_STEP * max(steps, 1), FINER


def _interface(settings: PathSettings) -> str:
    """Mitsuba's plugin for interfaces; where nothing is thrown back they need not roll dice."""
    return "dielectric" if settings.bounces else "tacdiff_passing"


def _camera_and_layers(
    model: SensorModel, settings: PathSettings, interface: str
) -> dict[str, Any]:
    width, height = _size(model, settings)
    margin, finer = _drawn_larger(model)
    camera = model.camera
    # Mitsuba's camera has x to the left and y up: a half turn about its axis.
    pose = np.eye(4)
    turn = Rotation.from_rotvec(np.radians(camera.rotation_deg)).as_matrix()
    pose[:3, :3] = turn @ np.diag([-1.0, -1.0, 1.0])
    pose[:3, 3] = camera.position_mm
    film = [round(side * margin * finer) for side in (width, height)]
    columns, rows = (side / finer * model.image.width_px / width for side in film)
    parts: dict[str, Any] = {
        "type": "scene",
        "integrator": {
            "type": "path",
            "max_depth": path_depth(model, settings.bounces),
            "rr_depth": NEVER,
        },
        "camera": {
            "type": "perspective",
            "to_world": mi.ScalarTransform4f(pose),
            "fov_axis": "x",
            "fov": math.degrees(2 * math.atan(0.5 * columns / camera.focal_px)),
            "principal_point_offset_x": -(camera.centre_px[0] + 0.5 - model.image.width_px / 2)
            / columns,
            "principal_point_offset_y": -(camera.centre_px[1] + 0.5 - model.image.height_px / 2)
            / rows,
            "sampler": {"type": "multijitter"},
            "near_clip": 0.1,
            "far_clip": 1000.0,
            "film": {
                "type": "hdrfilm",
                "width": film[0],
                "height": film[1],
                "rfilter": {"type": "box"},
                "pixel_format": "rgb",
                "component_format": "float32",
            },
        },
    }
    z = -model.stack_mm
    for above, below in zip(model.layers[:-1], model.layers[1:], strict=True):
        parts[f"interface_{len(parts)}"] = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f()
            .translate([0, 0, z])
            .rotate([1, 0, 0], 180)
            .scale(INTERFACE_HALF_MM),
            "bsdf": {"type": interface, "ext_ior": above.index, "int_ior": below.index},
        }
        z += below.thickness_mm or 0.0
    return parts


def _emitter(light: Light) -> dict[str, Any]:
    """A black rectangle that shines white along its aim."""
    azimuth, tilt, roll = (
        math.radians(angle) for angle in (light.azimuth_deg, light.tilt_deg, light.roll_deg)
    )
    aim = np.array(
        [math.cos(tilt) * math.cos(azimuth), math.cos(tilt) * math.sin(azimuth), math.sin(tilt)]
    )
    level = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    along = Rotation.from_rotvec(roll * aim).apply(level)
    pose = np.eye(4)
    pose[:3, 0] = along * light.half_length_mm
    pose[:3, 1] = np.cross(aim, along) * light.half_width_mm
    pose[:3, 2] = aim
    pose[:3, 3] = light.centre_mm
    return {
        "type": "rectangle",
        "to_world": mi.ScalarTransform4f(pose),
        "bsdf": {"type": "diffuse", "reflectance": 0.0},
        "emitter": {"type": "tacdiff_lobe", "exponent": light.exponent},
    }


def _gel(
    model: SensorModel,
    mesh: ReferenceMesh,
    glow: NDArray[np.float64] | None = None,
    black: bool = False,
) -> Any:
    """The coated surface.

    Args:
        model: the sensor.
        mesh: its geometry and paint.
        glow: (rows, columns, 3) radiance that would be given off by a white surface; with it the
            surface shines by itself, as under light from all around.
        black: reflects nothing.
    """
    rows, columns = mesh.paint.shape
    base = np.zeros(3) if black else np.array(model.gel.base_color)
    color = mesh.paint[..., None] * base
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "diffuse", "reflectance": _texture(color)})
    if glow is not None:
        given = glow if black else glow * base
        properties["emitter"] = mi.load_dict({"type": "area", "radiance": _texture(given)})
    faces = grid_triangles(rows, columns).astype(np.uint32)
    gel = mi.Mesh("gel", rows * columns, len(faces), has_vertex_texcoords=True, props=properties)
    u, v = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    fields = mi.traverse(gel)
    fields["faces"] = faces.ravel()
    fields["vertex_positions"] = mesh.position.astype(np.float32).ravel()
    fields["vertex_texcoords"] = np.stack([u, v], axis=-1).astype(np.float32).ravel()
    fields.update()
    return gel


def _texture(color: NDArray[np.float64]) -> dict[str, Any]:
    bitmap = mi.Bitmap(np.ascontiguousarray(color, np.float32))
    return {"type": "bitmap", "bitmap": bitmap, "raw": True, "wrap_mode": "clamp"}


def _accumulate(
    model: SensorModel,
    parts: dict[str, Any],
    settings: PathSettings,
    light: int,
    interface: str = "dielectric",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean radiance and its standard error, in passes that fit into memory."""
    scene = mi.load_dict({**_camera_and_layers(model, settings, interface), **parts})
    film = scene.sensors()[0].film().size()
    wanted = settings.samples / _drawn_larger(model)[1] ** 2
    passes = max(4, math.ceil(wanted * film[0] * film[1] / MAX_LANES))
    samples = max(1, round(math.sqrt(wanted / passes))) ** 2  # multijitter's liking
    total, squares = np.zeros((film[1], film[0], 3)), np.zeros((film[1], film[0], 3))
    for k in range(passes):
        seed = (settings.seed * 64 + light) * 4096 + k
        part = np.array(mi.render(scene, spp=samples, seed=dr.opaque(mi.UInt32, seed)), np.float64)
        total, squares = total + part, squares + part**2
    mean = total / passes
    spread = np.maximum(squares / passes - mean**2, 0.0) / (passes - 1)
    return mean, np.sqrt(spread)


def _as_seen(
    model: SensorModel,
    settings: PathSettings,
    radiance: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> Reference:
    """Distort and let the camera respond."""
    image = _respond(model, _distort(model, settings, radiance))
    error = np.sqrt(_distort(model, settings, variance).clip(0.0)) / _drawn_larger(model)[1]
    brighter = _respond(model, _distort(model, settings, radiance) + error)
    return Reference(image.astype(np.float32), np.abs(brighter - image).astype(np.float32))


def _distort(
    model: SensorModel, settings: PathSettings, view: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Warp the wider, finer view as the lens does, then average to the image's pixels."""
    _, finer = _drawn_larger(model)
    if finer == 1:
        return view
    width, height = (finer * side for side in _size(model, settings))
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1, dtype=np.float64)
    straight = _undistorted(model, pixels.reshape(-1, 2), width / model.image.width_px)
    shift = (np.array(view.shape[1::-1]) - (width, height)) / 2
    x, y = (straight.reshape(height, width, 2) + shift).transpose(2, 0, 1)
    warped = np.stack([map_coordinates(view[..., c], [y, x], order=3) for c in range(3)], axis=-1)
    return np.asarray(
        warped.reshape(height // finer, finer, width // finer, finer, 3).mean(axis=(1, 3))
    )


def _undistorted(
    model: SensorModel, pixels: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Pixels (N, 2) of an image that is `scale` times the sensor's, as a straight lens has them."""
    camera = model.camera
    matrix = np.diag([camera.focal_px * scale, camera.focal_px * scale, 1.0])
    matrix[:2, 2] = (np.array(camera.centre_px) + 0.5) * scale - 0.5
    lens = np.array([*camera.distortion, 0.0, 0.0])
    straight = cv2.undistortPoints(pixels.reshape(-1, 1, 2), matrix, lens, P=matrix)
    return np.asarray(straight.reshape(-1, 2))


def _respond(model: SensorModel, radiance: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = radiance.shape[:2]
    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    aspect = width / height
    r2 = ((x[None] - 0.5) * aspect) ** 2 + (y[:, None] - 0.5) ** 2
    r2 /= 0.25 * (aspect**2 + 1)
    v1, v2 = model.response.vignetting
    value = radiance * np.array(model.response.gain) * (1 + v1 * r2 + v2 * r2**2)[..., None]
    if model.flat_field is not None:
        value *= _flat_field(np.array(model.flat_field.values), x, y)
    return np.maximum(value, 0.0) ** (1 / np.array(model.response.gamma))


def _flat_field(
    grid: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Catmull-Rom interpolation from a matrix of weights per axis."""
    down, across = _catmull_rom(y, grid.shape[0]), _catmull_rom(x, grid.shape[1])
    return np.asarray(np.einsum("hr,rkc,wk->hwc", down, grid, across))


def _catmull_rom(share: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(places, nodes) weights of a cubic Hermite spline with central slopes."""
    place = share * (count - 1)
    cell = np.clip(np.floor(place), 0, count - 2).astype(int)
    t = place - cell
    hermite = [2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, 3 * t**2 - 2 * t**3, t**3 - t**2]
    weights = np.zeros((len(share), count))
    rows = np.arange(len(share))
    for value, slope, node in ((hermite[0], hermite[1], cell), (hermite[2], hermite[3], cell + 1)):
        np.add.at(weights, (rows, node), value)
        np.add.at(weights, (rows, np.minimum(node + 1, count - 1)), 0.5 * slope)
        np.add.at(weights, (rows, np.maximum(node - 1, 0)), -0.5 * slope)
    return weights

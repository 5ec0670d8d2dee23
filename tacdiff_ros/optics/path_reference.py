"""Path-traced images by Mitsuba's own integrator, as a reference for the fast renderer.

The sensor is built from physical parts: dielectric interfaces, area emitters, and a fine mesh on
which the markers are raised and painted. Nothing of the fast renderer is used. Each light is
rendered alone, because the path tracer would otherwise waste two of three samples per colour.

Limits: rendering is slow (about a minute per image at 1 % noise); the lights must lie inside the
gel layer, where the path tracer can connect to them.
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
    lobe_emitter,  # noqa: F401  (registers the emitter)
    passing_interface,  # noqa: F401  (registers the interface)
)

INTERFACE_HALF_MM = 60.0
GUIDE_SAMPLES = 16
AMBIENT_FRACTION = 1 / 16  # fraction of the samples that ambient light gets, as it has little noise
REFLECTED_FACTOR = 4  # factor on the samples of the coarse image of reflected light
MAX_LANES = 5_000_000
MARGIN_STEP = 1 / 16  # step in which the undistorted view is made wider than the distorted one
SAFETY_MARGIN = 0.01  # margin around the needed view, relative to the width
SUPERSAMPLING = 2  # pixels per side and image pixel in the undistorted view; avoids blur by warping
NEVER = 1000  # depth from which Russian roulette may end paths


@dataclass(frozen=True)
class PathSettings:
    """Size and quality of a path-traced image.

    Attributes:
        width_px: columns of the image; the rows follow from the sensor's aspect ratio.
        samples: samples per pixel for each light; ambient light gets `AMBIENT_FRACTION` of them.
        bounces: number of returns from the layers, as `Interreflection.bounces`; 0 for direct
            light only.
        seed: seed of all samples.
        smooth_reflected: whether to render the reflected light at half the size and remove its
            noise; the standard error is then that of the direct light.
        spacing_mm: vertex spacing of the mesh, mm.
    """

    width_px: int = 320
    samples: int = 1024
    bounces: int = 1
    seed: int = 0
    smooth_reflected: bool = False
    spacing_mm: float = 0.025


@dataclass(frozen=True)
class PathTracedImage:
    """A path-traced image and its noise.

    Attributes:
        image: (H, W, 3) float32 RGB pixel values, 1 for white, not clipped.
        standard_error: (H, W, 3) float32 standard error of the image.
    """

    image: NDArray[np.float32]
    standard_error: NDArray[np.float32]


@dataclass(frozen=True)
class _Source:
    """A light source that is rendered alone.

    Attributes:
        parts: emitter for the scene; empty for the ambient light.
        color: RGB radiance of the source.
    """

    parts: dict[str, Any]
    color: tuple[float, ...]


def path_depth(model: SensorModel, bounces: int) -> int:
    """Return Mitsuba's `max_depth` for a number of returns from the layers.

    With two interfaces it is 4 for direct light and 8 for one return.

    Args:
        model: sensor model.
        bounces: number of returns from the layers.
    """
    interfaces = len(model.layers) - 1
    return interfaces + 2 + 2 * interfaces * bounces


def mitsuba_scene(model: SensorModel, settings: PathSettings) -> dict[str, Any]:
    """Return the scene of a sensor with all its lights but no gel, for other integrators.

    Args:
        model: sensor model.
        settings: size and quality of the image.

    Returns:
        Scene dictionary for `mi.load_dict`.

    Raises:
        InputError: a light lies above the gel layer.
    """
    check_lights(model)
    lights = {f"light_{k}": _emitter(light) for k, light in enumerate(model.lights)}
    for emitter, light in zip(lights.values(), model.lights, strict=True):
        emitter["emitter"]["radiance"] = mi.ScalarVector3f(light.radiance)
    return {**_camera_and_layers(model, settings, _interface_plugin(settings)), **lights}


def path_reference(
    model: SensorModel,
    surface: GelSurface,
    settings: PathSettings | None = None,
    progress: Callable[[float], None] | None = None,
) -> PathTracedImage:
    """Render a sensor's image of a surface by path tracing.

    Args:
        model: sensor model.
        surface: gel surface, interpolated smoothly to a finer mesh.
        settings: size and quality of the image; None for the defaults.
        progress: callback with the finished fraction of the work, in (0, 1].

    Raises:
        InputError: a light lies above the gel layer.
    """
    settings = settings or PathSettings()
    check_lights(model)
    mesh = reference_mesh(model, surface, settings.spacing_mm)
    sources = [_Source({"light": _emitter(light)}, light.radiance) for light in model.lights]
    if any(model.gel.ambient):
        sources.append(_Source({}, (1.0, 1.0, 1.0)))
    base = replace(settings, bounces=0) if settings.smooth_reflected else settings
    radiance, variance = np.zeros(3), np.zeros(3)
    for k, source in enumerate(sources):
        scene = _lit_gel(model, mesh, source)
        quality = _quality(base, source)
        mean, error = _accumulate(model, scene, quality, k, _interface_plugin(base))
        radiance = radiance + mean * np.array(source.color)
        variance = variance + (error * np.array(source.color)) ** 2
        if progress is not None:
            progress((k + 1) / len(sources))
    if settings.smooth_reflected and settings.bounces:
        radiance = radiance + _reflected(model, mesh, sources, settings)
    return _camera_image(model, settings, radiance, variance)


def _reflected(
    model: SensorModel, mesh: ReferenceMesh, sources: list[_Source], settings: PathSettings
) -> NDArray[np.float64]:
    """Render the light that the layers reflect, from a coarse image with the noise removed.

    Args:
        model: sensor model.
        mesh: gel geometry and paint.
        sources: light sources.
        settings: size and quality of the result.

    Returns:
        (H, W, 3) RGB radiance.
    """
    coarse = replace(
        settings, width_px=settings.width_px // 2, samples=REFLECTED_FACTOR * settings.samples
    )
    total = np.zeros(3)
    for k, source in enumerate(sources):
        scene = _lit_gel(model, mesh, source)
        # With the same seed both images have the same direct light, which cancels.
        quality = _quality(coarse, source)
        whole, _ = _accumulate(model, scene, quality, k)
        direct, _ = _accumulate(model, scene, replace(quality, bounces=0), k)
        total = total + (whole - direct) * np.array(source.color)
    return smooth_reflected(total, _guides(model, mesh, coarse), _guides(model, mesh, settings))


def _guides(model: SensorModel, mesh: ReferenceMesh, settings: PathSettings) -> NDArray[np.float64]:
    """Render the guides of `smooth_reflected`.

    Args:
        model: sensor model.
        mesh: gel geometry and paint.
        settings: size of the image.

    Returns:
        (H, W, 3) paint, and paint times the normal's x and y.
    """
    normal = mesh_normals(mesh.position)[..., :2]
    # Emission cannot be negative, so the normals are rendered with an offset of 1.
    glow = mesh.paint[..., None] * np.concatenate([np.ones_like(normal[..., :1]), 1 + normal], -1)
    quality = replace(settings, bounces=0, samples=GUIDE_SAMPLES)
    gel = _gel(model, mesh, glow, black=True)
    guides, _ = _accumulate(model, {"gel": gel}, quality, 0, _interface_plugin(quality))
    guides[..., 1:] -= guides[..., :1]
    return guides


def _lit_gel(model: SensorModel, mesh: ReferenceMesh, source: _Source) -> dict[str, Any]:
    """Return the gel and a source; the gel emits the ambient light itself."""
    glow = None if source.parts else mesh.paint[..., None] * model.gel.ambient
    return {"gel": _gel(model, mesh, glow), **source.parts}


def _quality(settings: PathSettings, source: _Source) -> PathSettings:
    """Return the settings for a source, with fewer samples for the ambient light."""
    if source.parts:
        return settings
    return replace(settings, samples=max(1, round(AMBIENT_FRACTION * settings.samples)))


def check_lights(model: SensorModel) -> None:
    """Check that all lights are inside the gel layer.

    Args:
        model: sensor model.

    Raises:
        InputError: a light lies above the gel layer.
    """
    thickness = model.layers[-1].thickness_mm or 0.0
    for light in model.lights:
        if light.centre_mm[2] - light.half_width_mm < -thickness:
            raise InputError(
                f"path reference: light '{light.name}' at z = {light.centre_mm[2]:g} mm is not "
                f"inside the gel layer of {thickness:g} mm; only the fast renderer accepts "
                "effective light positions above it"
            )


def _size(model: SensorModel, settings: PathSettings) -> tuple[int, int]:
    """Return the width and the height of the image, px."""
    return settings.width_px, round(
        settings.width_px * model.image.height_px / model.image.width_px
    )


def _undistorted_view(model: SensorModel) -> tuple[float, int]:
    """Return the size of the undistorted view that is rendered before the lens distortion.

    Returns:
        Width of the view relative to the image's, and pixels per side and image pixel.
    """
    if not any(model.camera.distortion):
        return 1.0, 1
    size = np.array([model.image.width_px, model.image.height_px])
    border = np.stack(np.meshgrid(*(np.linspace(-0.5, n - 0.5, 33) for n in size)), axis=-1)
    undistorted = _undistorted(model, border.reshape(-1, 2), 1.0)
    extent = np.abs(undistorted - (size - 1) / 2) / (size / 2)
    steps = math.ceil((extent.max() + SAFETY_MARGIN - 1.0) / MARGIN_STEP)
    return 1.0 + MARGIN_STEP * max(steps, 1), SUPERSAMPLING


def _interface_plugin(settings: PathSettings) -> str:
    """Return Mitsuba's plugin for the interfaces; without reflections a deterministic one."""
    return "dielectric" if settings.bounces else "tacdiff_passing"


def _camera_and_layers(
    model: SensorModel, settings: PathSettings, interface: str
) -> dict[str, Any]:
    """Return the scene of a sensor without gel and lights.

    Args:
        model: sensor model.
        settings: size and quality of the image.
        interface: Mitsuba's plugin for the interfaces.

    Returns:
        Scene dictionary for `mi.load_dict`.
    """
    parts: dict[str, Any] = {
        "type": "scene",
        "integrator": {
            "type": "path",
            "max_depth": path_depth(model, settings.bounces),
            "rr_depth": NEVER,
        },
        "camera": _camera(model, settings),
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


def _camera(model: SensorModel, settings: PathSettings) -> dict[str, Any]:
    """Return the camera without lens distortion, with the size of `_undistorted_view`."""
    width, height = _size(model, settings)
    margin, supersampling = _undistorted_view(model)
    camera = model.camera
    # Mitsuba's camera has x to the left and y up: a half turn about the optical axis.
    pose = np.eye(4)
    rotation = Rotation.from_rotvec(np.radians(camera.rotation_deg)).as_matrix()
    pose[:3, :3] = rotation @ np.diag([-1.0, -1.0, 1.0])
    pose[:3, 3] = camera.position_mm
    film = [round(side * margin * supersampling) for side in (width, height)]
    columns, rows = (side / supersampling * model.image.width_px / width for side in film)
    return {
        "type": "perspective",
        "to_world": mi.ScalarTransform4f(pose),
        "fov_axis": "x",
        "fov": math.degrees(2 * math.atan(0.5 * columns / camera.focal_px)),
        "principal_point_offset_x": -(camera.centre_px[0] + 0.5 - model.image.width_px / 2)
        / columns,
        "principal_point_offset_y": -(camera.centre_px[1] + 0.5 - model.image.height_px / 2) / rows,
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
    }


def _emitter(light: Light) -> dict[str, Any]:
    """Return a light as a black rectangle that emits white light along its aim."""
    azimuth, tilt, roll = (
        math.radians(angle) for angle in (light.azimuth_deg, light.tilt_deg, light.roll_deg)
    )
    aim = np.array(
        [math.cos(tilt) * math.cos(azimuth), math.cos(tilt) * math.sin(azimuth), math.sin(tilt)]
    )
    horizontal = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    along = Rotation.from_rotvec(roll * aim).apply(horizontal)
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
    """Return the coated gel surface.

    Args:
        model: sensor model.
        mesh: gel geometry and paint.
        glow: (rows, columns, 3) RGB radiance that a white surface would emit; the surface emits it
            as under uniform ambient light. None for a surface that does not emit.
        black: whether the surface reflects nothing.

    Returns:
        Mitsuba mesh.
    """
    rows, columns = mesh.paint.shape
    base = np.zeros(3) if black else np.array(model.gel.base_color)
    color = mesh.paint[..., None] * base
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "diffuse", "reflectance": _texture(color)})
    if glow is not None:
        emitted = glow if black else glow * base
        properties["emitter"] = mi.load_dict({"type": "area", "radiance": _texture(emitted)})
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
    """Render a scene in several passes, each of which fits into memory.

    Args:
        model: sensor model.
        parts: gel and emitter of the scene.
        settings: size and quality of the image.
        light: index of the light source, for the seed.
        interface: Mitsuba's plugin for the interfaces.

    Returns:
        (H, W, 3) mean radiance and (H, W, 3) standard error of the mean, of the undistorted view.
    """
    scene = mi.load_dict({**_camera_and_layers(model, settings, interface), **parts})
    film = scene.sensors()[0].film().size()
    wanted = settings.samples / _undistorted_view(model)[1] ** 2
    passes = max(4, math.ceil(wanted * film[0] * film[1] / MAX_LANES))
    samples = max(1, round(math.sqrt(wanted / passes))) ** 2  # multijitter needs a square number
    total, squares = np.zeros((film[1], film[0], 3)), np.zeros((film[1], film[0], 3))
    for k in range(passes):
        seed = (settings.seed * 64 + light) * 4096 + k
        image = np.array(mi.render(scene, spp=samples, seed=dr.opaque(mi.UInt32, seed)), np.float64)
        total, squares = total + image, squares + image**2
    mean = total / passes
    variance = np.maximum(squares / passes - mean**2, 0.0) / (passes - 1)
    return mean, np.sqrt(variance)


def _camera_image(
    model: SensorModel,
    settings: PathSettings,
    radiance: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> PathTracedImage:
    """Apply the lens distortion and the camera response.

    Args:
        model: sensor model.
        settings: size of the image.
        radiance: (H, W, 3) RGB radiance of the undistorted view.
        variance: (H, W, 3) variance of the radiance.
    """
    distorted = _distort(model, settings, radiance)
    image = _respond(model, distorted)
    error = np.sqrt(_distort(model, settings, variance).clip(0.0)) / _undistorted_view(model)[1]
    brighter = _respond(model, distorted + error)
    return PathTracedImage(
        image=image.astype(np.float32),
        standard_error=np.abs(brighter - image).astype(np.float32),
    )


def _distort(
    model: SensorModel, settings: PathSettings, view: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Warp the undistorted view as the lens does, and average it to the image's pixels.

    Args:
        model: sensor model.
        settings: size of the image.
        view: (H', W', 3) undistorted view, wider and finer than the image.

    Returns:
        (H, W, 3) distorted image.
    """
    _, supersampling = _undistorted_view(model)
    if supersampling == 1:
        return view
    width, height = (supersampling * side for side in _size(model, settings))
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1, dtype=np.float64)
    undistorted = _undistorted(model, pixels.reshape(-1, 2), width / model.image.width_px)
    shift = (np.array(view.shape[1::-1]) - (width, height)) / 2
    x, y = (undistorted.reshape(height, width, 2) + shift).transpose(2, 0, 1)
    warped = np.stack([map_coordinates(view[..., c], [y, x], order=3) for c in range(3)], axis=-1)
    blocks = warped.reshape(
        height // supersampling, supersampling, width // supersampling, supersampling, 3
    )
    return np.asarray(blocks.mean(axis=(1, 3)))


def _undistorted(
    model: SensorModel, pixels: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Return the pixels at which a lens without distortion would show the same points.

    Args:
        model: sensor model.
        pixels: (N, 2) pixels (x, y) of the distorted image.
        scale: size of the image, relative to the sensor's.

    Returns:
        (N, 2) float64 undistorted pixels (x, y).
    """
    camera = model.camera
    matrix = np.diag([camera.focal_px * scale, camera.focal_px * scale, 1.0])
    matrix[:2, 2] = (np.array(camera.centre_px) + 0.5) * scale - 0.5
    lens = np.array([*camera.distortion, 0.0, 0.0])
    undistorted = cv2.undistortPoints(pixels.reshape(-1, 1, 2), matrix, lens, P=matrix)
    return np.asarray(undistorted.reshape(-1, 2))


def _respond(model: SensorModel, radiance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixel values of (H, W, 3) radiance, written independently of `camera_response`."""
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
    """Interpolate the flat field grid (Catmull-Rom), by a matrix of weights per axis.

    Args:
        grid: (rows, columns, 3) values that span the image from edge to edge.
        x: (W,) image coordinates in [0, 1].
        y: (H,) image coordinates in [0, 1].

    Returns:
        (H, W, 3) values.
    """
    row_weights = _catmull_rom(y, grid.shape[0])
    column_weights = _catmull_rom(x, grid.shape[1])
    return np.asarray(np.einsum("hr,rkc,wk->hwc", row_weights, grid, column_weights))


def _catmull_rom(position: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the weights of a cubic Hermite spline with central slopes.

    Args:
        position: (N,) coordinates in [0, 1].
        count: number of nodes, which are equally spaced from 0 to 1.

    Returns:
        (N, count) weights.
    """
    node_position = position * (count - 1)
    cell = np.clip(np.floor(node_position), 0, count - 2).astype(int)
    t = node_position - cell
    hermite = [2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, 3 * t**2 - 2 * t**3, t**3 - t**2]
    weights = np.zeros((len(position), count))
    rows = np.arange(len(position))
    for value, slope, node in ((hermite[0], hermite[1], cell), (hermite[2], hermite[3], cell + 1)):
        np.add.at(weights, (rows, node), value)
        np.add.at(weights, (rows, np.minimum(node + 1, count - 1)), 0.5 * slope)
        np.add.at(weights, (rows, np.maximum(node - 1, 0)), -0.5 * slope)
    return weights

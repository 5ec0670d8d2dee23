#!/usr/bin/env python3
"""Make `.venv` a complete ROS 2 Jazzy prefix with this package in it; run again, it takes seconds.

Needs only Python's standard library. Every step remembers a fingerprint of what it was made from
and is skipped while that stands.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
BUILD = VENV / "build"
STAMPS = VENV / "stamps"
EXTRAS = "virtual,render,learn,cluster,dev"
CPU_TORCH = "https://download.pytorch.org/whl/cpu"

sys.path.insert(0, str(ROOT))
from tacdiff_ros.optics import llvm  # noqa: E402


class SetupError(RuntimeError):
    """Setup cannot go on; the message says what to type."""


def main() -> int:
    """Run all steps; 2 with one line where something must be done by hand."""
    try:
        check_python()
        install_system_packages()
        once("venv", [sys.version], create_venv)
        once("ros-wheels", files("tools/ros-jazzy-wheels.txt"), install_ros_wheels)
        once("packages", files("pyproject.toml", "tools/*.txt"), install_packages)
        once("cmake-paths", files("tools/ros-jazzy-wheels.txt"), repair_cmake_paths)
        once("franka_msgs", files("test/franka_msgs/**/*"), lambda: build("test/franka_msgs"))
        once("tacdiff_ros", package_inputs(), lambda: build("."))
        once("sources", files("tools/setup_environment.py"), link_sources)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"setup: '{error.cmd[0]} ...' failed; its messages are above", file=sys.stderr)
        return 2
    return 0


def succeeds(*command: str) -> bool:
    """Whether a command exits with 0; what it prints is dropped."""
    return subprocess.run(command, capture_output=True).returncode == 0


def check_python() -> None:
    """Refuse a Python or a machine that the ROS wheels are not made for."""
    version = sys.version_info[:2]
    if not (3, 10) <= version <= (3, 14) or platform.machine() != "x86_64":
        raise SetupError(
            f"Python {version[0]}.{version[1]} on {platform.machine()} found; the ROS wheels need "
            "CPython 3.10 to 3.14 on x86_64. Use `make setup PYTHON=python3.12`, or a ROS "
            "installation and `colcon build`"
        )


def missing_system_packages() -> list[str]:
    """Debian packages that this machine lacks for building and rendering."""
    missing = []
    if shutil.which("c++") is None:
        missing.append("g++")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        missing.append("python3-dev")
    if not succeeds(sys.executable, "-c", "import ensurepip"):
        missing.append("python3-venv")
    if llvm.find_library() is None:
        missing.append("libllvm19")
    return missing


def install_system_packages() -> None:
    """Install what is missing with apt when that is allowed, else say what to type."""
    missing = missing_system_packages()
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    advice = f"please run `sudo apt-get update && sudo {' '.join(command)}`, then this again"
    if shutil.which("apt-get") is None:
        raise SetupError(f"missing {', '.join(missing)} (Debian names); install them, then again")
    prefix = privilege()
    if prefix is None:
        raise SetupError(advice)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"setup: installing {', '.join(missing)} with apt-get", flush=True)
    subprocess.run([*prefix, "apt-get", "update", "-qq"], env=environment)
    subprocess.run([*prefix, *command, "-qq"], env=environment)
    if still := missing_system_packages():
        raise SetupError(f"apt-get could not bring {', '.join(still)}; {advice}")


def privilege() -> list[str] | None:
    """Prefix that gives root rights without asking, or None."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and not subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode
    ):
        return ["sudo", "-n"]
    return None


def once(step: str, inputs: list[str], action: Callable[[], None]) -> None:
    """Run `action` unless it succeeded before from the same inputs."""
    fingerprint = hashlib.sha256("\n".join([str(ROOT), *inputs]).encode()).hexdigest()
    stamp = STAMPS / step
    if stamp.exists() and stamp.read_text() == fingerprint:
        return
    print(f"setup: {step}", flush=True)
    action()
    STAMPS.mkdir(parents=True, exist_ok=True)
    stamp.write_text(fingerprint)


def files(*patterns: str) -> list[str]:
    """Names and contents of the files that match, as fingerprint inputs."""
    found = sorted({p for pattern in patterns for p in ROOT.glob(pattern) if p.is_file()})
    return [f"{p.relative_to(ROOT)} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in found]


def package_inputs() -> list[str]:
    """What the installed package depends on; Python files are linked, so only their names count."""
    linked = ["tacdiff_ros/**/*", "launch/*", "config/**/*", "urdf/**/*"]
    names = sorted(
        str(p.relative_to(ROOT))
        for g in linked
        for p in ROOT.glob(g)
        if "__pycache__" not in str(p)
    )
    built = [
        "package.xml",
        "CMakeLists.txt",
        "msg/*",
        "srv/*",
        "action/*",
        "tools/executable.py.in",
    ]
    return names + files(*built, "tacdiff_ros/nodes/nodes.txt")


def create_venv() -> None:
    """A fresh virtual environment; what an older Python left is removed."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)


def pip(*arguments: str) -> None:
    """Install into the virtual environment, held by the constraints."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "-c", "tools/constraints.txt", "-c", "tools/ros-jazzy-wheels.txt", *arguments],
        cwd=ROOT,
        check=True,
    )


def install_ros_wheels() -> None:
    """ROS 2 Jazzy and its build tools."""
    pip("-r", "tools/ros-jazzy-wheels.txt", "-r", "tools/build-requirements.txt")


def install_packages() -> None:
    """Python dependencies of this package, without the package itself."""
    script = (
        "import sys\n"
        "try: import tomllib\n"
        "except ImportError: from pip._vendor import tomli as tomllib\n"
        "project = tomllib.load(open('pyproject.toml', 'rb'))['project']\n"
        "print('\\n'.join(project['dependencies']))\n"
        "for extra in sys.argv[1].split(','):\n"
        "    print('\\n'.join(project['optional-dependencies'][extra]))\n"
    )
    listed = subprocess.run(
        [str(PYTHON), "-c", script, EXTRAS], cwd=ROOT, check=True, capture_output=True, text=True
    )
    pip(*cpu_torch_index(), *listed.stdout.split("\n")[:-1])


def cpu_torch_index() -> list[str]:
    """Where torch without CUDA comes from, for machines without an NVIDIA driver."""
    if Path("/proc/driver/nvidia").exists():
        return []
    try:
        urllib.request.urlopen(f"{CPU_TORCH}/torch/", timeout=5).close()  # noqa: S310
    except OSError:
        return []
    return ["--extra-index-url", CPU_TORCH]


def repair_cmake_paths() -> None:
    """Replace the paths of the machine that the ROS wheels were built on by those of this one."""
    query = (
        "import numpy, sysconfig; print(sysconfig.get_path('include')); print(numpy.get_include())"
    )
    answer = subprocess.run([str(PYTHON), "-c", query], check=True, capture_output=True, text=True)
    python_include, numpy_include = answer.stdout.splitlines()
    built_on = re.compile(r"/opt/python/[^;\"\s>]+")
    for path in (VENV / "share").rglob("*.cmake"):
        text = path.read_text()
        repaired = built_on.sub(
            lambda match: numpy_include if "numpy" in match.group() else python_include, text
        )
        if repaired != text:
            path.write_text(repaired)


def ros_environment() -> dict[str, str]:
    """Environment in which CMake and colcon see `.venv` as the ROS prefix."""
    return {
        **os.environ,
        "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
        "AMENT_PREFIX_PATH": str(VENV),
        "CMAKE_PREFIX_PATH": str(VENV),
        "LD_LIBRARY_PATH": str(VENV / "lib"),
        "PYTHONNOUSERSITE": "1",
    }


def build(package: str) -> None:
    """Configure, build and install one ament package into `.venv`; sources stay linked."""
    source = (ROOT / package).resolve()
    folder = BUILD / source.name
    shutil.rmtree(folder / "ament_cmake_symlink_install", ignore_errors=True)
    configure = ["cmake", "-S", str(source), "-B", str(folder), "-G", "Ninja"]
    options = [
        f"-DCMAKE_INSTALL_PREFIX={VENV}",
        f"-DPython3_EXECUTABLE={PYTHON}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        "-DAMENT_CMAKE_SYMLINK_INSTALL=ON",
    ]
    log = VENV / f"{source.name}-build.log"
    with log.open("w") as output:
        for command in (
            [*configure, *options],
            ["cmake", "--build", str(folder), "--target", "install"],
        ):
            done = subprocess.run(
                command, env=ros_environment(), stdout=output, stderr=subprocess.STDOUT
            )
            if done.returncode:
                print("".join(log.read_text().splitlines(keepends=True)[-40:]), file=sys.stderr)
                raise SetupError(f"building {source.name} failed; the whole log is {log}")


def link_sources() -> None:
    """`.venv/bin/tacdiff` and imports run the sources of this folder.

    Not `pip install --editable`: pip takes the folder of the generated interfaces for an older
    installation and removes it.
    """
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run([str(PYTHON), "-c", query], check=True, capture_output=True, text=True)
    lines = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})",
        f"import os; os.environ.setdefault('AMENT_PREFIX_PATH', {str(VENV)!r})",
    )
    path_file = Path(answer.stdout.strip()) / "tacdiff_ros_sources.pth"
    path_file.write_text("\n".join(lines) + "\n")
    command = VENV / "bin" / "tacdiff"
    command.unlink(missing_ok=True)
    command.symlink_to(VENV / "lib" / "tacdiff_ros" / "tacdiff")


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Make `.venv` a complete ROS 2 Jazzy prefix with this package in it; run again, it takes seconds.

Needs only Python's standard library. Every step remembers a fingerprint of what it was made from
and is skipped while that stands. In a folder of somebody else, or on a read-only mount, what its
owner prepared is used; where nothing is prepared, the environment goes to a folder of the user.
`--where` only prints the environment's folder; `TACDIFF_VENV` names another.
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
EXTRAS = "pose,virtual,render,learn,cluster,export,dev"
ROS_WHEELS = "tools/ros-jazzy-wheels.txt"
CPU_TORCH = "https://download.pytorch.org/whl/cpu"

# Of the shell that this was started in: they would bring in another ROS, or lead pip and CMake to
# install elsewhere.
MISLEADING_VARIABLES = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "DESTDIR",
    "LD_LIBRARY_PATH",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "ROS_DISTRO",
    "ROS_VERSION",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)

sys.path.insert(0, str(ROOT))
from tacdiff_ros.machine.process_setup import use_utf8  # noqa: E402
from tacdiff_ros.optics import llvm  # noqa: E402


class SetupError(RuntimeError):
    """Setup cannot go on; the message says what to type."""


def succeeds(*command: str) -> bool:
    """Whether a command exits with 0; what it prints is dropped."""
    return subprocess.run(command, capture_output=True).returncode == 0


def step_inputs() -> dict[str, list[str]]:
    """All steps in their order, with what each is made from."""
    wheels = files(ROS_WHEELS)
    return {
        "venv": [sys.version],
        "ros-wheels": wheels,
        "packages": files("pyproject.toml", "tools/*.txt"),
        "cmake-paths": wheels,
        "franka_msgs": files("test/franka_msgs/**/*"),
        "controller_manager_msgs": files("test/controller_manager_msgs/**/*"),
        "tacdiff_ros": package_inputs(),
        "sources": files("tools/setup_environment.py"),
    }


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


def fingerprint(inputs: list[str]) -> str:
    """What a step's stamp holds once it was made from these inputs in this folder."""
    return hashlib.sha256("\n".join([str(ROOT), *inputs]).encode()).hexdigest()


def is_done(venv: Path, step: str, inputs: list[str]) -> bool:
    """Whether a step succeeded before from the same inputs."""
    stamp = venv / "stamps" / step
    return stamp.exists() and stamp.read_text() == fingerprint(inputs)


def is_writable(folder: Path) -> bool:
    """Whether this user can write to a folder, or make it."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def is_prepared(venv: Path) -> bool:
    """Whether an environment of somebody else is up to date and runs for this user.

    Its Python may be another than the one that runs this.
    """
    steps = {name: inputs for name, inputs in step_inputs().items() if name != "venv"}
    try:
        return all(is_done(venv, *step) for step in steps.items()) and succeeds(
            str(venv / "bin" / "python"), "-c", "import numpy"
        )
    except OSError:  # not readable, or its Python is in a private folder of the owner
        return False


def venv_folder() -> Path:
    """`.venv` of this folder where it can be used, else one in the user's own data folder."""
    chosen = os.environ.get("TACDIFF_VENV")
    if chosen:
        return Path(chosen).expanduser().absolute()
    here = ROOT / ".venv"
    if is_writable(here) or is_prepared(here):
        return here
    home = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    key = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    return Path(home) / "tacdiff_ros" / f"{ROOT.name}-{key}"


VENV = venv_folder()
PYTHON = VENV / "bin" / "python"
BUILD = VENV / "build"


def main() -> int:
    """Run all steps; 2 with one line where something must be done by hand."""
    use_utf8()
    if sys.argv[1:] == ["--where"]:
        print(VENV)
        return 0
    for name in MISLEADING_VARIABLES:
        os.environ.pop(name, None)
    try:
        if VENV.is_relative_to(ROOT) and not is_writable(VENV):
            return 0  # prepared by its owner
        prepare()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"setup: '{error.cmd[0]} ...' failed; its messages are above", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"setup: {error.filename or VENV}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def prepare() -> None:
    """Run the steps that are not done yet."""
    check_python()
    install_system_packages()
    if not VENV.is_relative_to(ROOT):
        print(f"setup: the environment goes to {VENV}", flush=True)
    actions: dict[str, Callable[[], None]] = {
        "venv": create_venv,
        "ros-wheels": install_ros_wheels,
        "packages": install_packages,
        "cmake-paths": repair_cmake_paths,
        "franka_msgs": lambda: build("test/franka_msgs"),
        "controller_manager_msgs": lambda: build("test/controller_manager_msgs"),
        "tacdiff_ros": lambda: build("."),
        "sources": link_sources,
    }
    for step, inputs in step_inputs().items():
        once(step, inputs, actions[step])
    compile_kernels()


def compile_kernels() -> None:
    """Fill this user's kernel cache where that is quick; what fails here is compiled when used."""
    print("setup: kernels", flush=True)
    subprocess.run([str(PYTHON), "-m", "tacdiff_ros.warm_up"], cwd=ROOT, check=False)
    print("setup: done; next: make demo, make test, or .venv/bin/tacdiff --help", flush=True)


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
    if is_done(VENV, step, inputs):
        return
    print(f"setup: {step}", flush=True)
    action()
    (VENV / "stamps").mkdir(parents=True, exist_ok=True)
    (VENV / "stamps" / step).write_text(fingerprint(inputs))


def create_venv() -> None:
    """A fresh virtual environment; what an older Python left is removed."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)


def pip(*arguments: str) -> None:
    """Install into the virtual environment."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], cwd=ROOT, check=True)


def constraints() -> list[str]:
    """Versions that hold for everything that pip installs.

    Without the hashes of the ROS wheels: one hash makes pip demand the hashes of all packages.
    """
    lines = (ROOT / ROS_WHEELS).read_text().splitlines()
    pins = VENV / "ros-pins.txt"
    pins.write_text("".join(f"{line.split()[0]}\n" for line in lines if "==" in line))
    return ["-c", "tools/constraints.txt", "-c", str(pins)]


def install_ros_wheels() -> None:
    """ROS 2 Jazzy, each file checked by its hash; then what it needs, and its build tools."""
    pip("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", ROS_WHEELS)
    ros = (VENV / "ros-pins.txt").as_posix()
    pip(*constraints(), "-r", ros, "-r", "tools/build-requirements.txt")


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
    if index := cpu_torch_index():  # for this one package, so that it can replace no other
        pip(*constraints(), "--no-deps", *index, "torch")
    pip(*constraints(), *listed.stdout.split("\n")[:-1])


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
        f"import os, sys; sys.path.insert(0, os.fsdecode({os.fsencode(ROOT)!r}))",
        "import os; os.environ.setdefault("
        f"'AMENT_PREFIX_PATH', os.fsdecode({os.fsencode(VENV)!r}))",
    )
    path_file = Path(answer.stdout.strip()) / "tacdiff_ros_sources.pth"
    path_file.write_text("\n".join(lines) + "\n")
    command = VENV / "bin" / "tacdiff"
    command.unlink(missing_ok=True)
    command.symlink_to(VENV / "lib" / "tacdiff_ros" / "tacdiff")


if __name__ == "__main__":
    sys.exit(main())

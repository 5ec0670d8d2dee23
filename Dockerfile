# ROS 2 Jazzy with this package in a colcon workspace, as README.md has it for a robot.
#   docker build --tag tacdiff_ros .
#   docker run --rm --network host --device /dev/video0 --volume "$PWD:/data" tacdiff_ros tacdiff doctor
FROM ros:jazzy-ros-base AS dependencies
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /ws
COPY package.xml src/tacdiff_ros/package.xml
# Versions are those of the distribution's release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libllvm19 python3-venv v4l-utils \
 && rosdep update --rosdistro jazzy \
 && rosdep install --from-paths src --ignore-src --skip-keys franka_msgs --yes \
 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt tools/constraints.txt /tmp/
RUN python3 -m venv --system-site-packages /opt/tacdiff \
 && /opt/tacdiff/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
      --constraint /tmp/constraints.txt --requirement /tmp/requirements.txt
# Nodes use the Python that is active when colcon builds.
ENV PATH=/opt/tacdiff/bin:$PATH VIRTUAL_ENV=/opt/tacdiff

FROM dependencies AS package
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY . src/tacdiff_ros
# franka_msgs: the messages that nodes need, without libfranka; franka_ros2 on the robot brings the same.
RUN rm src/tacdiff_ros/test/franka_msgs/COLCON_IGNORE \
 && source /opt/ros/jazzy/setup.bash \
 && colcon build --base-paths src src/tacdiff_ros/test/franka_msgs \
 && printf '#!/bin/bash\nexec ros2 run tacdiff_ros tacdiff "$@"\n' > /usr/local/bin/tacdiff \
 && printf '#!/bin/bash\nset -e\nsource /ws/install/setup.bash\nexec "$@"\n' > /entrypoint.sh \
 && chmod 755 /usr/local/bin/tacdiff /entrypoint.sh \
 && usermod --append --groups video ubuntu
# The user `ubuntu` of the base image.
USER 1000
WORKDIR /data
ENTRYPOINT ["/entrypoint.sh"]
CMD ["bash"]

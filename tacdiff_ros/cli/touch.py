"""`tacdiff touch`: simulated touches, pretraining, features of images, linear probes."""

from __future__ import annotations

import typer

from tacdiff_ros.cli.touch_embed import embed
from tacdiff_ros.cli.touch_probe import probe
from tacdiff_ros.cli.touch_simulate import simulate
from tacdiff_ros.cli.touch_slip import slip
from tacdiff_ros.cli.touch_train import train

touch = typer.Typer(
    help="Learned features of touch: simulated touches, encoder, features of images, probes.",
    rich_markup_mode=None,
)
touch.command("simulate", short_help="random touches on many virtual sensors")(simulate)
touch.command("train", short_help="pretrain an encoder on touch sets, or resume")(train)
touch.command("slip", short_help="train an encoder's slip head on simulated grasps")(slip)
touch.command("embed", short_help="features and properties of images and videos")(embed)
touch.command("probe", short_help="linear probe of features, cross-validated by group")(probe)

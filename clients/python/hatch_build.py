"""Puts the server's binary into a wheel: LONGHAUL_WHEEL_BINARY is its path, LONGHAUL_WHEEL_PLATFORM the tag of its platform.

Without the variables the wheel is the client alone and is for every platform.
"""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Binary(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version, build_data):
        binary = os.environ.get("LONGHAUL_WHEEL_BINARY")
        if not binary:
            return
        build_data["shared_scripts"] = {binary: "longhaul"}
        build_data["tag"] = "py3-none-" + os.environ["LONGHAUL_WHEEL_PLATFORM"]
        build_data["pure_python"] = False

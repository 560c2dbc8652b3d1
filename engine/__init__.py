"""Arrays in, arrays out: opens a bundle, runs backbone and head, keeps windows. Knows no camera, no MQTT."""

import os
import sys

# From its import on, ONNX Runtime (1.29 and newer, on Linux too) reports process, machine and models to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# `import openvino` reports itself over the network, and NNCF its use, through this package; without it both do not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

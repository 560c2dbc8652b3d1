"""Opens a bundle, runs backbone and head on arrays, and keeps windows. Independent of cameras and MQTT."""

import os
import sys

# When imported, ONNX Runtime (since 1.29, on Linux too) sends telemetry: process, machine and models.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# `import openvino` sends telemetry through this package, and so does NNCF; without the package, neither does.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

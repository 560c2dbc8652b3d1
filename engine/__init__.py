"""Arrays in, arrays out: opens a bundle, runs backbone and head, keeps windows. Knows no camera, no MQTT."""

import sys

# `import openvino` reports itself over the network, and NNCF its use, through this package; without it both do not.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

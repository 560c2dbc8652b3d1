"""Exports PyTorch networks to a bundle: ONNX, INT8 and TensorRT artefacts, their verification, and the manifest."""

import os

# Unless this is set before it is imported, NNCF sends telemetry.
os.environ["NNCF_CI"] = "1"

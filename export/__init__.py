"""PyTorch to bundle: ONNX, INT8 and TensorRT artefacts, their verification and the manifest."""

import os

# NNCF reports its use over the network unless this is set before it is imported; here it always is.
os.environ["NNCF_CI"] = "1"

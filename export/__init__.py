"""PyTorch to bundle: ONNX artefacts, their verification and the manifest."""

import engine  # noqa: F401 -- imported before openvino, so that no telemetry is sent

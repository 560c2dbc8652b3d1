import engine  # noqa: F401 -- before anything imports openvino: nothing is reported over the network

"""`make demo`: sample footage with a staged incident over real RTSP, with alarms over real MQTT."""

"""`make demo`: sample footage with a staged incident over real RTSP, its alarms over real MQTT."""

"""The live service: cameras, clips, alarms, events, MQTT."""

"""Recipients: MQTT, Home Assistant, Frigate, notifications, the score file, the embedded broker."""

"""Arrays in, arrays out: opens a bundle, runs backbone and head, keeps windows. Knows no camera, no MQTT."""

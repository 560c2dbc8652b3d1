"""HTTP: access control, the web page, metrics, health."""

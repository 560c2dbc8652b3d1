"""Finds cameras: WS-Discovery, ONVIF, the address patterns of makers; writes what was found into the site file."""

"""A test camera: one H.264 recording over RTSP, in real time, by GStreamer's RTSP server.

Run by the system's own Python, which has `gi`: rtsp_server.py UNITS PORT FPS [USER PASSWORD]

UNITS is a file of access units, each preceded by its length (4 bytes, big endian). Every client gets the recording from
its beginning. Prints "ready", then "unit K TIME" with the epoch time at which each unit is handed to RTSP.
"""

import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 -- imported after the versions were chosen

PIPELINE = (
    "( appsrc name=src is-live=true format=time block=false "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au "
    "! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


def read_units(path):
    data, at, units = Path(path).read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        units.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return units


def feed(source, units, fps):
    began = time.monotonic()
    for index, unit in enumerate(units):
        time.sleep(max(0.0, began + index / fps - time.monotonic()))
        buffer = Gst.Buffer.new_wrapped(unit)
        buffer.pts = buffer.dts = round(index * Gst.SECOND / fps)
        buffer.duration = round(Gst.SECOND / fps)
        sys.stdout.write(f"unit {index} {time.time()}\n")  # in one piece, because several threads print
        sys.stdout.flush()
        if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
            return
    source.emit("end-of-stream")


def main():
    units, port, fps = read_units(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    Gst.init(None)
    Gst.parse_launch(PIPELINE)  # loads the plug-ins, so that the first client need not wait
    server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)

    def configure(_factory, media):
        source = media.get_element().get_child_by_name("src")
        threading.Thread(target=feed, args=(source, units, fps), daemon=True).start()

    factory.connect("media-configure", configure)
    server.get_mount_points().add_factory("/cam", factory)
    if len(sys.argv) > 5:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        basic = GstRtspServer.RTSPAuth.make_basic(sys.argv[4], sys.argv[5])
        auth.add_basic(basic, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()

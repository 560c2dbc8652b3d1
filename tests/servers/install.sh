#!/usr/bin/env bash
# Installs what the tests use: Debian's Mosquitto, GStreamer's RTSP server and Chromium.
# Without root or apt-get nothing is installed, and the tests that need them are skipped with a reason.
set -euo pipefail
packages=(
  mosquitto mosquitto-clients
  gir1.2-gst-rtsp-server-1.0 python3-gi
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  gstreamer1.0-libav
  chromium fonts-dejavu-core
)
if dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not root, or no apt-get: tests that need Mosquitto, an RTSP server or Chromium will be skipped; to install them: apt-get install ${packages[*]}"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
# Debian starts the broker after installation; the tests start their own on free ports.
if command -v systemctl >/dev/null; then systemctl disable --now mosquitto >/dev/null 2>&1 || true; fi

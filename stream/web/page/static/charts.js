// Lines on a canvas, in the page's colours and sharp on any display.

import { hour, number } from "/page/page.js";

function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const pen = canvas.getContext("2d");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  pen.scale(ratio, ratio);
  return { pen, width, height };
}

// getComputedStyle gives light-dark() unresolved for custom properties: a probe resolves it
const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);
const colours = new Map();
export function colour(name) {
  if (!colours.has(name)) {
    probe.style.color = `var(--${name})`;
    colours.set(name, getComputedStyle(probe).color);
  }
  return colours.get(name);
}
export function forgetColours() { colours.clear(); }

// points: [time, score] in order; a gap of more than `gap` seconds is not bridged
export function drawScores(canvas, points, { from, to, threshold, marks = [], gap = 5 }) {
  const { pen, width, height } = prepared(canvas);
  const x = t => (t - from) / (to - from) * width, y = s => height - 3 - s * (height - 6);
  pen.fillStyle = colour("bad");
  pen.globalAlpha = 0.18;
  for (const [start, end] of marks) pen.fillRect(x(start), 0, Math.max(2, x(end) - x(start)), height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour("line");
  pen.strokeRect(0.5, 0.5, width - 1, height - 1);
  if (threshold !== undefined) {
    pen.strokeStyle = colour("warn");
    pen.setLineDash([5, 4]);
    pen.beginPath(); pen.moveTo(0, y(threshold)); pen.lineTo(width, y(threshold)); pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = colour("faint");
    pen.font = "10px system-ui, sans-serif";
    pen.fillText(number(threshold), 4, y(threshold) + (y(threshold) > 16 ? -3 : 11));
  }
  pen.strokeStyle = colour("accent");
  pen.lineWidth = 1.6;
  pen.beginPath();
  let last = -Infinity;
  for (const [t, s] of points) {
    if (t - last > gap) pen.moveTo(x(t), y(s)); else pen.lineTo(x(t), y(s));
    last = t;
  }
  pen.stroke();
}

// region: x, y, width, height in fractions of the image that the canvas lies on; rows of cells from 0 to 255
export function drawHeat(canvas, { region, rows }) {
  ["left", "top", "width", "height"].forEach((side, i) => { canvas.style[side] = `${region[i] * 100}%`; });
  canvas.width = rows[0]?.length ?? 1;
  canvas.height = rows.length || 1;
  const pen = canvas.getContext("2d"), cells = pen.createImageData(canvas.width, canvas.height);
  rows.flat().forEach((heat, i) => cells.data.set([255, 60, 0, heat * 0.7], 4 * i));
  pen.putImageData(cells, 0, 0);  // the browser enlarges it smoothly
}

// peaks: highest score of each part of the day, null where nothing was scored; below them the hours of the clock
export function drawDay(canvas, { peaks, threshold, since, until, alarms }) {
  const { pen, width, height: whole } = prepared(canvas), height = whole - 12;
  const step = width / peaks.length, x = at => (at - since) / (until - since) * width;
  peaks.forEach((peak, i) => {
    if (peak === null) return;
    pen.fillStyle = colour(peak >= threshold ? "bad" : "accent");
    pen.globalAlpha = peak >= threshold ? 1 : 0.55;
    pen.fillRect(i * step, height - 2 - peak * (height - 4), Math.max(1, step), peak * (height - 4) + 2);
  });
  pen.globalAlpha = 1;
  pen.fillStyle = colour("bad");
  for (const at of alarms.filter(at => at > since)) {
    pen.beginPath(); pen.moveTo(x(at) - 4, 0); pen.lineTo(x(at) + 4, 0); pen.lineTo(x(at), 7); pen.fill();
  }
  pen.fillStyle = colour("faint");
  pen.font = "10px system-ui, sans-serif";
  pen.textAlign = "center";
  for (let quarter = Math.ceil(since / 900) * 900; quarter < until; quarter += 900) {  // zones may be off by half an hour
    const at = x(quarter);
    if (at < 14 || at > width - 14 || !/^(00|06|12|18):00$/.test(hour(quarter))) continue;
    pen.fillRect(at, height, 1, 3);
    pen.fillText(hour(quarter), at, whole - 1);
  }
  pen.strokeStyle = colour("line");
  pen.strokeRect(0.5, 0.5, width - 1, height - 1);
}

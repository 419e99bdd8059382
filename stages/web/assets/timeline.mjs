// The time line: a band for each face and for the voice. Its height is the confidence, its colour and its words the
// emotion; stripes say that it is uncertain. Under a face's band lies a thin one: the face alone, without the voice.

import { begin, colours, font, hatched } from "./canvas.mjs";
import { clock, scale, ticks } from "./geometry.mjs";
import { runs } from "./stream.mjs";
import { verdict } from "./text.mjs";

const TITLE_PX = 20;
const BAND_PX = 46;
const VOICE_PX = 32;
const THIN_PX = 7;
const GAP_PX = 16;
const AXIS_PX = 24;
const MAX_FACES = 6; // faces with a band; of more the last ones

/** Draw a stream between two times. `at` marks a moment, `said` is the result that is spoken of. Returns the mapping of pixels to times. */
export function drawTimeline(canvas, stream, { from, to, at, said, palette }) {
  const all = stream.lanes(from, to);
  const faces = [...all.keys()].filter((who) => who !== "voice").slice(-MAX_FACES);
  const lanes = [...(faces.length ? faces : ["face"]), "voice"].map((who) => ({ who, spans: all.get(who) ?? [] }));
  const height = lanes.reduce((sum, { who }) => sum + laneHeight(who), 0) + AXIS_PX;
  const width = canvas.clientWidth;
  if (canvas.clientHeight !== height) canvas.style.height = `${height}px`;
  const context = begin(canvas, width, height);
  const paint = { context, colours: colours(), palette, scale: scale(from, to, width), said };
  drawAxis(paint, height);
  let top = 0;
  for (const lane of lanes) {
    drawLane(paint, lane, top, lane === lanes[0]);
    top += laneHeight(lane.who);
  }
  if (at !== null) drawCursor(paint, at, height);
  return paint.scale;
}

function laneHeight(who) {
  return TITLE_PX + (who === "voice" ? VOICE_PX : BAND_PX + 3 + THIN_PX) + GAP_PX;
}

function drawLane(paint, { who, spans }, top, first) {
  const { context } = paint;
  const voice = who === "voice";
  const height = voice ? VOICE_PX : BAND_PX;
  const base = top + TITLE_PX + height;
  context.fillStyle = paint.colours.sunken;
  context.fillRect(0, top + TITLE_PX, paint.scale.width, height);
  drawTicks(paint, top + TITLE_PX, base);
  const written = [];
  for (const run of runs(spans)) written.push(...drawRun(paint, run, base, height));
  if (!voice) {
    const alone = spans.filter((span) => span.alone).map((span) => ({ ...span, ...span.alone }));
    for (const run of runs(alone)) drawStrip(paint, run, base + 3);
  }
  for (const text of written) write(paint, text);
  drawTitle(paint, who, spans, top, first);
}

function drawTitle({ context, colours: { text, muted }, scale: { width }, said }, lane, spans, top, first) {
  context.textBaseline = "alphabetic";
  context.font = font(13, 650);
  context.fillStyle = text;
  const now = said && [...said.faces, said.voice].find((finding) => finding?.lane === lane);
  const who = now ? `${now.who}:` : lane;
  context.fillText(who, 0, top + 14);
  const after = context.measureText(who).width + 8;
  context.font = font(13);
  context.fillStyle = muted;
  const words = now ? verdict(now) : lane === "voice" ? "silent" : "nobody in view";
  context.fillText(words, after, top + 14);
  if (!first || !spans.some(({ alone }) => alone)) return;
  context.font = font(12);
  const legend = "band: with the voice · thin: the face by itself";
  const room = width - after - context.measureText(words).width - 24;
  const length = context.measureText(legend).width;
  if (length < room) context.fillText(legend, width - length, top + 14);
}

/** One run as an area under its confidence. Returns what is to be written on it, last of all. */
function drawRun({ context, palette, scale: { x, width }, colours: { text } }, run, base, height) {
  const { colour, ink } = palette.get(run.emotion);
  const left = Math.max(0, x(run.spans[0].from));
  const right = Math.min(width, x(run.spans[run.spans.length - 1].to));
  if (right - left < 0.5) return [];
  const area = new Path2D();
  const edge = new Path2D();
  area.moveTo(left, base);
  run.spans.forEach((span, index) => {
    const y = base - Math.max(2, span.confidence * height);
    const from = Math.max(left, x(span.from));
    area.lineTo(from, y);
    if (index === 0) edge.moveTo(from, y);
    else edge.lineTo(from, y);
    if (index === run.spans.length - 1) {
      area.lineTo(right, y);
      edge.lineTo(right, y);
    }
  });
  area.lineTo(right, base);
  area.closePath();
  context.globalAlpha = run.uncertain ? 0.14 : 1;
  context.fillStyle = colour;
  context.fill(area);
  context.globalAlpha = 1;
  if (run.uncertain) {
    context.fillStyle = hatched(context, colour);
    context.fill(area);
  }
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.setLineDash(run.uncertain ? [4, 3] : []);
  context.stroke(edge);
  context.setLineDash([]);
  context.font = font(12, 600);
  const said = run.emotion + (run.uncertain ? "?" : "");
  const length = context.measureText(said).width;
  if (length + 10 > right - left) return [];
  return [{ said, length, x: left + 5, y: base - 5, ink: run.uncertain ? text : ink, plate: run.uncertain }];
}

function write({ context, colours: { sunken } }, { said, length, x, y, ink, plate }) {
  if (plate) {
    context.fillStyle = sunken;
    context.fillRect(x - 2, y - 11, length + 4, 14);
  }
  context.font = font(12, 600);
  context.fillStyle = ink;
  context.fillText(said, x, y);
}

function drawStrip({ context, palette, scale: { x, width } }, run, top) {
  const left = Math.max(0, x(run.spans[0].from));
  const right = Math.min(width, x(run.spans[run.spans.length - 1].to));
  const { colour } = palette.get(run.emotion);
  context.fillStyle = run.uncertain ? hatched(context, colour) : colour;
  context.fillRect(left, top, Math.max(0, right - left), THIN_PX);
}

function drawTicks({ context, colours: { line }, scale: mapping }, top, bottom) {
  context.fillStyle = line;
  for (const time of ticks(mapping)) context.fillRect(Math.round(mapping.x(time)), top, 1, bottom - top);
}

function drawAxis({ context, colours: { muted }, scale: mapping }, height) {
  context.font = font(12);
  context.textBaseline = "alphabetic";
  for (const time of ticks(mapping)) {
    const x = mapping.x(time);
    const said = clock(time);
    const length = context.measureText(said).width;
    if (x - length / 2 < 0 || x + length / 2 > mapping.width) continue;
    context.fillStyle = muted;
    context.fillText(said, x - length / 2, height - 6);
  }
}

function drawCursor({ context, colours: { accent }, scale: { x } }, at, height) {
  context.strokeStyle = accent;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x(at), TITLE_PX - 4);
  context.lineTo(x(at), height - AXIS_PX + 6);
  context.stroke();
}

// What each face expresses, over its picture.

import { begin, font } from "./canvas.mjs";
import { placed, plate } from "./geometry.mjs";
import { verdict } from "./text.mjs";

const PLATE = "rgba(12, 15, 19, 0.82)";

/**
 * Draw a sample's boxes and the voice over a picture; `mirrored` turns the boxes and never the text. What is written is
 * what `said` has of the same: boxes may move faster than figures can be read.
 */
export function drawOverlay(canvas, sample, { palette, said, mirrored = false }) {
  const size = { width: canvas.clientWidth, height: canvas.clientHeight };
  const context = begin(canvas, size.width, size.height);
  if (!sample) return;
  for (const face of sample.faces) {
    const finding = said?.faces.find(({ lane }) => lane === face.lane) ?? face;
    const box = placed(face.box, size, mirrored);
    const colour = tint(finding, palette);
    outline(context, box, colour, finding.uncertain);
    const width = label(context, finding, null, colour);
    label(context, finding, plate(box, { width, height: 26 }, size), colour);
  }
  const voice = said ? said.voice : sample.voice;
  if (voice) label(context, voice, { x: 10, y: size.height - 36 }, tint(voice, palette));
}

function tint({ emotion, uncertain }, palette) {
  return uncertain ? "#c3cad3" : palette.get(emotion).colour;
}

function outline(context, { x, y, width, height }, colour, uncertain) {
  const round = Math.min(14, width / 6);
  context.setLineDash([]);
  context.lineWidth = 5;
  context.strokeStyle = "rgba(0, 0, 0, 0.45)";
  context.beginPath();
  context.roundRect(x, y, width, height, round);
  context.stroke();
  context.setLineDash(uncertain ? [8, 7] : []);
  context.lineWidth = 3;
  context.strokeStyle = colour;
  context.stroke();
  context.setLineDash([]);
}

/** A finding in words on a dark plate; without a place only its width is measured. */
function label(context, finding, at, colour) {
  const words = [
    { text: `${finding.who}: `, weight: 500 },
    { text: finding.emotion, weight: 700 },
    { text: verdict(finding).slice(finding.emotion.length), weight: 500 },
  ];
  const widths = words.map(({ text, weight }) => {
    context.font = font(14, weight);
    return context.measureText(text).width;
  });
  const total = 30 + widths.reduce((sum, each) => sum + each, 0);
  if (!at) return total;
  context.fillStyle = PLATE;
  context.beginPath();
  context.roundRect(at.x, at.y, total, 26, 7);
  context.fill();
  context.fillStyle = colour;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.roundRect(at.x + 7, at.y + 7, 9, 12, 2.5);
  if (finding.uncertain) context.stroke();
  else context.fill();
  context.fillStyle = "#ffffff";
  context.textBaseline = "middle";
  let x = at.x + 22;
  words.forEach(({ text, weight }, index) => {
    context.font = font(14, weight);
    context.fillText(text, x, at.y + 13.5);
    x += widths[index];
  });
  return total;
}

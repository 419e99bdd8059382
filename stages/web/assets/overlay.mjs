// What each face expresses, over its picture.

import { begin, font } from "./paint.mjs";
import { placed, plate } from "./scale.mjs";
import { percent } from "./words.mjs";

const PLATE = "rgba(12, 15, 19, 0.82)";

/** Draw a sample's boxes and the voice over a picture; `mirrored` turns the boxes and never the text. */
export function drawOverlay(canvas, sample, { palette, mirrored = false }) {
  const size = { width: canvas.clientWidth, height: canvas.clientHeight };
  const context = begin(canvas, size.width, size.height);
  if (!sample) return;
  for (const face of sample.faces) {
    const box = placed(face.box, size, mirrored);
    const colour = face.uncertain ? "#c3cad3" : palette.get(face.emotion).colour;
    outline(context, box, colour, face.uncertain);
    const lines = [
      { text: face.who, weight: 500 },
      { text: face.emotion + (face.uncertain ? "?" : ""), weight: 700 },
      { text: percent(face.confidence), weight: 500 },
    ];
    if (face.uncertain) lines.push({ text: "uncertain", weight: 400 });
    const width = label(context, lines, null, colour, face.uncertain);
    label(context, lines, plate(box, { width, height: 26 }, size), colour, face.uncertain);
  }
  if (sample.voice) {
    const { emotion, confidence, uncertain } = sample.voice;
    const colour = uncertain ? "#c3cad3" : palette.get(emotion).colour;
    const lines = [{ text: "voice", weight: 500 }, { text: emotion + (uncertain ? "?" : ""), weight: 700 },
      { text: percent(confidence), weight: 500 }];
    if (uncertain) lines.push({ text: "uncertain", weight: 400 });
    label(context, lines, { x: 10, y: size.height - 36 }, colour, uncertain);
  }
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

/** Words side by side on a dark plate; without a place only their width is measured. */
function label(context, lines, at, colour, uncertain) {
  const gap = 7;
  const widths = lines.map(({ text, weight }) => {
    context.font = font(14, weight);
    return context.measureText(text).width;
  });
  const total = 14 + 10 + widths.reduce((sum, each) => sum + each + gap, 0);
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
  if (uncertain) context.stroke();
  else context.fill();
  context.fillStyle = "#ffffff";
  context.textBaseline = "middle";
  let x = at.x + 22;
  lines.forEach(({ text, weight }, index) => {
    context.font = font(14, weight);
    context.fillText(text, x, at.y + 13.5);
    x += widths[index] + gap;
  });
  return total;
}

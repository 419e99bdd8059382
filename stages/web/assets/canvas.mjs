// Canvas: crisp at any zoom, in the page's own colours, and hatched where something is uncertain.

/** Fit a canvas to its place on the page; returns its context in CSS pixels, cleared, with its size. */
export function begin(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The page's colours, as its style sheet has them for the present scheme. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["text", "muted", "line", "surface", "sunken", "accent"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const hatchings = new Map();

/** Stripes of a colour: the pattern of what is uncertain. */
export function hatched(context, colour) {
  const ratio = window.devicePixelRatio || 1;
  const key = `${colour} ${ratio}`;
  if (!hatchings.has(key)) {
    const size = Math.round(7 * ratio);
    const tile = new OffscreenCanvas(size, size);
    const paint = tile.getContext("2d");
    paint.strokeStyle = colour;
    paint.lineWidth = 1.6 * ratio;
    for (const shift of [-size, 0, size]) {
      paint.beginPath();
      paint.moveTo(shift - 1, size + 1);
      paint.lineTo(shift + size + 1, -1);
      paint.stroke();
    }
    hatchings.set(key, tile);
  }
  const pattern = context.createPattern(hatchings.get(key), "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

export function font(size, weight = 400) {
  return `${weight} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif`;
}

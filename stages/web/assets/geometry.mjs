// Geometry and figures, without a document: from times to pixels, boxes to pixels, seconds to words.

/** A mapping of `from`..`to` seconds onto 0..`width` pixels. */
export function scale(from, to, width) {
  const perSecond = width / (to - from);
  return {
    from, to, width,
    x: (time) => (time - from) * perSecond,
    time: (x) => from + x / perSecond,
  };
}

/** Times at which an axis is labelled: round ones, at least `room` pixels apart. */
export function ticks({ from, to, width }, room = 64) {
  const least = ((to - from) * room) / width;
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((each) => each >= least) ?? 1800;
  const times = [];
  for (let time = Math.ceil(Math.max(from, 0) / step) * step; time <= to; time += step) times.push(time);
  return times;
}

/** 75 → "1:15", and with tenths "1:15.0". */
export function clock(seconds, tenths = false) {
  const unit = tenths ? 10 : 1;
  const whole = Math.max(0, tenths ? Math.round(seconds * unit) : Math.floor(seconds));
  const minutes = Math.floor(whole / (60 * unit));
  const rest = (whole / unit - minutes * 60).toFixed(tenths ? 1 : 0);
  return `${minutes}:${rest.padStart(tenths ? 4 : 2, "0")}`;
}

/** A box of 0..1 (left, top, width, height) in pixels of a picture that is perhaps shown as in a mirror. */
export function placed([left, top, width, height], picture, mirrored) {
  return {
    x: (mirrored ? 1 - left - width : left) * picture.width,
    y: top * picture.height,
    width: width * picture.width,
    height: height * picture.height,
  };
}

/** Where a plate of text goes: above the box, else below, else inside its top; never out of the picture. */
export function plate(box, size, picture) {
  const x = Math.min(Math.max(0, box.x), Math.max(0, picture.width - size.width));
  const above = box.y - size.height - 4;
  const below = box.y + box.height + 4;
  if (above >= 0) return { x, y: above };
  if (below + size.height <= picture.height) return { x, y: below };
  return { x, y: Math.min(Math.max(0, box.y), Math.max(0, picture.height - size.height)) };
}

/** The value that `percent` of all do not exceed; NaN where there is none. */
export function percentile(values, percent) {
  if (!values.length) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
}

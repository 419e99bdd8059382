// What holds at one moment, as a table; and the figures of how well the run does.

import { geometryText, percent, verdict } from "./text.mjs";

/** An element with text or children. */
export function element(name, { text, children = [], ...properties } = {}) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Fill a table body: who, what, how sure, and the three likeliest. */
export function showNow(body, sample, palette) {
  const findings = sample ? [...sample.faces, sample.voice].filter(Boolean) : [];
  if (!findings.length) {
    const text = sample ? "Nobody in view, and nobody speaks." : "No result yet.";
    body.replaceChildren(element("tr", { children: [element("td", { text, colSpan: 3, className: "nothing" })] }));
    return;
  }
  body.replaceChildren(...findings.map((finding) => row(finding, palette)));
}

function row(finding, palette) {
  const { who, emotion, confidence, uncertain, probabilities, alone, geometry } = finding;
  const { colour } = palette.get(emotion);
  const swatch = element("span", { className: uncertain ? "swatch uncertain" : "swatch" });
  swatch.style.setProperty("--colour", colour);
  const said = element("div", { className: "emotion", children: [swatch, element("strong", { text: emotion })] });
  if (uncertain) said.append(element("span", { className: "chip", text: "uncertain" }));
  const others = Object.entries(probabilities)
    .filter(([label]) => label !== emotion)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 2)
    .map(([label, share]) => `${label} ${percent(share)}`)
    .join(", ");
  const text = (alone ? `face alone: ${verdict(alone)}` : `else ${others}`).replaceAll(" %", "\u00a0%");
  const then = element("div", { className: "others", text });
  const held = geometry ? [element("div", { className: "others", text: geometryText(geometry) })] : [];
  const bar = element("span", { className: uncertain ? "bar uncertain" : "bar", children: [element("span")] });
  bar.setAttribute("aria-hidden", "true");
  bar.firstChild.style.width = percent(confidence).replace(" ", "");
  bar.style.setProperty("--colour", colour);
  const head = element("th", { scope: "row", text: who });
  const sure = element("td", { className: "sure", children: [element("span", { text: percent(confidence) }), bar] });
  return element("tr", { children: [head, element("td", { children: [said, then, ...held] }), sure] });
}

/** Fill a list with the whole distribution of the first finding: a bar for each label, in the legend's order. */
export function showMix(list, sample, palette) {
  const finding = sample ? (sample.faces[0] ?? sample.voice) : null;
  list.hidden = !finding;
  if (!finding) return;
  list.setAttribute("aria-label", `All that ${finding.who} may express`);
  for (const name of Object.keys(finding.probabilities)) palette.get(name); // a label that is new gets its colour
  const shown = [...palette.values()].filter(({ name }) => name in finding.probabilities);
  list.replaceChildren(
    ...shown.map(({ name, colour }) => {
      const share = finding.probabilities[name];
      const bar = element("span", { className: finding.uncertain ? "bar uncertain" : "bar", children: [element("span")] });
      bar.setAttribute("aria-hidden", "true");
      bar.firstChild.style.width = `${100 * share}%`;
      bar.style.setProperty("--colour", colour);
      const likeliest = name === finding.emotion ? "likeliest" : "";
      return element("li", { className: likeliest, children: [element("span", { text: name }), bar, element("span", { text: percent(share) })] });
    }),
  );
}

/** "12 ms", or a dash where nothing is known. */
export function ms(value) {
  return Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : "–";
}

/** Fill the table of hops: how long results waited for each stage, and how long it worked on them. */
export function showHops(body, hops) {
  body.replaceChildren(
    ...hops.map(({ stage, queued, working }) =>
      element("tr", {
        children: [
          element("th", { scope: "row", text: stage }),
          ...[queued.p50, queued.p95, working.p50, working.p95].map((each) => element("td", { text: ms(each) })),
        ],
      }),
    ),
  );
}

/** How many frames and results were left out, by where and why: [{where, count}]. */
export function losses(status, forced) {
  const skipped = Object.entries(status?.counters ?? {}).map(([stage, counters]) => ({
    where: `${stage}: not looked at, newer ones had come`,
    count: counters.skipped ?? 0,
  }));
  const drops = (status?.drops ?? []).map(({ link, reason, count }) => ({ where: `${link} (${reason})`, count }));
  const lost = { where: "this page was too slow for them", count: status?.lost ?? 0 };
  const late = { where: "shown without waiting for the voice (forced)", count: forced, kept: true };
  return [...skipped, ...drops, lost, late].filter(({ count }) => count > 0);
}

/** Fill the list of losses. */
export function showLosses(list, found) {
  const lines = found.length ? found.map(({ where, count }) => `${count} × ${where}`) : ["Nothing was left out."];
  list.replaceChildren(...lines.map((text) => element("li", { text })));
}

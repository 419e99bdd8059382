// The colours of the labels: those of the emotions are given, others get theirs in the order in which they come.

export class Palette extends Map {
  /** `grown` is called when a label has come that was not there before. */
  constructor(labels, others, grown) {
    super(labels.map((label) => [label.name, label]));
    this._others = others;
    this._given = labels.length;
    this._grown = grown;
  }

  /** The colours of a label: {name, colour, ink}. */
  get(name) {
    if (!this.has(name)) {
      this.set(name, { name, ...this._others[(this.size - this._given) % this._others.length] });
      this._grown();
    }
    return super.get(name);
  }
}

// Results as they come: a WebSocket that comes back, and a token that is asked for only where one is needed.

const NEVER = -1;

/** The token, from the page's address once, then kept for this tab alone. */
export function token(location = window.location, storage = sessionStorage) {
  const address = new URL(location.href);
  const given = address.searchParams.get("token");
  if (given !== null) {
    storage.setItem("token", given);
    address.searchParams.delete("token");
    history.replaceState(null, "", address); // what is in the address bar is soon in a screenshot
  }
  return storage.getItem("token") ?? "";
}

export function keepToken(given, storage = sessionStorage) {
  storage.setItem("token", given);
}

/** Headers that say the token. */
export function bearer(given) {
  return given ? { Authorization: `Bearer ${given}` } : {};
}

export class Feed {
  /**
   * `on` has `message(object)`, `picture(header, blob)` and `state("connecting" | "open" | "lost")`.
   * A connection that is lost is made again, until `close`.
   */
  constructor({ session = null, token: given = "", on }) {
    this._on = on;
    this._session = session;
    this._token = given;
    this._wait = 500;
    this._watched = null;
    this._timer = NEVER;
    this._open();
  }

  /** Ask for the pictures of a stream. */
  watch(stream) {
    this._watched = stream;
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify({ watch: stream }));
  }

  close() {
    this._closed = true;
    clearTimeout(this._timer);
    this._socket?.close();
  }

  _open() {
    const address = new URL("/results", window.location);
    address.protocol = address.protocol.replace("http", "ws");
    if (this._session) address.searchParams.set("session", this._session);
    if (this._token) address.searchParams.set("token", this._token);
    const socket = (this._socket = new WebSocket(address));
    socket.binaryType = "arraybuffer";
    this._on.state("connecting");
    socket.onopen = () => {
      this._wait = 500;
      this._on.state("open");
      if (this._watched !== null) this.watch(this._watched);
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") this._on.message(JSON.parse(data));
      else this._picture(data);
    };
    socket.onclose = () => {
      if (this._closed) return;
      this._on.state("lost");
      this._timer = setTimeout(() => this._open(), this._wait);
      this._wait = Math.min(this._wait * 2, 5000);
    };
  }

  _picture(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    this._on.picture(header, new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  }
}

// Prints every message of an emopipe publisher as a line of JSON, until the publisher has ended:
//   node subscriber.mjs ENDPOINT [TOPIC]
import { decode } from "@msgpack/msgpack";
import { Subscriber } from "zeromq";

const ARRAYS = { "|u1": Uint8Array, "|i1": Int8Array, "<i2": Int16Array, "<i4": Int32Array, "<f4": Float32Array, "<f8": Float64Array };

/** The payload with each reference to an array's frame replaced by a typed array and its shape. */
function withArrays(value, parts) {
  if (Array.isArray(value)) return value.map((each) => withArrays(each, parts));
  if (value === null || typeof value !== "object") return value;
  if ("frame" in value && "dtype" in value && "shape" in value) {
    // A copy: a typed array must begin at a multiple of its items' size.
    const bytes = new Uint8Array(parts[value.frame]);
    return { shape: value.shape, values: new ARRAYS[value.dtype](bytes.buffer) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withArrays(each, parts)]));
}

const [endpoint, topic = "emotions/"] = process.argv.slice(2);
const socket = new Subscriber();
socket.connect(endpoint);
socket.subscribe(topic);
for await (const [name, ...parts] of socket) {
  const message = decode(parts[0]);
  message.payload = withArrays(message.payload, parts);
  const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
  console.log(JSON.stringify({ topic: name.toString(), ...message }, plain));
  if (message.kind === "eos" && message.stream === "") break;
}
socket.close();

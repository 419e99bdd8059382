"""Prints what faces and voices express, as `publish` says it: python examples/subscriber.py [endpoint]"""

import sys

import msgpack
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5560")
socket.subscribe("emotions/")
while True:
    topic, header, *arrays = socket.recv_multipart()
    message = msgpack.unpackb(header)
    if message["kind"] == "eos" and not message["stream"]:
        break
    result = message["payload"] or {"faces": [], "alone": None}  # gaps and ends have no payload
    for one in result["faces"] + ([result["alone"]] if result["alone"] else []):
        who = f"face {one['id']}" if "id" in one else "voice"
        moment = f"{message['pts'] / 1e9:8.2f} s  {message['stream']}"
        print(f"{moment}  {who} {one['emotion']} {one['confidence']:.2f}", flush=True)

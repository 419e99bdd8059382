"""Prints what `publish` says on another machine, encrypted: remote_subscriber.py tcp://HOST:5560 desk.key me.key_secret

`emopipe keys new me` makes one's own key; the other machine has its public half on its allow-list.
"""

import sys

import msgpack
import zmq
import zmq.auth

endpoint, theirs, own = sys.argv[1:]
socket = zmq.Context().socket(zmq.SUB)
socket.curve_serverkey, _ = zmq.auth.load_certificate(theirs)
socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(own)
socket.connect(endpoint)
socket.subscribe("emotions/")
while True:
    topic, header, *arrays = socket.recv_multipart()
    message = msgpack.unpackb(header)
    if message["kind"] == "eos" and not message["stream"]:
        break
    for face in (message["payload"] or {"faces": []})["faces"]:  # gaps and ends have no payload
        print(
            f"{message['pts'] / 1e9:8.2f} s  face {face['id']} {face['emotion']} {face['confidence']:.2f}", flush=True
        )

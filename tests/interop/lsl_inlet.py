"""A receiver of several streams, as a Python program listens to them.

usage: lsl_inlet.py HEARD.json COUNT NAME...

Says "ready" when it is connected to all. When it has COUNT samples of each, it writes what the
streams say of themselves and every sample with its time stamp on this machine's clock.
"""

import json
import sys
import time

import pylsl


def connect(name):
    found = pylsl.resolve_byprop("name", name, timeout=60)
    assert found, f"no stream {name}"
    inlet = pylsl.StreamInlet(found[0], recover=False)
    inlet.open_stream(timeout=20)
    return inlet


def channels(info):
    listed = []
    channel = info.desc().child("channels").child("channel")
    while not channel.empty():
        listed.append({key: channel.child_value(key) for key in ("label", "unit", "type")})
        channel = channel.next_sibling("channel")
    return listed


def main():
    path, count, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    inlets = {name: connect(name) for name in names}
    heard = {}
    for name, inlet in inlets.items():
        info = inlet.info(timeout=20)
        heard[name] = {
            "type": info.type(),
            "text": info.channel_format() == pylsl.cf_string,
            "channels": channels(info),
            "samples": [],
            "stamps": [],
        }
    print("ready")
    while any(len(page["samples"]) < count for page in heard.values()):
        for name, inlet in inlets.items():
            while True:
                sample, stamp = inlet.pull_sample(timeout=0.0)
                if sample is None:
                    break
                heard[name]["samples"].append(list(sample))
                heard[name]["stamps"].append(stamp + inlet.time_correction(timeout=20))
        time.sleep(0.02)
    with open(path, "w") as file:
        json.dump(heard, file)


if __name__ == "__main__":
    main()

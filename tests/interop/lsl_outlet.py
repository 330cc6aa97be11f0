"""A device with several streams, as a Python program sends them.

usage: lsl_outlet.py PLAN.json SENT.json

The plan names the streams, each with its format, channels and a file of its samples as float64. They
are sent when somebody listens to all of them and a line arrives on standard input; every stream gets
the same time stamps, which are written to SENT.json. The program ends with its standard input.
"""

import json
import sys
import time

import numpy
import pylsl

FORMATS = {
    "int8": (pylsl.cf_int8, numpy.int8),
    "int16": (pylsl.cf_int16, numpy.int16),
    "int32": (pylsl.cf_int32, numpy.int32),
    "int64": (pylsl.cf_int64, numpy.int64),
    "float32": (pylsl.cf_float32, numpy.float32),
    "double64": (pylsl.cf_double64, numpy.float64),
}
CHUNK = 16


def numbers(stream, plan):
    """An outlet for samples, and the samples."""
    labels = plan["labels"]
    lsl_format, dtype = FORMATS[stream["format"]]
    info = pylsl.StreamInfo(
        stream["name"], "EEG", len(labels), plan["rate_hz"], lsl_format, stream["name"]
    )
    channels = info.desc().append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", plan["unit"])
        channel.append_child_value("type", plan["type"])
    samples = numpy.fromfile(stream["samples"], dtype="<f8").reshape(-1, len(labels))
    typed = samples.astype(dtype)
    assert (typed == samples).all(), f"{stream['name']} loses numbers as {stream['format']}"
    return pylsl.StreamOutlet(info), typed.tolist()


def main():
    plan_path, sent_path = sys.argv[1:]
    with open(plan_path) as file:
        plan = json.load(file)
    voices = [numbers(stream, plan) for stream in plan["streams"]]
    info = pylsl.StreamInfo(
        plan["markers"], "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, plan["markers"]
    )
    markers = pylsl.StreamOutlet(info)
    print("open")
    for outlet in [outlet for outlet, _ in voices] + [markers]:
        while not outlet.have_consumers():
            time.sleep(0.01)
    print("heard")
    sys.stdin.readline()

    n = len(voices[0][1])
    start = pylsl.local_clock()
    stamps = [start + i / plan["rate_hz"] for i in range(n)]
    with open(sent_path, "w") as file:
        json.dump(stamps, file)
    events = dict(plan["events"])
    for first in range(0, n, CHUNK):
        end = min(first + CHUNK, n)
        for outlet, samples in voices:
            for i in range(first, end):
                outlet.push_sample(samples[i], stamps[i], i + 1 == end)
        for i in range(first, end):
            if i in events:
                markers.push_sample([events[i]], stamps[i])
        time.sleep(0.01)
    print("sent")
    sys.stdin.read()


if __name__ == "__main__":
    main()

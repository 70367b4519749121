"""Judges speech: a JSON list of {"reference", "heard", "rate"} (WAV files of one length, aligned) on stdin,
a JSON list of {"pesq", "stoi"} on stdout. PESQ is ITU-T P.862.1 at 8 kHz and P.862.2 at 16 kHz."""
import json
import sys
import wave

import numpy
from pesq import pesq
from pystoi import stoi


def samples(path):
    with wave.open(path) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float) / 32768


def judge(pair):
    reference, heard, rate = samples(pair["reference"]), samples(pair["heard"]), pair["rate"]
    return {
        "pesq": float(pesq(rate, reference, heard, "nb" if rate == 8000 else "wb")),
        "stoi": float(stoi(reference, heard, rate)),
    }


json.dump([judge(pair) for pair in json.load(sys.stdin)], sys.stdout)

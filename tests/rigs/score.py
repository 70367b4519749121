"""Judges speech: a JSON list of {"reference", "heard", "rate"} (WAV files of one length, aligned) on stdin,
a JSON list of {"pesq", "stoi"} on stdout; with "only": "pesq" just that. PESQ is ITU-T P.862.1 at 8 kHz and P.862.2 at 16 kHz."""
import json
import multiprocessing
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
    said = {"pesq": float(pesq(rate, reference, heard, "nb" if rate == 8000 else "wb"))}
    if pair.get("only") != "pesq":
        said["stoi"] = float(stoi(reference, heard, rate))
    return said


if __name__ == "__main__":
    pairs = json.load(sys.stdin)
    if len(pairs) < 20:
        answers = [judge(pair) for pair in pairs]
    else:
        with multiprocessing.Pool() as pool:
            answers = pool.map(judge, pairs, chunksize=8)
    json.dump(answers, sys.stdout)

"""Judges speech for the quality tool. Reads lines of JSON, each a list of {"reference", "heard", "rate", "pesq", "stoi"}
(raw 16-bit mono files of one length; the last two say what is wanted), answers each with a line of [pesq, stoi] pairs.
PESQ is ITU-T P.862.1 at 8 kHz and P.862.2 at 16 kHz.

usage: judge.py CACHE     scores already known are taken from this file, by a hash of the samples"""
import hashlib
import json
import os
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy
from pesq import NoUtterancesError, pesq
from pystoi import stoi

WORKERS = 2
# Codecs and resamplers delay speech by up to this much, seconds; a buffer's frame may stand this much too early.
LATEST, EARLIEST = 0.060, 0.012


def aligned(reference, heard, rate):
    """Both without the delay of codec and resampler: the lag of the largest cross-correlation is cut off."""
    size = 2 * len(reference)
    spectrum = numpy.fft.rfft(heard, size) * numpy.conj(numpy.fft.rfft(reference, size))
    likeness = numpy.fft.irfft(spectrum)
    lags = range(-int(EARLIEST * rate), int(LATEST * rate))
    lag = max(lags, key=lambda lag: likeness[lag])
    if lag < 0:
        return reference[-lag:], heard[:lag]
    return reference[: len(reference) - lag], heard[lag:]


def judge(pair):
    rate = pair["rate"]
    read = lambda name: numpy.fromfile(pair[name], dtype="<i2").astype(float) / 32768
    reference, heard = read("reference"), read("heard")
    # The files are of one length but for a last part of a frame.
    length = min(len(reference), len(heard))
    reference, heard = aligned(reference[:length], heard[:length], rate)
    score = [None, None]
    if pair["pesq"]:
        try:
            score[0] = float(pesq(rate, reference, heard, "nb" if rate == 8000 else "wb"))
        except NoUtterancesError:
            score[0] = 1.0  # nothing of the speech is left
    if pair["stoi"]:
        score[1] = float(stoi(reference, heard, rate))
    return score


def key_of(pair):
    digest = hashlib.sha256()
    for name in ("reference", "heard"):
        digest.update(pathlib.Path(pair[name]).read_bytes())
    return f"{digest.hexdigest()[:32]}-{int(pair['pesq'])}{int(pair['stoi'])}"


def main():
    os.nice(10)
    cache = pathlib.Path(sys.argv[1])
    known = {}
    if cache.exists():
        known = {key: value for key, value in map(json.loads, cache.read_text().splitlines())}
    with ProcessPoolExecutor(WORKERS) as pool, cache.open("a") as file:
        for line in sys.stdin:
            pairs = json.loads(line)
            keys = [key_of(pair) for pair in pairs]
            new = [(key, pair) for key, pair in dict(zip(keys, pairs)).items() if key not in known]
            for (key, _), score in zip(new, pool.map(judge, [pair for _, pair in new])):
                known[key] = score
                print(json.dumps([key, score]), file=file, flush=True)
            print(json.dumps([known[key] for key in keys]), flush=True)


if __name__ == "__main__":
    main()

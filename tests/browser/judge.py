"""How much HEARD.wav is like some part of SPOKEN.wav, which is said again and again: JSON with the middle likeness of half seconds with
speech in them (normalised cross-correlation at 8 kHz), how many of them there were, and the middle PESQ of stretches of four seconds:
jitter buffers move, and each stretch is laid beside what was said by itself.

judge.py SPOKEN.wav HEARD.wav"""
import json
import math
import sys
import wave

import numpy as np
from pesq import pesq
from scipy.signal import fftconvolve, resample_poly

RATE = 8000


def read(file):
    with wave.open(file) as wav:
        rate, channels = wav.getframerate(), wav.getnchannels()
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2").astype(float) / 32768
    pcm = pcm[::channels]
    common = math.gcd(rate, RATE)
    return resample_poly(pcm, RATE // common, rate // common) if rate != RATE else pcm


def best(spoken, piece):
    """The likeness of the most alike part, and where it begins."""
    product = fftconvolve(spoken, piece[::-1], "valid")
    energy = np.concatenate([[0], np.cumsum(spoken**2)])
    norm = np.sqrt((energy[len(piece):] - energy[: -len(piece)]) * np.sum(piece**2)) + 1e-9
    at = int(np.argmax(product / norm))
    return float(product[at] / norm[at]), at


once, heard = read(sys.argv[1]), read(sys.argv[2])
spoken = np.tile(once, 1 + math.ceil((len(heard) + len(once)) / len(once)))
half = RATE // 2
pieces = [heard[at: at + half] for at in range(0, len(heard) - half, half)]
loud = [piece for piece in pieces if np.sqrt(np.mean(piece**2)) > 0.02]
likeness = [best(spoken[: len(once) + half], piece)[0] for piece in loud]
scores = []
for begin in range(0, len(heard) - 4 * RATE, RATE):
    stretch = heard[begin: begin + 4 * RATE]
    if np.sqrt(np.mean(stretch**2)) > 0.02:
        at = best(spoken, stretch)[1]
        scores.append(pesq(RATE, spoken[at: at + len(stretch)], stretch, "nb"))


def middle(values):
    return float(np.median(values)) if values else 0.0


print(json.dumps({"likeness": middle(likeness), "pieces": len(loud), "pesq": middle(scores), "seconds": len(heard) / RATE}))

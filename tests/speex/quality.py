#!/usr/bin/env python3
"""Judges our encoder against libspeex's: mean PESQ (and STOI) of the corpus at the same settings.

    corpus ──► encoder (ours | libspeex) ──► libspeex's decoder ──► PESQ against the original

usage: quality.py ROUNDTRIP [--modes nb,wb] [--qualities 2,4,6,8,10] [--complexities 1,2,3,5] [--settings "vbr=6"]
                  [--jobs 2] [--stoi] [--only ours|libspeex] [--margin 0.03]
ROUNDTRIP is the built binary (cargo build --release --bin roundtrip). Needs: pip install pesq pystoi numpy scipy.
libspeex's figures are kept in the corpus folder, since they do not change. Exit code 1 when a mean of ours is below
libspeex's by more than the margin.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

RATES = {"nb": 8000, "wb": 16000}
CORPUS = pathlib.Path(os.environ.get("SPEEX_CORPUS", pathlib.Path.home() / ".cache" / "speex-corpus"))


def score(job):
    reference, degraded, band, want_stoi = job
    import pesq
    from scipy.io import wavfile

    rate, ref = wavfile.read(reference)
    _, deg = wavfile.read(degraded)
    length = min(len(ref), len(deg))
    ref, deg = ref[:length], deg[:length]
    value = pesq.pesq(rate, ref, deg, band)
    if not want_stoi:
        return value, 0.0
    import pystoi

    return value, float(pystoi.stoi(ref / 32768.0, deg / 32768.0, rate))


def measure(roundtrip, encoder, band, settings, pool, want_stoi):
    cache = CORPUS / "libspeex.json"
    key = f"{band} {settings} stoi={want_stoi}"
    known = json.loads(cache.read_text()) if cache.exists() else {}
    if encoder == "libspeex" and key in known:
        return known[key]
    with tempfile.TemporaryDirectory() as out:
        command = [roundtrip, out, encoder, band, *settings.split()]
        rate = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        names = sorted(p.name for p in (CORPUS / band).glob("*.wav"))
        jobs = [(str(CORPUS / band / n), f"{out}/{n}", band, want_stoi) for n in names]
        scores = list(pool.map(score, jobs))
    result = {
        "rate": rate,
        "pesq": sum(s[0] for s in scores) / len(scores),
        "stoi": sum(s[1] for s in scores) / len(scores),
        "each": [round(s[0], 3) for s in scores],
    }
    if encoder == "libspeex":
        known[key] = result
        cache.write_text(json.dumps(known))
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roundtrip")
    parser.add_argument("--modes", default="nb,wb")
    parser.add_argument("--qualities", default="2,4,6,8,10")
    parser.add_argument("--complexities", default="1,2,3,5")
    parser.add_argument("--settings", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--stoi", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--margin", type=float, default=0.03)
    options = parser.parse_args()
    worst, failed = 9.0, False
    print("mode quality complexity | rate ours lib | PESQ ours lib diff | STOI ours lib", flush=True)
    with ProcessPoolExecutor(options.jobs) as pool:
        for band in options.modes.split(","):
            for quality in options.qualities.split(","):
                for complexity in options.complexities.split(","):
                    settings = f"quality={quality} complexity={complexity} {options.settings}".strip()
                    found = {}
                    for encoder in ("ours", "libspeex"):
                        if options.only in ("", encoder):
                            found[encoder] = measure(options.roundtrip, encoder, band, settings, pool, options.stoi)
                    blank = {"rate": 0, "pesq": 0, "stoi": 0}
                    us, them = found.get("ours", blank), found.get("libspeex", blank)
                    diff = us["pesq"] - them["pesq"]
                    print(f"{band} q{quality:>2} c{complexity:>2} {options.settings} | {us['rate']:6.0f} {them['rate']:6.0f}"
                          f" | {us['pesq']:.3f} {them['pesq']:.3f} {diff:+.3f} | {us['stoi']:.4f} {them['stoi']:.4f}",
                          flush=True)
                    if not options.only:
                        worst, failed = min(worst, diff), failed or diff < -options.margin
    if not options.only:
        print(f"worst difference {worst:+.3f}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

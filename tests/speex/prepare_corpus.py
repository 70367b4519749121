#!/usr/bin/env python3
"""Makes the speech corpus on which encoders are compared, in a cache folder that is never committed.

Real recordings that Debian packages ship (fetched with `apt-get download`, unpacked, not installed):

  asterisk-core-sounds-en-{wav,g722}   Allison Smith, US English
  asterisk-core-sounds-es-{wav,g722}   Allison Smith, Mexican Spanish
  asterisk-core-sounds-fr-{wav,g722}   June Wallack, Canadian French
  asterisk-core-sounds-it-{wav,g722}   Carlo Flamigni, Italian (a man)
  asterisk-core-sounds-ru-{wav,g722}   IvrvoiceRU, Russian
  asterisk-prompt-it-menardi-wav       a second Italian speaker (8 kHz only)
  alsa-utils                           the speaker-test voice, 48 kHz

  deb ──► g722 ──ffmpeg──► wb/*.wav  16 kHz   (about 8 s each)
      └─► wav  ──────────► nb/*.wav   8 kHz

usage: prepare_corpus.py [folder]     default: $SPEEX_CORPUS or ~/.cache/speex-corpus
Needs: apt-get, dpkg-deb, ffmpeg. Does nothing when the folder is complete.
"""

import os
import pathlib
import subprocess
import sys

LANGUAGES = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
# (prompt, start in seconds): long prompts that every language has.
PROMPTS = [
    ("demo-instruct", 4.0),
    ("demo-instruct", 24.0),
    ("demo-congrats", 1.0),
    ("vm-options", 0.0),
    ("priv-callee-options", 3.0),
]
MENARDI = [("demo-instruct", 4.0), ("demo-thanks", 6.0), ("demo-congrats", 1.0)]
SECONDS = 8.0
# Telephones hear quiet talkers too: every third file is lowered by so many dB.
QUIET_DB = -14
EXPECTED = {"nb": len(LANGUAGES) * len(PROMPTS) + len(MENARDI) + 1, "wb": len(LANGUAGES) * len(PROMPTS) + 1}


def run(*command, cwd=None):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def unpack(packages, folder):
    """Downloads and unpacks each Debian package, once."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        mark = folder / f"{package}.done"
        if mark.exists():
            continue
        run("apt-get", "download", package, cwd=folder)
        for deb in folder.glob(f"{package}_*.deb"):
            run("dpkg-deb", "-x", deb, folder / "root")
            deb.unlink()
        mark.touch()
    return folder / "root"


def convert(source, target, rate, start, gain):
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part.wav")
    run("ffmpeg", "-y", "-ss", str(start), "-i", source, "-t", str(SECONDS), "-af", f"volume={gain}dB",
        "-ar", str(rate), "-ac", "1", "-c:a", "pcm_s16le", "-bitexact", part)
    part.rename(target)


def complete(folder):
    return all(len(list((folder / band).glob("*.wav"))) == count for band, count in EXPECTED.items())


def main():
    home = pathlib.Path.home() / ".cache" / "speex-corpus"
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SPEEX_CORPUS", home)).resolve()
    if complete(folder):
        return
    packages = [f"asterisk-core-sounds-{lang}-{form}" for lang in LANGUAGES for form in ("wav", "g722")]
    root = unpack(packages + ["asterisk-prompt-it-menardi-wav", "alsa-utils"], folder / "packages")
    sounds = root / "usr/share/asterisk/sounds"
    number = 0
    for lang, voice in LANGUAGES.items():
        for prompt, start in PROMPTS:
            number += 1
            gain = QUIET_DB if number % 3 == 0 else 0
            name = f"{lang}-{prompt}-{int(start)}.wav"
            convert(sounds / voice / f"{prompt}.wav", folder / "nb" / name, 8000, start, gain)
            convert(sounds / voice / f"{prompt}.g722", folder / "wb" / name, 16000, start, gain)
    for prompt, start in MENARDI:
        voice = sounds / "it_IT_f_Menardi"
        convert(voice / f"{prompt}.wav", folder / "nb" / f"it2-{prompt}-{int(start)}.wav", 8000, start, 0)
    alsa = root / "usr/share/sounds/alsa"
    names = ["Front_Center", "Front_Left", "Rear_Right", "Side_Left", "Rear_Center"]
    joined = folder / "alsa.wav"
    inputs = [part for name in names for part in ("-i", alsa / f"{name}.wav")]
    run("ffmpeg", "-y", *inputs, "-filter_complex", f"concat=n={len(names)}:v=0:a=1", joined)
    for band, rate in (("nb", 8000), ("wb", 16000)):
        convert(joined, folder / band / "alsa.wav", rate, 0, 0)
    joined.unlink()
    if not complete(folder):
        sys.exit(f"the corpus in {folder} is not complete")
    print(f"corpus ready in {folder}")


if __name__ == "__main__":
    main()

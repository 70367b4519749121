#!/usr/bin/env python3
"""Writes src/tables/{lsp,gain,innovation,window,qmf,vbr}.rs from the reference's numbers.

    apt-get source speex            # or any unpacked libspeex 1.2 source tree
    scripts/make_tables.py speex-1.2.1/libspeex src/tables && cargo fmt

Only numbers are read: quantiser tables are part of the Speex bit stream, and no two programs could talk without
the very same ones. Their author is Jean-Marc Valin (Xiph.Org).
"""
import re, sys, pathlib

SOURCE, TARGET = map(pathlib.Path, sys.argv[1:3])
NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")


def numbers(file, name):
    """The initialiser of array `name`, the float variant where the file has both."""
    text = (SOURCE / file).read_text()
    text = re.sub(r"#ifdef FIXED_POINT.*?#else", "", text, flags=re.S)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    body = re.search(re.escape(name) + r"\s*(?:\[[^\]]*\])+\s*=\s*\{(.*?)\}\s*;", text, re.S).group(1)
    return NUMBER.findall(body)


def array(doc, name, kind, values, rows=None, item="static"):
    """One item; with `rows` the values are folded into rows of that length."""
    values = [v if kind == "i8" else repr(float(v)) for v in values]
    if rows:
        lines = ["    [" + ", ".join(values[i:i + rows]) + "]," for i in range(0, len(values), rows)]
        shape = f"[[{kind}; {rows}]; {len(values) // rows}]"
    else:
        per = 16 if kind == "i8" else 8
        lines = ["    " + ", ".join(values[i:i + per]) + "," for i in range(0, len(values), per)]
        shape = f"[{kind}; {len(values)}]"
    return f"/// {doc}\n#[rustfmt::skip]\npub(crate) {item} {name}: {shape} = [\n" + "\n".join(lines) + "\n];\n"


def columns(values, width):
    """Vectors of `width` codes, turned so that all first codes come first."""
    return [values[i] for first in range(width) for i in range(first, len(values), width)]


def write(file, doc, *arrays):
    head = "//! " + doc.strip().replace("\n", "\n//! ") + "\n//!\n//! Written by `scripts/make_tables.py`; the numbers are the standard's (Jean-Marc Valin, Xiph.Org).\n\n"
    (TARGET / file).write_text(head + "\n".join(arrays))


write("lsp.rs", "Line spectral pair codebooks, by columns: the 64 codes of the first pair, then those of the second. A code is an\noffset in units of its stage's step.",
      array("Narrowband, first stage: all ten pairs.", "NARROW_ALL", "i8", columns(numbers("lsp_tables_nb.c", "cdbk_nb"), 10)),
      array("Narrowband, pairs 0 to 4, second stage.", "NARROW_LOW_1", "i8", columns(numbers("lsp_tables_nb.c", "cdbk_nb_low1"), 5)),
      array("Narrowband, pairs 0 to 4, third stage.", "NARROW_LOW_2", "i8", columns(numbers("lsp_tables_nb.c", "cdbk_nb_low2"), 5)),
      array("Narrowband, pairs 5 to 9, second stage.", "NARROW_HIGH_1", "i8", columns(numbers("lsp_tables_nb.c", "cdbk_nb_high1"), 5)),
      array("Narrowband, pairs 5 to 9, third stage.", "NARROW_HIGH_2", "i8", columns(numbers("lsp_tables_nb.c", "cdbk_nb_high2"), 5)),
      array("High band, first stage: all eight pairs.", "HIGH_1", "i8", columns(numbers("high_lsp_tables.c", "high_lsp_cdbk"), 8)),
      array("High band, second stage.", "HIGH_2", "i8", columns(numbers("high_lsp_tables.c", "high_lsp_cdbk2"), 8)))
write("gain.rs", "Gain quantisers: pitch taps, excitation and high-band gains.",
      array("Three pitch taps (gain = 0.5 + code / 64) and the encoder's bound on their sum; 7-bit index.",
            "PITCH_7_BITS", "i8", numbers("gain_table.c", "gain_cdbk_nb"), 4),
      array("The same with a 5-bit index, for the low rates.", "PITCH_5_BITS", "i8", numbers("gain_table_lbr.c", "gain_cdbk_lbr"), 4),
      array("Sub-frame gain relative to the frame's, 3 bits.", "SUBFRAME_3_BITS", "f32", numbers("nb_celp.c", "exc_gain_quant_scal3")),
      array("Decision borders of `SUBFRAME_3_BITS`.", "SUBFRAME_3_BITS_BORDERS", "f32", numbers("nb_celp.c", "exc_gain_quant_scal3_bound")),
      array("Sub-frame gain relative to the frame's, 1 bit.", "SUBFRAME_1_BIT", "f32", numbers("nb_celp.c", "exc_gain_quant_scal1")),
      array("Decision border of `SUBFRAME_1_BIT`.", "SUBFRAME_1_BIT_BORDERS", "f32", numbers("nb_celp.c", "exc_gain_quant_scal1_bound")),
      array("High-band innovation gain borders, 4 bits; the decoded gain is 0.8736 of the border.", "HIGH_BAND_4_BITS", "f32", numbers("sb_celp.c", "gc_quant_bound")),
      array("High-band folding gain borders, 5 bits; the decoded gain is exp((index - 10) / 8).", "FOLDING_5_BITS_BORDERS", "f32", numbers("sb_celp.c", "fold_quant_bound")))
write("innovation.rs", "Innovation (fixed) codebooks: shapes in units of 1/32, named by samples and entries.",
      *(array(f"{n.split('_')[1]} shapes of {n.split('_')[0]} samples.", f"SHAPES_{n}", "i8", numbers(f"exc_{n}_table.c", f"exc_{n}_table"))
        for n in ("5_64", "5_256", "8_128", "10_16", "10_32", "20_32")),
      array("High band: 32 shapes of 10 samples.", "HIGH_SHAPES_10_32", "i8", numbers("hexc_10_32_table.c", "hexc_10_32_table")),
      array("High band: 128 shapes of 8 samples, signed.", "HIGH_SHAPES_8_128", "i8", numbers("hexc_table.c", "hexc_table")))
write("window.rs", "Windows of the linear prediction analysis.",
      array("Analysis window over a frame and the sub-frame after it, at 8 kHz.", "ANALYSIS", "f32", numbers("window.c", "lpc_window")),
      array("Weights on the autocorrelation lags: 0 to 10.", "LAG", "f32", numbers("window.c", "lag_window")))
write("qmf.rs", "The quadrature mirror filter that splits and joins the bands.",
      array("Low-pass prototype; the high-pass is the same with every second sign turned.", "PROTOTYPE", "f32", numbers("sb_celp.c", "h0"), item="const"))
write("vbr.rs", "Variable rate: the score that a frame must reach for a sub-mode, by VBR quality 0 to 10.",
      array("Narrowband sub-modes 0 to 8.", "NARROWBAND", "f32", numbers("vbr.c", "vbr_nb_thresh"), 11),
      array("High-band sub-modes 0 to 4 of wideband.", "WIDEBAND", "f32", numbers("vbr.c", "vbr_hb_thresh"), 11),
      array("High-band sub-modes 0 and 1 of ultra-wideband.", "ULTRA_WIDEBAND", "f32", numbers("vbr.c", "vbr_uhb_thresh"), 11))

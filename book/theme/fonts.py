"""Cuts STIX Two Math down to `ranges.txt`:

    python3 fonts.py stix-two-math-latin-400-normal.woff2 fonts/stix-two-math.woff2

Needs fonttools and brotli. Nothing else in the repository needs Python: the result is committed.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen

source, target = sys.argv[1:]
options = subset.Options(flavor="woff2", hinting=False, layout_features=["*"])
font = subset.load_font(source, options)

# A prime in a formula is a superscript. This font's primes hang at their final height already, so there they would be
# too high and too small: enlarge them and let them down to the line.
SCALE, FOOT = 1.45, 30
outlines, changed = font.getGlyphSet(), {}
for prime in (0x2032, 0x2033, 0x2034, 0x2057):
    name = font.getBestCmap()[prime]
    recording, pen = DecomposingRecordingPen(outlines), TTGlyphPen(None)
    outlines[name].draw(recording)
    foot = FOOT - SCALE * font["glyf"][name].yMin
    recording.replay(TransformPen(pen, (SCALE, 0, 0, SCALE, 0, foot)))
    changed[name] = pen.glyph(), round(SCALE * font["hmtx"][name][0])
for name, (glyph, advance) in changed.items():
    glyph.recalcBounds(font["glyf"])
    font["glyf"][name] = glyph
    font["hmtx"][name] = advance, glyph.xMin

wanted = (Path(__file__).parent / "ranges.txt").read_text().strip().replace("\n", ",")
cutter = subset.Subsetter(options)
cutter.populate(unicodes=subset.parse_unicodes(wanted))
cutter.subset(font)
subset.save_font(font, target, options)

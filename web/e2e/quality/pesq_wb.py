"""PESQ-WB of recordings of an endlessly repeated speech.

    pesq_wb.py SPEECH.wav RECORDING.raw...

Recordings are 48 kHz, 16 bit, mono. Each is cut where the speech begins anew. Prints a JSON list with the scores of each.
"""

import json
import sys
import wave

import numpy
from pesq import pesq

RATE = 16_000
# What is given to PESQ before the beginning, and after the end.
MARGIN = RATE // 5
# By how much a jitter buffer may have shifted a repetition.
SLACK = RATE // 2


def to_16_khz(samples):
    """From 48 kHz, with a low-pass at 7.6 kHz."""
    taps = 255
    at = numpy.arange(taps) - taps // 2
    window = numpy.sinc(2 * 7_600 / 48_000 * at) * numpy.hamming(taps)
    return numpy.convolve(samples, window / window.sum(), "same")[::3]


def best_offset(speech, samples, first, last):
    """Where in samples[first:last] the speech fits best, by cross-correlation."""
    part = samples[first : last + len(speech)]
    size = 1 << (len(part) + len(speech)).bit_length()
    spectrum = numpy.fft.rfft(part, size) * numpy.conj(numpy.fft.rfft(speech, size))
    return first + int(numpy.argmax(numpy.fft.irfft(spectrum, size)[: last - first]))


def scores(speech, samples):
    found = []
    at = best_offset(speech, samples, 0, len(speech))
    while at + len(speech) + MARGIN <= len(samples):
        first = max(0, at - MARGIN)
        heard = samples[first : at + len(speech) + MARGIN]
        said = numpy.pad(speech, (at - first, MARGIN))
        found.append(round(float(pesq(RATE, said, heard, "wb")), 3))
        following = at + len(speech)
        if following + len(speech) + SLACK + MARGIN > len(samples):
            break
        at = best_offset(speech, samples, following - SLACK, following + SLACK)
    return found


def main():
    with wave.open(sys.argv[1]) as file:
        assert file.getframerate() == 48_000 and file.getnchannels() == 1
        speech = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
    speech = to_16_khz(speech.astype(numpy.float64) / 32_768)
    results = []
    for name in sys.argv[2:]:
        samples = numpy.fromfile(name, "<i2").astype(numpy.float64) / 32_768
        results.append({"scores": scores(speech, to_16_khz(samples))})
    print(json.dumps(results))


if __name__ == "__main__":
    main()

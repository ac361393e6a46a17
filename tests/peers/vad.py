"""A process that listens with the real webrtcvad, and tells what it heard and when.

Reads commands from stdin, answers each with one line of JSON on stdout:

    load [FOLDER]            import webrtcvad, its extension from FOLDER if one is named
    new NAME...              detectors; one of a name that was used replaces it
    feed NAME=PATTERN...     20 ms frames to detectors in turns, one round each 5 ms: `s20v30` is 20
                             frames of silence and 30 of voice
    wrong NAME               a frame of a length that the detector refuses
    quit

The frames are synthetic and the same at every run: digital silence, and a voice of 19 harmonics of
140 Hz whose loudness swings four times a second, which webrtcvad calls speech in its strictest mode.
A start of speech is three positive results in a row, an end fifteen negative ones.
"""

import json
import math
import re
import struct
import sys
import time

RATE = 16_000
FRAME = RATE * 20 // 1000
PACE_S = 0.005
STRICTEST = 3
START_RESULTS, END_RESULTS = 3, 15


def voice(index):
    at = index / RATE
    loudness = 0.5 + 0.5 * math.sin(2 * math.pi * 4 * at)
    tones = (3000 / k * math.sin(2 * math.pi * 140 * k * at) for k in range(1, 20))
    return int(loudness * sum(tones))


def frame(kind, number):
    if kind == "s":
        return bytes(2 * FRAME)
    samples = (voice(number * FRAME + index) for index in range(FRAME))
    return struct.pack(f"<{FRAME}h", *samples)


def frames(pattern):
    kinds = "".join(kind * int(count) for kind, count in re.findall(r"([sv])(\d+)", pattern))
    return [frame(kind, number) for number, kind in enumerate(kinds)]


class Listener:
    """A detector, and the debounced speech in its results."""

    def __init__(self, detector):
        self.detector = detector
        self.speaking = False
        self.run = []

    def hear(self, audio):
        """The result of one frame and what it settles.

        Times are the kernel's monotonic clock, before and after the call: the function returned
        between the two.
        """
        before = time.monotonic_ns()
        result = self.detector.is_speech(audio, RATE)
        after = time.monotonic_ns()
        if self.run and self.run[-1][0] != result:
            self.run = []
        self.run.append((result, before, after))
        wanted = START_RESULTS if result else END_RESULTS
        if result == self.speaking or len(self.run) < wanted:
            return result, None
        self.speaking = result
        _, first_before, first_after = self.run[0]
        least, most = before - first_after, after - first_before
        return result, {"speech": result, "least_ns": max(0, least), "most_ns": most}


def main():
    listeners = {}
    webrtcvad = None
    for line in sys.stdin:
        command, *words = line.split()
        answer = {}
        if command == "load":
            sys.path[:0] = words
            import webrtcvad

            answer["library"] = sys.modules["_webrtcvad"].__file__
        elif command == "new":
            for name in words:
                listeners[name] = Listener(webrtcvad.Vad(STRICTEST))
        elif command == "feed":
            plans = [word.split("=") for word in words]
            rounds = zip(*(frames(pattern) for _, pattern in plans))
            answer = {"results": 0, "positive": 0, "events": []}
            for audios in rounds:
                for (name, _), audio in zip(plans, audios):
                    result, event = listeners[name].hear(audio)
                    answer["results"] += 1
                    answer["positive"] += result
                    answer["events"] += [event] if event else []
                time.sleep(PACE_S)
        elif command == "wrong":
            try:
                listeners[words[0]].detector.is_speech(bytes(6), RATE)
                answer["refused"] = False
            except Exception:
                answer["refused"] = True
        elif command == "quit":
            break
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

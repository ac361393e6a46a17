"""A process that calls a recogniser's library (recogniser.c), and tells how long the calls took.

Arguments: the library. Reads commands from stdin, answers each with one line of JSON on stdout:

    load                     open the library
    recognise MS RESULT...   calls one after the other; each pair is a time to take and a result
    threads COUNT MS         one call of MS in each of COUNT threads at once
    fork                     one call in a child that ends with it
    descend DEPTH            a call that calls itself DEPTH times
    models ADDRESS...        calls that give pointers, null included
    ticks COUNT
    quit
"""

import ctypes
import json
import os
import sys
import threading
import time


class Recogniser:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.recognise.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self.library.descend.argtypes = [ctypes.c_long]
        self.library.descend.restype = ctypes.c_long
        self.library.open_model.argtypes = [ctypes.c_void_p]
        self.library.open_model.restype = ctypes.c_void_p

    def recognise(self, milliseconds, result):
        before = time.monotonic_ns()
        got = self.library.recognise(None, milliseconds, result)
        after = time.monotonic_ns()
        assert got == result
        return after - before


def in_child(recogniser):
    child = os.fork()
    if child == 0:
        recogniser.recognise(1, 0)
        os._exit(0)
    os.waitpid(child, 0)


def main():
    recogniser = None
    for line in sys.stdin:
        command, *words = line.split()
        numbers = [int(word, 0) for word in words]
        took = []
        if command == "load":
            recogniser = Recogniser(sys.argv[1])
        elif command == "recognise":
            took = [recogniser.recognise(*pair) for pair in zip(numbers[::2], numbers[1::2])]
        elif command == "threads":
            count, milliseconds = numbers
            calls = [
                threading.Thread(target=lambda: took.append(recogniser.recognise(milliseconds, 0)))
                for _ in range(count)
            ]
            for call in calls:
                call.start()
            for call in calls:
                call.join()
        elif command == "fork":
            in_child(recogniser)
        elif command == "descend":
            assert recogniser.library.descend(numbers[0]) == numbers[0] + 1
        elif command == "models":
            for address in numbers:
                assert (recogniser.library.open_model(address) or 0) == address
        elif command == "ticks":
            for count in range(numbers[0]):
                assert recogniser.library.tick(count) == count + 1
        elif command == "quit":
            break
        print(json.dumps({"took_ns": took}), flush=True)


if __name__ == "__main__":
    main()

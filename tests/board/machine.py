"""The emulated board, switched on: its console, button, LEDs and display."""

import json
import queue
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import image


class Failed(Exception):
    """The board did not do what it should."""


class Board:
    """A running QEMU. Leaving the `with` block pulls the plug."""

    def __init__(self, name, hardware, kernel, initramfs, options):
        self.hardware = hardware
        self.folder = image.WORK / name
        self.started = time.monotonic()
        # Socket paths must be short.
        self.sockets = tempfile.TemporaryDirectory()
        control, test = f"{self.sockets.name}/control", f"{self.sockets.name}/test"
        # One of the Raspberry Pi's four processors: QEMU runs them on one thread here.
        line = f"console=ttyAMA0,115200 quiet loglevel=1 maxcpus=1 card={hardware.CARD} {hardware.KERNEL_OPTIONS}"
        options = [*options, "-accel", "tcg,thread=single", "-kernel", kernel, "-initrd", initramfs, "-append", line,
                   "-display", "none", "-monitor", "none", "-no-reboot", "-serial", "stdio",
                   "-qmp", f"unix:{control},server=on,wait=off",
                   "-qtest", f"unix:{test},server=on,wait=off", "-qtest-log", "none"]
        self.qemu = subprocess.Popen(["qemu-system-aarch64", *map(str, options)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = queue.Queue()
        threading.Thread(target=self._read_console, daemon=True).start()
        self.control = _connect(control)
        self.control.readline()
        self.qmp("qmp_capabilities")
        self.test = _connect(test)
        # The emulated pins have no pull: the released button has its level by this.
        self.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.qemu.kill()
        self.qemu.wait()
        self.sockets.cleanup()

    def say(self, text):
        print(f"  [{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    # Console

    def wait_for_boot(self, limit=120):
        self._status("boot", limit)
        self.say("user space is up, drivers are loaded, the SD card is mounted")

    def shell(self, line, limit=60):
        """Runs a line of shell on the board, returns what it printed; a failure is an error."""
        status, output = self.try_shell(line, limit)
        if status != 0:
            raise Failed(f"on the board `{line}` ended with {status}: {output}")
        return output

    def try_shell(self, line, limit=60):
        self.qemu.stdin.write(f"{line}\n".encode())
        self.qemu.stdin.flush()
        return self._status(line, limit)

    def wait_until(self, what, line, limit):
        """Runs a line of shell until it succeeds."""
        self._poll(what, limit, lambda: self.try_shell(line)[0] == 0)

    def wait_for_power_off(self, limit):
        """Waits until the board switches itself off."""
        try:
            self.qemu.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"the board is still on after {limit} s") from None
        self.say("the board has switched itself off")

    def _status(self, line, limit):
        output, end = [], time.monotonic() + limit
        while True:
            try:
                text = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise Failed(f"no end of `{line}` within {limit} s. The console said: {output[-20:]}") from None
            if text is None:
                raise Failed(f"QEMU ended during `{line}`. It said: {output[-20:]}")
            if text.startswith("@@"):
                return int(text[2:]), "\n".join(output)
            output.append(text)

    def _read_console(self):
        # A scenario may switch the board on several times.
        with open(self.folder / "console.log", "a") as log:
            for line in self.qemu.stdout:
                text = line.decode("utf-8", "replace").rstrip()
                print(f"[{time.monotonic() - self.started:7.2f}] {text}", file=log, flush=True)
                self.lines.put(text)
        self.lines.put(None)

    # Button and LEDs

    def press(self, seconds=0.4):
        """Presses the button."""
        self.hardware.set_button(self, self.hardware.PRESSED)
        time.sleep(seconds)
        self.release()

    def release(self):
        self.hardware.set_button(self, not self.hardware.PRESSED)

    def lights(self):
        """Which LEDs are on: (ready, attention)."""
        levels = self.hardware.levels(self)
        lit = [bool(levels >> line & 1) == self.hardware.LIT for line in (self.hardware.READY, self.hardware.ATTENTION)]
        return tuple(lit)

    def wait_for_lights(self, what, ready, attention, limit, lasting=0.8):
        """Waits until the LEDs are steadily so for a while, in seconds: when they blink, they change after a quarter of one.
        While a film is judged, or a class is shown, they are so but for a quarter of every two seconds."""
        def steady():
            end = time.monotonic() + lasting
            while self.lights() == (ready, attention):
                if time.monotonic() > end:
                    return True
                time.sleep(0.05)
            return False
        seconds = self._poll(what, limit, steady)
        self.say(f"{what}, after {seconds:.1f} s")
        return seconds

    def wait_for_blinking(self, what, limit):
        """Waits for a flashing *attention* LED, the sign of a fault: on, off and on again within 4 s, *ready* dark."""
        def blinks():
            seen, end = [], time.monotonic() + 4
            while time.monotonic() < end:
                lights = self.lights()
                if not seen or seen[-1] != lights:
                    seen.append(lights)
                time.sleep(0.05)
            return len(seen) >= 3 and all(not ready for ready, _ in seen)
        seconds = self._poll(what, limit, blinks)
        self.say(f"{what}, after {seconds:.1f} s")

    def wait_for_flashes(self, what, count, limit):
        """Waits for a whole round of so many flashes of *attention* between two pauses, *ready* dark. A flash is on and off
        for a quarter of a second each, a pause a second longer; a round of any fault is over after 3.5 s."""
        def flashed():
            flashes, lit, dark_since, end = None, False, time.monotonic(), time.monotonic() + 8
            while (now := time.monotonic()) < end:
                ready, attention = self.lights()
                if ready:
                    return False
                if attention and not lit:
                    if now - dark_since > 0.75:
                        if flashes == count:
                            return True
                        flashes = 0
                    flashes = None if flashes is None else flashes + 1
                if lit and not attention:
                    dark_since = now
                lit = attention
                time.sleep(0.02)
            return False
        seconds = self._poll(what, limit, flashed)
        self.say(f"{what} by {count} flashes, after {seconds:.1f} s")

    def _poll(self, what, limit, held):
        started = time.monotonic()
        while not held():
            if self.qemu.poll() is not None:
                raise Failed(f"{what}: QEMU ended")
            if time.monotonic() > started + limit:
                raise Failed(f"{what}: not within {limit} s. LEDs (ready, attention) are {self.lights()}")
            time.sleep(0.1)
        return time.monotonic() - started

    # Display

    def screen(self, name):
        """What the display shows: red, green and blue of each pixel. Kept as NAME.ppm in the scenario's folder."""
        file = self.folder / f"{name}.ppm"
        self.qmp("screendump", filename=str(file.resolve()))
        try:
            return image.pixels(file.read_bytes(), file)
        except ValueError as error:
            raise Failed(str(error)) from None

    # QEMU

    def qmp(self, name, **arguments):
        self.control.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.control.flush()
        while True:
            answer = json.loads(self.control.readline())
            if "error" in answer:
                raise Failed(f"QEMU's {name}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def qtest(self, line):
        self.test.write(line + "\n")
        self.test.flush()
        answer = self.test.readline().strip()
        if not answer.startswith("OK"):
            raise Failed(f"QEMU's test socket answers `{line}` with `{answer}`")
        return answer


def _connect(path):
    for _ in range(100):
        if Path(path).exists():
            break
        time.sleep(0.1)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(path)
    return connection.makefile("rw")

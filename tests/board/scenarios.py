"""What happens to the box on the emulated board, and what must have come of it."""

import base64
import gzip
import json
import shutil
import sqlite3
import subprocess
import time
from contextlib import contextmanager

import image
from hardware import RaspberryPi, VirtualBoard
from machine import Board, Failed

# Limits in seconds, generous: the emulated processor is slow, and slower on a busy machine.
BOX_IS_READY = 600
FILM_IS_JUDGED = 900
BOX_REACTS = 60
# After the record is printed, until its screen is drawn.
SCREEN_FOLLOWS = 10

# Pixels of a verdict that may differ from the same verdict in simulation by more than LEVELS of 255, as a share: a few
# digits, since another processor's sums can change a probability's last one.
MAY_DIFFER = 0.003
LEVELS = 32
# By how many pixels the sides of a film may differ from those in simulation: a camera's gray is rounded otherwise.
SIDE_MAY_DIFFER = 2
# Rows of a fault's screen that say the same whatever the error is: below the line with model and clock and above the
# error's own words, and the disclaimer.
FAULT_ROWS = [*range(30, 270), *range(440, 480)]
# Into an analysis, seconds: at its end a case is recorded.
MID_ANALYSIS = 5

CASES = "/var/lib/xray-triage"
CAMERA = "usb-camera /pictures/film.jpg >/run/camera.log 2>&1 & camera=$!"
# What systemd would start, by the unit itself, and with the console for standard input, as the unit has it.
APPLIANCE = ("$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/xray-triage.service) --json"
             " </dev/tty1 >>/run/records.jsonl 2>>/run/appliance.log & appliance=$!")
# What the kernel or anybody else writes to the console, which is on the same display.
CONSOLE_MESSAGE = "for line in 1 2 3; do echo This is not to be seen while the box shows something. >/dev/tty1; done"


class Bench:
    """What all scenarios need: the images, and what the film's photograph must be judged as and look like."""

    def __init__(self, package, picture):
        self.debian = image.debian()
        self.initramfs = image.initramfs(self.debian, package, picture)
        self.expected, self.verdict = simulate(picture)
        self.films = image.WORK / "simulation/cases/films"

    def board(self, name, card, hardware, display):
        """Switches a board on, with this card."""
        options = hardware.options(self.debian, card, display)
        return Board(name, hardware, image.kernel(self.debian), self.initramfs, options)

    def new_card(self, name):
        """Makes the scenario's folder anew, with an empty SD card in it."""
        folder = image.WORK / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        card = folder / "card.img"
        image.new_card(card)
        return card


def simulate(picture):
    """The record of the photograph and the pixels of its verdict, from the same program as a simulated box under QEMU's
    user mode emulation."""
    folder = image.WORK / "simulation"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(picture, folder)
    # All settings are the defaults, whatever this machine has in /etc.
    settings = folder / "config.toml"
    settings.touch()
    program = [image.ROOT / "scripts/arm", "run", "aarch64", "run", "--config", settings, "--simulate", folder, "--json"]
    with subprocess.Popen([str(part) for part in program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as box:
        box.stdin.write("press\n")
        box.stdin.flush()
        if not (line := box.stdout.readline()):
            raise RuntimeError(f"the simulated box ended with {box.wait()} and without a record")
        time.sleep(SCREEN_FOLLOWS)
        screen = subprocess.run(["pngtopnm", folder / "screen.cam.png"], check=True, stdout=subprocess.PIPE).stdout
        box.terminate()
        if (status := box.wait(60)) != 143:
            raise RuntimeError(f"the simulated box ended with {status} instead of 143 by SIGTERM")
    return json.loads(line), image.pixels(screen, "the simulated display")


@contextmanager
def running(bench, name, card, prepare="true", hardware=RaspberryPi(), display=True):
    """A board with this card on which, after the line of shell `prepare`, a camera is plugged in and the program is
    ready. Leaving the `with` block pulls the plug."""
    with bench.board(name, card, hardware, display) as board:
        board.wait_for_boot()
        board.shell(prepare)
        plug(board)
        start(board)
        yield board


@contextmanager
def operated(bench, name, cases=1, **options):
    """A running board with an empty card. Afterwards it is switched off by its button, and its card holds so many
    cases, which are the board's `cases`."""
    card = bench.new_card(name)
    with running(bench, name, card, **options) as board:
        yield board
        switch_off(board)
    board.cases = check_cases(bench, card, cases)


def capture(bench):
    """Power on, a film, the button: a verdict on the screen, a case on the card, and a clean end."""
    with operated(bench, "capture", prepare=f"date -s @{int(time.time())}") as board:
        judge(board)
        check_framebuffer(board, check_verdict(bench, board))
    if board.cases[0]["clock_unset"]:
        raise Failed(f"the clock was set, but the case says it was not: {board.cases[0]['taken']}")


def unplug(bench):
    """The camera is unplugged in the middle of a capture: the box says so, and goes on once it is back."""
    with operated(bench, "unplug") as board:
        # Halted, it delivers no frame, so that the capture is still under way when it goes.
        board.shell("kill -STOP $camera")
        board.press()
        board.wait_for_lights("capturing", True, True, BOX_REACTS)
        board.shell("kill -KILL $camera")
        board.wait_for_blinking("unplugged during the capture: a fault is shown", BOX_REACTS)
        check_fault(board, "camera-fault")
        # Not only that no frame came.
        check_log(board, "camera /dev/video0: (was unplugged|is not there|cannot be opened)")
        plug(board)
        board.wait_for_lights("plugged in again: ready", True, False, BOX_REACTS)
        judge(board)


def no_display(bench):
    """There is no display: the LEDs and the case log do without."""
    with operated(bench, "no-display", prepare="[ ! -e /dev/fb0 ]", display=False) as board:
        check_log(board, "Going on without a display")
        judge(board)


def disk_full(bench):
    """The card is full: no capture is taken and the box says so; with room again it goes on."""
    with operated(bench, "disk-full") as board:
        # Most of it is only reserved, for writing it takes the emulated card minutes. The rest is written until it fails.
        room = f"$(df -kP {CASES} | awk 'NR == 2 {{ print $4 }}')"
        board.shell(f"fallocate -l $((({room} - 1024) * 1024)) {CASES}/filler")
        board.try_shell(f"cat /dev/zero >>{CASES}/filler 2>/dev/null", limit=BOX_REACTS)
        if (left := int(board.shell(f"sync; echo {room}"))) > 100:
            raise Failed(f"the card could not be filled: {left} KiB are left")
        board.press()
        board.wait_for_blinking("the card is full: a fault is shown", BOX_REACTS)
        check_fault(board, "storage-fault")
        board.shell(f"rm {CASES}/filler")
        board.wait_for_lights("there is room again: ready", True, False, BOX_REACTS)
        judge(board)


def sigkill(bench):
    """The program is killed while it judges: nothing half is left, no earlier case is lost, the next one is kept."""
    with operated(bench, "sigkill", cases=2) as board:
        judge(board)
        board.press()
        board.wait_for_lights("judging the second film", True, True, BOX_REACTS)
        board.shell("kill -KILL $appliance; wait $appliance; [ $? = 137 ]")
        board.say("killed")
        start(board)
        judge(board)


def power_cut(bench):
    """The plug is pulled as a verdict appears, and again while a film is judged: the shown case is kept, nothing
    else."""
    card = bench.new_card("power-cut")
    with running(bench, "power-cut", card) as board:
        board.press()
        board.wait_for_lights("the button is pressed: capturing, judging", True, True, BOX_REACTS)
        board.wait_for_lights("the verdict is there, the plug is pulled", True, False, FILM_IS_JUDGED, lasting=0)
    with running(bench, "power-cut", card) as board:
        check_listed(board, 1)
        board.press()
        board.wait_for_lights("judging the second film", True, True, BOX_REACTS)
        time.sleep(MID_ANALYSIS)
        if board.shell("wc -l </run/records.jsonl").strip() != "0":
            raise Failed("the second film was judged before the plug could be pulled")
        board.say("the plug is pulled")
    with running(bench, "power-cut", card) as board:
        check_listed(board, 1)
        check_doctor(board)
        switch_off(board)
    check_cases(bench, card, 1)


def clock(bench):
    """The board has no clock chip and nobody set the time, which is then in 1970: cases say that, and are kept."""
    with operated(bench, "clock", prepare="[ $(date +%Y) = 1970 ]") as board:
        judge(board)
    if not board.cases[0]["clock_unset"]:
        raise Failed(f"the clock was never set, but the case does not say so: {board.cases[0]['taken']}")


def virt(bench):
    """The capture on another board: the display is a DRM one, the pins are the kernel's GPIO character device, and the
    button and the LEDs work the other way round."""
    drivers = "[ -c /dev/dri/card0 ] && [ -c /dev/gpiochip0 ]"
    with operated(bench, "virt", prepare=drivers, hardware=VirtualBoard()) as board:
        judge(board)
        check_verdict(bench, board)


SCENARIOS = {"capture": capture, "unplug": unplug, "no-display": no_display, "disk-full": disk_full, "sigkill": sigkill,
             "power-cut": power_cut, "clock": clock, "virt": virt}


# Steps of the scenarios


def plug(board):
    """Plugs the camera in."""
    board.shell(CAMERA)
    board.wait_until("the camera is there", "[ -c /dev/video0 ]", BOX_REACTS)


def start(board):
    """Starts the program and waits until it is ready."""
    if board.hardware.SETTINGS:
        lines = board.hardware.SETTINGS.replace("\n", "\\n")
        board.shell(f'printf "{lines}" >/etc/xray-triage/config.toml')
    board.shell(APPLIANCE)
    board.wait_for_lights("the program runs, the box is ready", True, False, BOX_IS_READY)


def judge(board):
    """Takes a film and waits for the answer, a class: the photograph used here gets one."""
    before = int(board.shell("wc -l </run/records.jsonl"))
    board.press()
    board.wait_for_lights("the button is pressed: capturing, judging", True, True, BOX_REACTS)
    board.wait_for_lights("the verdict is shown", True, False, FILM_IS_JUDGED)
    records = int(board.shell("wc -l </run/records.jsonl"))
    if records != before + 1:
        said = board.shell("cat /run/appliance.log")
        raise Failed(f"{records - before} records for one press. The program said: {said}")


def switch_off(board):
    """Holds the button until the program ends, and unmounts the card."""
    board.press(6)
    status, _ = board.try_shell("wait $appliance", limit=BOX_REACTS)
    if status != 0:
        raise Failed(f"the program ended with {status}: {board.shell('cat /run/appliance.log')}")
    board.shell(f"umount {CASES}")
    board.say("switched off, the card is unmounted")


def check_log(board, words):
    """The program's log has a line with these words, an extended regular expression."""
    if board.try_shell(f"grep -q -E '{words}' /run/appliance.log")[0] != 0:
        raise Failed(f"the log has no `{words}`. It says: {board.shell('cat /run/appliance.log')}")


def check_listed(board, count):
    """On the board, beside the running program, the case log lists so many cases and is whole."""
    cases = board.shell("xray-triage cases list").splitlines()
    if len(cases) != count or not cases[0].startswith(f"{count:06} "):
        raise Failed(f"the board lists these cases instead of {count}: {cases}")
    board.shell("xray-triage cases check")
    board.say(f"cases on the card: {count}")


def check_doctor(board):
    """The doctor finds card and case log well, beside the running program."""
    # It ends with 1 for any check that fails; here two of them matter.
    _, found = board.try_shell("xray-triage doctor --json 2>/dev/null", limit=FILM_IS_JUDGED)
    checks = {check["name"]: check for check in json.loads(found)}
    for name in ["storage", "case log"]:
        if checks[name]["status"] != "ok":
            raise Failed(f"the doctor says: {checks[name]}")
    board.say("the doctor finds card and case log well")


def check_fault(board, name):
    """The display shows this fault as its picture in tests/screens does, but for model, clock and the error's words."""
    width, height = image.DISPLAY
    picture = image.ROOT / f"tests/screens/{name}-en-{width}x{height}.png"
    known = subprocess.run(["pngtopnm", str(picture)], check=True, stdout=subprocess.PIPE).stdout
    expected = rows(image.pixels(known, picture), FAULT_ROWS)
    # The LEDs change before the screen is drawn.
    end = time.monotonic() + BOX_REACTS
    while any(abs(a - b) > LEVELS for a, b in zip(rows(board.screen("fault"), FAULT_ROWS), expected)):
        if time.monotonic() > end:
            raise Failed(f"the display does not show {picture}")
        time.sleep(1)
    board.say(f"the display shows the {name} as its picture does")


def rows(pixels, numbers):
    """These rows of a picture of the display's size."""
    line = 3 * image.DISPLAY[0]
    return b"".join(bytes(pixels[line * number:line * (number + 1)]) for number in numbers)


def check_verdict(bench, board):
    """The display shows what it shows in simulation after the same film, and nothing else. Returns its pixels."""
    # The display may be late by a moment.
    end = time.monotonic() + BOX_REACTS
    while not alike(board.screen("verdict"), bench.verdict) and time.monotonic() < end:
        time.sleep(1)
    board.shell(CONSOLE_MESSAGE)
    shown = board.screen("verdict")
    differ = differing(shown, bench.verdict)
    if not alike(shown, bench.verdict):
        width = image.DISPLAY[0]
        left, right = min(at % width for at in differ), max(at % width for at in differ)
        raise Failed(f"the verdict is not that of the simulation, {image.WORK / 'simulation/screen.cam.png'}: "
                     f"{len(differ)} pixels differ, between columns {left} and {right}, "
                     f"rows {differ[0] // width} and {differ[-1] // width}")
    board.say(f"the display shows the verdict as in simulation, but for {len(differ)} pixels")
    return shown


def alike(shown, expected):
    return len(differing(shown, expected)) <= MAY_DIFFER * len(shown) / 3


def differing(shown, expected):
    """The places of the pixels that differ by more than LEVELS in a colour. The clock is left out: the right third of the
    first line."""
    width, height = image.DISPLAY
    header = height * 20 // 320
    places = (at for at in range(width * height) if at // width >= header or at % width < width * 2 // 3)
    return [at for at in places
            if any(abs(shown[3 * at + colour] - expected[3 * at + colour]) > LEVELS for colour in range(3))]


def check_framebuffer(board, shown):
    """The program's pixels, read back on the board, are what the display shows. Each has a fourth byte that is not."""
    encoded = board.shell("gzip -1 </dev/fb0 | base64", limit=120)
    pixels = gzip.decompress(base64.b64decode(encoded))
    colours = bytearray(len(pixels) // 4 * 3)
    colours[0::3], colours[1::3], colours[2::3] = pixels[2::4], pixels[1::4], pixels[0::4]
    if colours != shown:
        raise Failed("the display shows other pixels than the framebuffer holds")


def check_cases(bench, card, count):
    """The card holds this many whole cases, each judged as the photograph is as a file. Returns their rows."""
    folder = image.card_contents(card, card.with_suffix(""))
    database = sqlite3.connect(folder / "cases.sqlite")
    database.row_factory = sqlite3.Row
    if (found := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        raise Failed(f"the card's case log is damaged: {found}")
    cases = database.execute("SELECT * FROM cases ORDER BY id").fetchall()
    if [case["id"] for case in cases] != list(range(1, count + 1)):
        raise Failed(f"cases {[case['id'] for case in cases]} on the card instead of 1 to {count}")
    for case in cases:
        if case["outcome"] != bench.expected["outcome"]:
            raise Failed(f"case {case['id']} is {case['outcome']}, as a file it is {bench.expected['outcome']}")
        for name, probability in bench.expected["probabilities"].items():
            if abs(case[name] - probability) > 0.01:
                raise Failed(f"case {case['id']}: {name} {case[name]:.4f}, as a file {probability:.4f}")
    films = sorted(path.name for path in (folder / "films").iterdir())
    whole = sorted(f"{case['id']:06}{ending}" for case in cases for ending in (".cam.json", ".plate.png"))
    if films != whole:
        raise Failed(f"films/ has {films} instead of {whole}")
    for case in cases:
        check_film(bench, folder / "films", f"{case['id']:06}")
    return cases


def check_film(bench, films, number):
    """A case's film and activation maps are pictures of the size that they have in simulation, with something on
    them."""
    *size, film = image.gray(films / f"{number}.plate.png")
    *expected, _ = image.gray(bench.films / "000001.plate.png")
    if any(abs(side - wanted) > SIDE_MAY_DIFFER for side, wanted in zip(size, expected)):
        raise Failed(f"case {number}: its film is {size} pixels, in simulation {expected}")
    if max(film) - min(film) < LEVELS:
        raise Failed(f"case {number}: its film shows nothing")
    maps = json.loads((films / f"{number}.cam.json").read_text())
    wanted = json.loads((bench.films / "000001.cam.json").read_text())
    sides = {name: [len(row) for row in lines] for name, lines in maps.items()}
    if sides != {name: [len(row) for row in lines] for name, lines in wanted.items()}:
        raise Failed(f"case {number}: its activation maps have other sizes than in simulation: {sides}")
    for name, lines in maps.items():
        if len({value for line in lines for value in line}) < 2:
            raise Failed(f"case {number}: the activation map of {name} is the same all over")

"""The scenarios: what happens to the box on the emulated board, and what the test then checks."""

import base64
import gzip
import json
import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import contextmanager

import image
from hardware import RaspberryPi, VirtualBoard
from machine import Board, Failed

# Limits in seconds. They are generous, since the emulated processor is slow, and slower on a busy machine.
BOX_IS_READY = 600
FILM_IS_JUDGED = 900
BOX_REACTS = 60
# How long after its record is printed the screen of a film is drawn, seconds.
SCREEN_FOLLOWS = 10
# How long a storage fault that cost a verdict is shown at least, seconds.
LOSS_SHOWN = 60

# The share of a verdict's pixels that may differ from the same verdict in simulation by more than LEVELS of 255. Another
# processor's sums can change the last digit of a probability, which are a few digits' pixels.
MAY_DIFFER = 0.003
LEVELS = 32
# By how many pixels the sides of a film may differ from those in simulation, since a camera's gray is rounded otherwise.
SIDE_MAY_DIFFER = 2
# The rows of a fault's screen that say the same whatever the error is: those between the line with model and clock and
# the line on what the button does, and those of the disclaimer.
FAULT_ROWS = [*range(30, 230), *range(440, 480)]
# The gray levels from left to right of the virtual camera's picture, colour bars of 75 %: white, yellow, cyan, green,
# magenta, red, blue, black. With colours beside them they are those of Rec. 601, from 16 to 235; alone those of Rec. 709,
# from 0 to 255.
NARROW = [180, 162, 131, 112, 84, 65, 35, 16]
BARS = {"YUYV": NARROW, "GREY": [191, 177, 150, 137, 54, 41, 14, 0], "NV12": NARROW}
# By how many levels of 255 the bars may differ.
BARS_MAY_DIFFER = 2
# The virtual camera's frame, and where the display shows it: left, top, width and height in pixels.
FRAME = (640, 480)
PREVIEW = (12, 126, 408, 306)
# The length of a press, seconds: longer than what the box takes for a bounce, and so short that looking every 200 ms would
# miss two of three.
SHORT_PRESS = 0.09
SHORT_PRESSES = 12
# How often the *attention* LED flashes before each pause if the settings cannot be used.
SETTINGS_FLASHES = 5
# The moment to which Debian 12's systemd moves a clock that is behind: the day of its own build, 2025-05-29.
SYSTEMD_BUILT = 1748476800
# A moment within an analysis, in seconds after its start. At its end a case is kept.
MID_ANALYSIS = 5

CASES = "/var/lib/xray-triage"
SETTINGS = "/etc/xray-triage/config.toml"
# Shell that gives the free space on the card, KiB.
ROOM = f"$(df -kP {CASES} | awk 'NR == 2 {{ print $4 }}')"
CAMERA = "usb-camera /pictures/film.jpg >/run/camera.log 2>&1 & camera=$!"
# Shell that starts what systemd would start, as the unit says, with the console for standard input as in the unit. The
# log has each change of state.
APPLIANCE = ("$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/xray-triage.service) --json -vv"
             " </dev/tty1 >>/run/records.jsonl 2>>/run/appliance.log & appliance=$!")
# Shell that writes to the console, which is on the same display, as the kernel or anybody else may do.
CONSOLE_MESSAGE = "for line in 1 2 3; do echo This is not to be seen while the box shows something. >/dev/tty1; done"


class Bench:
    """What all scenarios need: the images, and what the film's photograph must be judged as and look like."""

    def __init__(self, package, picture):
        self.package = package
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
    # An empty file makes all settings the defaults, whatever this machine has in /etc.
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
        configure(board)
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
    """There is no display: the LEDs and the case log work without one."""
    with operated(bench, "no-display", prepare="[ ! -e /dev/fb0 ]", display=False) as board:
        check_log(board, "Going on without a display")
        judge(board)


def disk_full(bench):
    """The card is full: no capture is taken and the box says so; with room again it goes on."""
    with operated(bench, "disk-full") as board:
        fill(board, 1024)
        # The rest is written until it fails.
        board.try_shell(f"cat /dev/zero >>{CASES}/filler 2>/dev/null", limit=BOX_REACTS)
        if (left := room(board)) > 100:
            raise Failed(f"the card could not be filled: {left} KiB are left")
        board.press()
        board.wait_for_blinking("the card is full: a fault is shown", BOX_REACTS)
        check_fault(board, "storage-fault")
        board.shell(f"rm {CASES}/filler")
        board.wait_for_lights("there is room again: ready", True, False, BOX_REACTS)
        judge(board)


def disk_fills(bench):
    """The card fills up while a case is written: that one is not kept and the box says so, no other is lost, and with
    room again it goes on."""
    with operated(bench, "disk-fills", cases=2) as board:
        judge(board)
        # The next case, of the same film, takes as much: first its film, then its maps, at last the row, two pages or
        # more of 4 KiB.
        film, maps = (int(board.shell(f"stat -c %s {CASES}/films/000001.{name}")) // 1024 + 1
                      for name in ["plate.png", "cam.json"])
        lose(board, range(film // 2, film), "No space left")
        lose(board, range(film + maps + 1, film + maps + 8), "database or disk is full")
        judge(board)


def sigkill(bench):
    """The program is killed while it judges: nothing half is left, no earlier case is lost, the next one is kept."""
    with operated(bench, "sigkill", cases=2) as board:
        judge(board)
        board.press()
        board.wait_for_lights("judging the second film", True, True, BOX_REACTS)
        kill(board)
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
        if recorded(board) != 0:
            raise Failed("the second film was judged before the plug could be pulled")
        board.say("the plug is pulled")
    with running(bench, "power-cut", card) as board:
        check_listed(board, 1)
        check_doctor(board, ["storage", "case log"])
        switch_off(board)
    check_cases(bench, card, 1)


def clock(bench):
    """The board has no clock chip and nobody set the time. It starts in 1970, and systemd would move it on a little: cases
    say that, and are kept."""
    with operated(bench, "clock", prepare=f"[ $(date +%Y) = 1970 ] && date -s @{SYSTEMD_BUILT}") as board:
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


def edges(bench):
    """Presses too short to be met by looking at the button now and then: its edges wake the box, and each counts."""
    card = bench.new_card("edges")
    with bench.board("edges", card, VirtualBoard(), display=True) as board:
        board.wait_for_boot()
        configure(board)
        # Without a camera a press is over at once: a capture, and the fault again.
        board.shell(APPLIANCE)
        board.wait_for_blinking("there is no camera: a fault is shown", BOX_IS_READY)
        for _ in range(SHORT_PRESSES):
            board.press(SHORT_PRESS)
            time.sleep(1)
        _, counted = board.try_shell("grep -c -e '-> Capturing' /run/appliance.log")
        if int(counted) != SHORT_PRESSES:
            raise Failed(f"{counted} of {SHORT_PRESSES} presses of {SHORT_PRESS} s counted")
        board.say(f"{SHORT_PRESSES} presses of {SHORT_PRESS} s, and all counted")
        switch_off(board)


def formats(bench):
    """A camera with each uncompressed format: what is recorded, and what the display shows, is its test picture. One that
    has its planes in several buffers is a fault that says what to do."""
    card = bench.new_card("formats")
    with bench.board("formats", card, VirtualBoard(), display=True) as board:
        board.wait_for_boot()
        # Two cameras: planes in one buffer, and in several.
        board.shell(f"insmod /drivers/{image.VIRTUAL_CAMERA}.ko n_devs=2 node_types=1,1 multiplanar=1,2")
        board.wait_until("the cameras are there", "[ -c /dev/video0 ] && [ -c /dev/video1 ]", BOX_REACTS)
        for pixel_format in BARS:
            configure(board, camera(pixel_format))
            check_recording(board, pixel_format)
            start(board)
            check_preview(board, pixel_format)
            kill(board)
        # It has no controls of these.
        check_log(board, "its exposure cannot be set to 80: .* Going on without")
        check_log(board, "its white balance cannot be set to 5000: .* Going on without")
        configure(board, camera("MJPG"))
        check_refused(board, "offers no MJPG in a size that fits, but .*YUYV.*. Leave camera.format out")
        configure(board, "[camera]\ndevice = '/dev/video1'\n")
        several = "offers multi-planar capture only, which is not supported. Use a USB camera"
        check_refused(board, several)
        board.shell(APPLIANCE)
        board.wait_for_blinking("planes in several buffers: a fault is shown", BOX_IS_READY)
        check_fault(board, "camera-fault")
        check_log(board, several)
        switch_off(board)


def model(bench):
    """The settings name a damaged model: the box shows so and ends; with the built-in one it starts."""
    card = bench.new_card("model")
    with bench.board("model", card, RaspberryPi(), display=True) as board:
        board.wait_for_boot()
        plug(board)
        board.shell(f"sed -i \"s|^#model = .*|model = '/damaged-model'|\" {SETTINGS}")
        board.shell(APPLIANCE)
        check_fault(board, "model-fault", limit=BOX_IS_READY)
        board.wait_for_blinking("a fault is shown", BOX_REACTS)
        status, _ = board.try_shell("wait $appliance", limit=BOX_REACTS)
        if status != 2:
            raise Failed(f"the program ended with {status} instead of 2")
        check_log(board, "the SHA-256 of model.onnx is .* damaged or was swapped: copy the bundle again")
        board.shell(f"sed -i 's|^model = |#&|' {SETTINGS}")
        start(board)
        switch_off(board)
    check_cases(bench, card, 0)


def settings(bench):
    """Settings that cannot be used are a fault until the file is corrected: in English on the default pins if the file
    cannot be read at all, otherwise in the language and on the pins that it names."""
    card = bench.new_card("settings")
    with bench.board("settings", card, RaspberryPi(), display=True) as board:
        board.wait_for_boot()
        plug(board)
        configure(board, "[camera\n")
        board.shell(APPLIANCE)
        check_settings_fault(board, "en")
        check_log(board, "config.toml: TOML parse error at line 1")
        # A short press is for nothing; holding it ends the program, for its unit to start it again.
        board.press()
        check_settings_fault(board, "en")
        hold(board, 2)
        configure(board, "[camera]\n")
        start(board)
        switch_off(board)
    check_cases(bench, card, 0)
    with bench.board("settings", card, VirtualBoard(), display=True) as board:
        board.wait_for_boot()
        configure(board, "[display]\nlanguage = 'fr'\n[camera]\nwidth = 0\n")
        board.shell(APPLIANCE)
        check_settings_fault(board, "fr")
        check_log(board, "camera.width is 0, but must be 160 to 7680 pixels")
        board.shell("kill -TERM $appliance; wait $appliance; [ $? = 143 ]")
        board.shell(f"umount {CASES}")
    check_cases(bench, card, 0)


def controls(bench):
    """What the settings fix of a camera is set in it by hand; without that it chooses itself."""
    card = bench.new_card("controls")
    with bench.board("controls", card, VirtualBoard(), display=True) as board:
        board.wait_for_boot()
        plug(board)
        configure(board, "[camera]\nexposure = 80\nwhite_balance = 5000\nfocus = 30\n")
        start(board)
        check_controls(board, ["exposure mode: 1", "exposure time: 80", "automatic white balance: 0",
                               "white balance: 5000", "automatic focus: 0", "focus: 30"])
        kill(board)
        configure(board)
        start(board)
        check_controls(board, ["exposure mode: 8", "automatic white balance: 1", "automatic focus: 1"])
        switch_off(board)


SCENARIOS = {"capture": capture, "unplug": unplug, "no-display": no_display, "disk-full": disk_full,
             "disk-fills": disk_fills, "sigkill": sigkill, "power-cut": power_cut, "clock": clock, "model": model,
             "virt": virt, "edges": edges, "formats": formats, "settings": settings, "controls": controls}


# Steps of the scenarios


def plug(board):
    """Plugs the camera in."""
    board.shell(CAMERA)
    board.wait_until("the camera is there", "[ -c /dev/video0 ]", BOX_REACTS)


def configure(board, settings=""):
    """Writes the box's settings: the board's, and these. Without any the package's stay."""
    if lines := (board.hardware.SETTINGS + settings).replace("\n", "\\n"):
        board.shell(f'printf "{lines}" >{SETTINGS}')


def start(board):
    """Starts the program and waits until it is ready."""
    board.shell(APPLIANCE)
    board.wait_for_lights("the program runs, the box is ready", True, False, BOX_IS_READY)


def judge(board):
    """Takes a film, of which one record is printed."""
    before = recorded(board)
    take(board)
    if (records := recorded(board)) != before + 1:
        said = board.shell("cat /run/appliance.log")
        raise Failed(f"{records - before} records for one press. The program said: {said}")


def take(board):
    """Takes a film and waits for the answer, a class: the photograph used here gets one."""
    board.press()
    board.wait_for_lights("the button is pressed: capturing, judging", True, True, BOX_REACTS)
    board.wait_for_lights("the verdict is shown", True, False, FILM_IS_JUDGED)


def lose(board, left, words):
    """Takes a film and fills the card while it is judged, so that so many KiB are left: the case is not kept, which the
    log says in these words. Then clears the card."""
    board.press()
    board.wait_for_lights("the button is pressed: capturing, judging", True, True, BOX_REACTS)
    before = recorded(board)
    fill(board, left[-1])
    if (found := room(board)) not in left:
        raise Failed(f"{found} KiB are left on the card instead of {left[0]} to {left[-1]}")
    if board.try_shell(f"[ $(ls {CASES}/films | wc -l) = 2 ]")[0] != 0 or recorded(board) != before:
        raise Failed("the film was judged before the card was full")
    board.wait_for_blinking(f"{found} KiB are left on the card, the case is lost: a fault is shown", FILM_IS_JUDGED)
    check_fault(board, "storage-fault")
    check_log(board, f"no room for more cases .{words}")
    check_listed(board, 1)
    board.shell(f"[ $(ls {CASES}/films | wc -l) = 2 ] && rm {CASES}/filler")
    board.wait_for_lights("there is room again: ready", True, False, LOSS_SHOWN + BOX_REACTS)


def recorded(board):
    """How many records the program has printed."""
    return int(board.shell("wc -l </run/records.jsonl"))


def room(board):
    """How many KiB are free on the card."""
    return int(board.shell(f"sync; echo {ROOM}"))


def fill(board, left):
    """Fills the card but for about so many KiB. What fills it is only reserved: writing it takes the emulated card
    minutes."""
    board.shell(f"fallocate -l $((({ROOM} - {left}) * 1024)) {CASES}/filler")


def kill(board):
    """Kills the program."""
    board.shell("kill -KILL $appliance; wait $appliance; [ $? = 137 ]")


def switch_off(board):
    """Holds the button until the program ends, and unmounts the card."""
    hold(board, 0)
    board.shell(f"umount {CASES}")
    board.say("switched off, the card is unmounted")


def hold(board, expected):
    """Holds the button until the program ends, with this status."""
    board.press(6)
    status, _ = board.try_shell("wait $appliance", limit=BOX_REACTS)
    if status != expected:
        raise Failed(f"the program ended with {status}: {board.shell('cat /run/appliance.log')}")


def check_log(board, words):
    """The program's log has a line with these words, an extended regular expression."""
    if board.try_shell(f"grep -q -E '{words}' /run/appliance.log")[0] != 0:
        raise Failed(f"the log has no `{words}`. It says: {board.shell('cat /run/appliance.log')}")


def check_controls(board, changes):
    """These are the newest changes of the USB camera's controls, in this order."""
    made = board.shell("cat /run/camera.log").splitlines()[-len(changes):]
    if made != changes:
        raise Failed(f"the camera's controls were changed so: {made}, instead of so: {changes}")
    board.say(f"the camera was told {', '.join(changes)}")


def check_listed(board, count):
    """On the board, beside the running program, the case log lists so many cases and is whole."""
    cases = board.shell("xray-triage cases list").splitlines()
    if len(cases) != count or not cases[0].startswith(f"{count:06} "):
        raise Failed(f"the board lists these cases instead of {count}: {cases}")
    board.shell("xray-triage cases check")
    board.say(f"cases on the card: {count}")


def check_doctor(board, names, prefix=""):
    """The doctor, started by a command or directly, finds these well, beside the running program."""
    # It ends with 1 for any check that fails; here some of them matter.
    _, found = board.try_shell(f"{prefix} xray-triage doctor --json 2>/dev/null", limit=FILM_IS_JUDGED)
    checks = {check["name"]: check for check in json.loads(found)}
    for name in names:
        if checks[name]["status"] != "ok":
            raise Failed(f"the doctor says: {checks[name]}")
    board.say(f"the doctor finds well: {', '.join(names)}")


def check_settings_fault(board, language):
    """The display and the LEDs say that the settings cannot be used."""
    board.wait_for_flashes("the settings cannot be used: a fault is shown", SETTINGS_FLASHES, BOX_IS_READY)
    check_fault(board, "settings-fault", language=language)


def check_fault(board, name, limit=BOX_REACTS, language="en"):
    """The display shows this fault as its picture in tests/screens does, but for model, clock and the error's words."""
    width, height = image.DISPLAY
    picture = image.ROOT / f"tests/screens/{name}-{language}-{width}x{height}.png"
    known = subprocess.run(["pngtopnm", str(picture)], check=True, stdout=subprocess.PIPE).stdout
    expected = rows(image.pixels(known, picture), FAULT_ROWS)
    # The LEDs change before the screen is drawn.
    end = time.monotonic() + limit
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


def camera(pixel_format):
    """Settings for the virtual camera in this format, with fixed values for what it lacks."""
    width, height = FRAME
    return (f"[camera]\nwidth = {width}\nheight = {height}\nformat = '{pixel_format}'\n"
            "exposure = 80\nwhite_balance = 5000\n")


def check_recording(board, pixel_format):
    """What `record` keeps of the camera is its test picture in this format."""
    board.shell("rm -rf /tmp/recording && xray-triage record --seconds 1 /tmp/recording")
    frames = [json.loads(line) for line in board.shell("cat /tmp/recording/frames.jsonl").splitlines()]
    newest = frames[-1]
    if (newest["format"], newest["width"], newest["height"]) != (pixel_format, *FRAME):
        raise Failed(f"recorded was {newest}")
    encoded = board.shell(f"gzip -1 </tmp/recording/{len(frames):06}.{pixel_format.lower()} | base64", limit=120)
    frame = gzip.decompress(base64.b64decode(encoded))
    width, height = FRAME
    lines = height * 3 // 2 if pixel_format == "NV12" else height
    if len(frame) != newest["stride"] * lines:
        raise Failed(f"a frame has {len(frame)} bytes, in {lines} lines of {newest['stride']}")
    step = 2 if pixel_format == "YUYV" else 1
    lines = [frame[newest["stride"] * row:][:width * step:step] for row in range(height)]
    if fault := bars_fault(lines, pixel_format):
        raise Failed(f"the recording has {fault}")
    board.say(f"{pixel_format}: {len(frames)} frames recorded, the last one is the test picture")


def check_preview(board, pixel_format):
    """The display shows the camera's test picture as a preview."""
    # The display may be late by a moment.
    end = time.monotonic() + BOX_REACTS
    while fault := bars_fault(preview(board, pixel_format), pixel_format):
        if time.monotonic() > end:
            raise Failed(f"the display has {fault}")
        time.sleep(1)
    board.say(f"{pixel_format}: the display shows the test picture")


def preview(board, pixel_format):
    """The gray levels of the preview, line by line."""
    left, top, width, height = PREVIEW
    shown, line = board.screen(f"preview-{pixel_format}"), 3 * image.DISPLAY[0]
    return [shown[line * row + 3 * left:][:3 * width:3] for row in range(top, top + height)]


def bars_fault(lines, pixel_format):
    """What is not as in the test picture, if anything, in the lower half of a picture: in the upper one the camera writes
    over it."""
    width = len(lines[0])
    for number, level in enumerate(BARS[pixel_format]):
        # Colours and the display's picture are averages, at a bar's ends of two bars.
        columns = slice(width * number // 8 + 4, width * (number + 1) // 8 - 4)
        found = [value for line in lines[len(lines) // 2:] for value in line[columns]]
        if min(found) < level - BARS_MAY_DIFFER or max(found) > level + BARS_MAY_DIFFER:
            return f"gray levels {min(found)} to {max(found)} in bar {number + 1} instead of {level}"
    return None


def check_refused(board, words):
    """The program does not record from the camera of the settings, and says so in these words."""
    status, said = board.try_shell("xray-triage record /tmp/refused 2>&1", limit=BOX_REACTS)
    if status != 2 or not re.search(words, said):
        raise Failed(f"recording ended with {status} instead of 2 and `{words}`: {said}")
    board.say(f"refused: {said}")


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


def check_cases(bench, card, count, within="/"):
    """The card, in this folder of it, holds this many whole cases, each judged as the photograph is as a file. Returns
    their rows."""
    folder = image.card_contents(card, card.with_suffix(""), within)
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

"""What happens to the box on the emulated board, and what must have come of it."""

import base64
import gzip
import json
import shutil
import sqlite3
import time

import image
from hardware import RaspberryPi, VirtualBoard
from machine import Board, Failed

# Limits in seconds, generous: the emulated processor is slow, and slower on a busy machine.
BOX_IS_READY = 300
FILM_IS_JUDGED = 300
BOX_REACTS = 30

CASES = "/var/lib/xray-triage"
CAMERA = "usb-camera /pictures/film.jpg >/run/camera.log 2>&1 & camera=$!"
# What systemd would start, by the unit itself.
APPLIANCE = ("$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/xray-triage.service) --json"
             " >>/run/records.jsonl 2>>/run/appliance.log & appliance=$!")


class Bench:
    """What all scenarios need: the images, and what the film's photograph must be judged as."""

    def __init__(self, package, picture):
        self.debian = image.debian()
        self.initramfs = image.initramfs(self.debian, package, picture)
        self.expected = expected(picture)

    def board(self, name, card, hardware=RaspberryPi(), display=True):
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


def expected(picture):
    """The record of the photograph as a file, from the same program under QEMU's user mode emulation."""
    program = [image.ROOT / "scripts/arm", "run", "aarch64", "triage", picture, "--profile", "film", "--json"]
    return json.loads(image.command(*program))


def capture(bench):
    """Power on, a film, the button: a verdict on the screen, a case on the card, and a clean end."""
    card = bench.new_card("capture")
    with bench.board("capture", card) as board:
        board.wait_for_boot()
        board.shell(f"date -s @{int(time.time())}")
        plug(board)
        start(board)
        ready = board.screen("ready")
        judge(board)
        verdict = board.screen("verdict")
        if verdict == ready:
            raise Failed("the display shows the same before and after the verdict")
        check_framebuffer(board, verdict)
        switch_off(board)
    cases = check_cases(bench, card, 1)
    if cases[0]["clock_unset"]:
        raise Failed(f"the clock was set, but the case says it was not: {cases[0]['taken']}")


def unplug(bench):
    """The camera is unplugged in the middle of a capture: the box says so, and goes on once it is back."""
    card = bench.new_card("unplug")
    with bench.board("unplug", card) as board:
        board.wait_for_boot()
        plug(board)
        start(board)
        # Halted, it delivers no frame, so that the capture is still under way when it goes.
        board.shell("kill -STOP $camera")
        board.press()
        board.wait_for_lights("capturing", True, True, BOX_REACTS)
        board.shell("kill -KILL $camera")
        board.wait_for_blinking("unplugged during the capture: a fault is shown", BOX_REACTS)
        board.screen("fault")
        plug(board)
        board.wait_for_lights("plugged in again: ready", True, False, BOX_REACTS)
        judge(board)
        switch_off(board)
    check_cases(bench, card, 1)


def no_display(bench):
    """There is no display: the LEDs and the case log do without."""
    card = bench.new_card("no-display")
    with bench.board("no-display", card, display=False) as board:
        board.wait_for_boot()
        board.shell("[ ! -e /dev/fb0 ]")
        plug(board)
        start(board)
        judge(board)
        switch_off(board)
    check_cases(bench, card, 1)


def disk_full(bench):
    """The card is full: no capture is taken and the box says so; with room again it goes on."""
    card = bench.new_card("disk-full")
    with bench.board("disk-full", card) as board:
        board.wait_for_boot()
        plug(board)
        start(board)
        board.try_shell(f"dd if=/dev/zero of={CASES}/filler bs=1M 2>/dev/null", limit=300)
        board.press()
        board.wait_for_blinking("the card is full: a fault is shown", BOX_REACTS)
        board.screen("fault")
        board.shell(f"rm {CASES}/filler")
        judge(board)
        switch_off(board)
    check_cases(bench, card, 1)


def sigkill(bench):
    """The program is killed while it judges: nothing half is left, no earlier case is lost, the next one is kept."""
    card = bench.new_card("sigkill")
    with bench.board("sigkill", card) as board:
        board.wait_for_boot()
        plug(board)
        start(board)
        judge(board)
        board.press()
        board.wait_for_lights("judging the second film", True, True, BOX_REACTS)
        board.shell("kill -KILL $appliance; wait $appliance; [ $? = 137 ]")
        board.say("killed")
        start(board)
        judge(board)
        switch_off(board)
    check_cases(bench, card, 2)


def clock(bench):
    """The board has no clock chip and nobody set the time, which is then in 1970: cases say that, and are kept."""
    card = bench.new_card("clock")
    with bench.board("clock", card) as board:
        board.wait_for_boot()
        board.shell("[ $(date +%Y) = 1970 ]")
        plug(board)
        start(board)
        judge(board)
        switch_off(board)
    cases = check_cases(bench, card, 1)
    if not cases[0]["clock_unset"]:
        raise Failed(f"the clock was never set, but the case does not say so: {cases[0]['taken']}")


def virt(bench):
    """The capture on another board: the display is a DRM one, the pins are the kernel's GPIO character device."""
    card = bench.new_card("virt")
    with bench.board("virt", card, VirtualBoard()) as board:
        board.wait_for_boot()
        board.shell("[ -c /dev/dri/card0 ] && [ -c /dev/gpiochip0 ]")
        plug(board)
        start(board)
        ready = board.screen("ready")
        judge(board)
        if board.screen("verdict") == ready:
            raise Failed("the display shows the same before and after the verdict")
        switch_off(board)
    check_cases(bench, card, 1)


SCENARIOS = {"capture": capture, "unplug": unplug, "no-display": no_display, "disk-full": disk_full, "sigkill": sigkill,
             "clock": clock, "virt": virt}


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
    return cases

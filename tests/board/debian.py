"""The package on a whole Debian with systemd, which shows what the scenarios with busybox cannot."""

import shlex
import shutil
import time
from contextlib import contextmanager

import image
from hardware import VirtualBoard
from machine import Failed
from scenarios import (BOX_IS_READY, BOX_REACTS, CASES, FILM_IS_JUDGED, check_cases, check_doctor, check_listed,
                       check_verdict, configure, plug, take)

# Limits in seconds, for the emulated processor.
PACKAGES_ARE_SET_UP = 3600
SYSTEM_IS_UP = 600
PACKAGE_IS_INSTALLED = 600

UNIT = "xray-triage.service"
USER = "xray-triage"
# WatchdogSec of the unit, and how much later systemd may come to it on a busy machine.
WATCHDOG, BUSY = 30, 15
# How soon the program stops without a film in hand. It waits neither for a model that still loads nor for the camera.
STOPS_WITHIN = 25
# The most that `systemd-analyze security` may find, in tenths.
EXPOSURE = 15

# The first file system mounts the board's disk where the box keeps its cases.
DISK = CASES
# The camera's drivers. In the first file system they are loaded already; here the package and udev have to load them.
CAMERA_DRIVERS = ("v4l2_tpg v4l2_dv_timings videobuf2_dma_contig uvcvideo videobuf2_vmalloc videobuf2_memops"
                  " videobuf2_v4l2 videobuf2_common videodev mc")
TEST_FILES = (f"cp /usr/bin/usb-camera {DISK}/usr/local/bin && cp -r /pictures {DISK}/"
              f" && cp /shell {DISK}/usr/local/sbin/board-shell && cp /board-shell.service {DISK}/etc/systemd/system")

# What the service's user may do on this board outside the unit, and the words with which the unit refuses it.
TRIES = {
    "a network socket": ("bash -c 'exec 3<>/dev/udp/127.0.0.1/9'", "Address family not supported"),
    "another device": ("head -c 1 /dev/vda >/dev/null", "Operation not permitted"),
    "a file outside the case log": ("touch /srv/open/file", "Read-only file system"),
    "home directories": ("ls /home", "Permission denied"),
    "temporary files of others": ("ls /tmp/another", "No such file"),
    "processes of others": ("cat /proc/1/stat", "No such file"),
    "a namespace": ("unshare --user true", "Operation not permitted"),
    "a set-user-ID file": ("touch /tmp/file && chmod u+s /tmp/file", "Operation not permitted"),
    "another personality": ("setarch --addr-no-randomize true", "Operation not permitted"),
}
PREPARE_TRIES = "chmod 666 /dev/vda && mkdir -p -m 777 /srv/open && touch /tmp/another"
DROP_IN = f"/run/systemd/system/{UNIT}.d/tries.conf"

HARDWARE = ["camera", "display", "panel"]
DOCTOR = [*HARDWARE, "storage", "case log", "clock", "model", "inference"]


class DebianBoard(VirtualBoard):
    """The generic board with a stick in it, whose systemd gives the test a shell on the serial console."""

    SETTINGS = VirtualBoard.SETTINGS + "[camera]\ndevice = '/dev/xray-triage-camera'\n"
    KERNEL_OPTIONS = "systemd.wants=board-shell.service systemd.mask=serial-getty@ttyAMA0.service systemd.show_status=no"

    def options(self, debian, card, display):
        stick = card.with_name("stick.img")
        return [*super().options(debian, card, display), "-drive", f"file={stick},if=virtio,format=raw,readonly=on"]


def systemd(bench):
    """Debian with systemd: the package is installed, kept alive, shut in, stopped, cut off, switched off, removed."""
    card = new_disk(bench)
    with booted(bench, card) as board:
        plug(board)
        install(board)
        check_installed(board)
        check_started(board)
        check_watchdog(board)
        check_shut_in(board)
        check_stop(board)
        take(board)
        check_verdict(bench, board)
        board.say("the plug is pulled")
    with booted(bench, card) as board:
        wait_for_box(board, "the box came up by itself")
        plug(board)
        board.wait_for_lights("the camera is plugged in: ready", True, False, BOX_REACTS)
        check_listed(board, 2)
        check_doctor(board, DOCTOR, f"runuser -u {USER} --")
        check_removed(board)
        install(board)
        check_started(board)
        check_listed(board, 2)
        board.press(6)
        board.wait_for_power_off(SYSTEM_IS_UP)
    check_cases(bench, card, 2, within=CASES)


# Steps of the scenario


def new_disk(bench):
    """Makes the scenario's folder anew, with a disk that has Debian on it and a stick that has the package."""
    installed = image.WORK / "debian-12.img"
    if not installed.exists():
        set_up(bench, installed)
    card = bench.new_card("systemd")
    image.command("cp", "--sparse=always", installed, card)
    contents = card.with_name("stick")
    contents.mkdir()
    shutil.copy(bench.package, contents)
    image.new_card(card.with_name("stick.img"), contents)
    return card


def set_up(bench, disk):
    """Sets up Debian's packages on the board, and keeps the disk for the next time."""
    unpacked = image.unpacked_debian(bench.debian)
    bench.new_card("systemd")
    with bench.board("systemd", unpacked, VirtualBoard(), display=False) as board:
        board.wait_for_boot()
        board.shell(f"PATH=/usr/sbin:/usr/bin chroot {DISK} /debootstrap/debootstrap --second-stage >/run/setup.log"
                    " || { tail /run/setup.log; false; }", limit=PACKAGES_ARE_SET_UP)
        board.shell(f"umount {DISK}")
        board.say("Debian's packages are set up")
    unpacked.rename(disk)


@contextmanager
def booted(bench, card):
    """The board with Debian up. Leaving the `with` block pulls the plug."""
    with bench.board("systemd", card, DebianBoard(), display=True) as board:
        board.wait_for_boot()
        board.shell(f"rmmod {CAMERA_DRIVERS} && {TEST_FILES}")
        board.shell(f"exec switch_root {DISK} /sbin/init", limit=SYSTEM_IS_UP)
        state = board.try_shell("systemctl is-system-running --wait", limit=SYSTEM_IS_UP)[1]
        if state != "running":
            raise Failed(f"the system is {state}: {board.shell('systemctl --failed --no-legend --plain')}")
        board.say("systemd is up, and no unit failed")
        yield board


def install(board):
    """Installs the package from the stick as the guide says, and gives the box this board's settings."""
    board.shell("mount -r /dev/vdb /mnt")
    board.shell("DEBIAN_FRONTEND=noninteractive apt-get install -q -y /mnt/xray-triage_*.deb 2>&1",
                limit=PACKAGE_IS_INSTALLED)
    board.shell("umount /mnt")
    configure(board)
    board.shell(f"systemctl restart {UNIT}", limit=BOX_IS_READY)
    board.say("the package is installed, the service restarted with this board's settings")


def check_installed(board):
    """User, folder, device names and owners are those of the package's files for systemd and udev."""
    expect(board, f"stat -c '%A %U %G' {CASES}", "drwxr-x--- xray-triage xray-triage")
    expect(board, f"id -Gn {USER} | tr ' ' '\\n' | sort | xargs", "gpio render video xray-triage")
    expect(board, "stat -c '%A %G' /dev/gpiochip0", "crw-rw---- gpio")
    expect(board, "readlink /dev/xray-triage-camera", "video0")
    expect(board, f"systemctl is-enabled {UNIT}", "enabled")


def check_started(board):
    """The service told systemd that it is ready, and runs as its user."""
    wait_for_box(board, "ready")
    found = properties(board, "Type", "NotifyAccess", "WatchdogUSec", "NRestarts", "User", "Result")
    wanted = {"Type": "notify", "NotifyAccess": "main", "WatchdogUSec": "30s", "NRestarts": "0", "User": USER,
              "Result": "success"}
    if found != wanted:
        raise Failed(f"the service has {found} instead of {wanted}")
    owner = board.shell(f"stat -c %U /proc/{main_process(board)}")
    if owner != USER:
        raise Failed(f"the program runs as {owner}")


def check_watchdog(board):
    """A program that hangs is killed in time, and started again."""
    process = main_process(board)
    halted = float(board.shell(f"kill -STOP {process} && date +%s.%N"))
    running = f"[ $(systemctl show {UNIT} -p MainPID --value) != {process} ] && systemctl is-active {UNIT}"
    board.wait_until("the watchdog starts the program again", running, WATCHDOG + BOX_IS_READY)
    timeouts = board.shell(f"journalctl -u {UNIT} -o short-unix | grep 'Watchdog timeout'").splitlines()
    if len(timeouts) != 1 or (took := float(timeouts[0].split()[0]) - halted) > WATCHDOG + BUSY:
        raise Failed(f"halted at {halted:.0f}, the watchdog says: {timeouts}")
    board.say(f"the halted program was killed after {took:.0f} s, and started again")
    if (found := properties(board, "NRestarts")) != {"NRestarts": "1"}:
        raise Failed(f"the restart was not counted: {found}")
    board.wait_for_lights("the box is ready again", True, False, BOX_REACTS)


def check_shut_in(board):
    """What the service's user may do otherwise is refused within the unit, in which a drop-in tries it before the program
    starts."""
    lines = [f"echo '{what}:' $({{ {line}; }} 2>&1 >/dev/null && echo done)" for what, (line, _) in TRIES.items()]
    board.shell(PREPARE_TRIES)
    board.shell(f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} >/run/tries")
    outside = board.shell(f"runuser -u {USER} -- sh /run/tries").splitlines()
    if outside != [f"{what}: done" for what in TRIES]:
        raise Failed(f"outside the unit, where all may be done: {outside}")
    board.shell(f"mkdir -p $(dirname {DROP_IN}) && printf '[Service]\\nExecStartPre=/bin/sh /run/tries\\n' >{DROP_IN}")
    board.shell(f"systemctl daemon-reload && systemctl restart {UNIT}", limit=BOX_IS_READY)
    log = board.shell(f"journalctl -u {UNIT} -t sh -o cat").splitlines()
    for what, (_, refusal) in TRIES.items():
        said = [line for line in log if line.startswith(f"{what}:")]
        if len(said) != 1 or refusal not in said[0]:
            raise Failed(f"not refused by `{refusal}` within the unit: {said or log}")
    board.say(f"refused within the unit: {', '.join(TRIES)}")
    board.shell(f"rm {DROP_IN} && systemctl daemon-reload && systemctl restart {UNIT}", limit=BOX_IS_READY)
    status = board.shell(f"cat /proc/{main_process(board)}/status")
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"]:
        if line not in status.splitlines():
            raise Failed(f"the process has no {line}: {status}")
    table = board.shell(f"SYSTEMD_COLORS=0 systemd-analyze security --no-pager --threshold={EXPOSURE} {UNIT}",
                        limit=SYSTEM_IS_UP)
    board.say(table.splitlines()[-1])


def check_stop(board):
    """`systemctl stop` ends the program while its model loads, and while it has a film in hand, once that film is recorded.
    It leaves the board on, and the program can be started again."""
    stop(board, "while the model loads", STOPS_WITHIN)
    start(board)
    board.press()
    board.wait_for_lights("the button is pressed: capturing, judging", True, True, BOX_REACTS)
    stop(board, "with a film in hand", FILM_IS_JUDGED)
    start(board)
    check_listed(board, 1)


def stop(board, when, limit):
    started = time.monotonic()
    board.shell(f"systemctl stop {UNIT}", limit=limit)
    stopped = properties(board, "ActiveState", "Result", "ExecMainStatus")
    if stopped != {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "143"}:
        raise Failed(f"stopped {when}, the service is {stopped}")
    board.say(f"stopped {when}, after {time.monotonic() - started:.0f} s")


def start(board):
    board.shell(f"systemctl start {UNIT}", limit=BOX_IS_READY)
    board.wait_for_lights("started again: ready", True, False, BOX_REACTS)


def check_removed(board):
    """Removing leaves the settings and the cases, purging only the cases."""
    board.shell("dpkg --remove xray-triage 2>&1", limit=PACKAGE_IS_INSTALLED)
    board.shell(f"! systemctl cat {UNIT} 2>&1 && [ ! -e /usr/bin/xray-triage ]")
    board.shell("[ -z \"$(pidof xray-triage)\" ] && [ -e /etc/xray-triage/config.toml ]")
    kept = case_files(board)
    board.shell("dpkg --purge xray-triage 2>&1", limit=PACKAGE_IS_INSTALLED)
    board.shell(f"[ ! -e /etc/xray-triage ] && ! find /etc/systemd /var/lib/systemd -name {UNIT} | grep .")
    if (left := case_files(board)) != kept:
        raise Failed(f"purging left of the case log {left} instead of {kept}")
    board.say(f"removed and purged, files of the case log left: {len(kept)}")


def case_files(board):
    """The case log's files, a line each, with their hashes."""
    return board.shell(f"find {CASES} -type f -exec sha256sum {{}} + | sort").splitlines()


def wait_for_box(board, what):
    """Waits until systemd knows that the service is ready."""
    board.wait_until(what, f"systemctl is-active {UNIT}", BOX_IS_READY)
    times = properties(board, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    took = int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])
    board.say(f"{what}: READY=1 came {took / 1e6:.1f} s after the program's start")


def properties(board, *names):
    """These properties of the service."""
    lines = board.shell(f"systemctl show {UNIT} -p {','.join(names)}").splitlines()
    return dict(line.split("=", 1) for line in lines)


def main_process(board):
    return properties(board, "MainPID")["MainPID"]


def expect(board, line, wanted):
    """A line of shell prints this on the board."""
    if (found := board.try_shell(line)[1]) != wanted:
        raise Failed(f"on the board `{line}` printed `{found}` instead of `{wanted}`")

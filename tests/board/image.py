"""Makes what the emulated board starts from: kernel, first file system, device tree, SD card."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The folder for everything that is made here. The downloaded packages in it are kept.
WORK = ROOT / "target/board"
TRIPLE = "aarch64-unknown-linux-gnu"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "arm" / TRIPLE / "release"
GNU = Path("/usr/aarch64-linux-gnu/lib")
# The shared libraries that the programs are linked to.
LIBRARIES = ["ld-linux-aarch64.so.1", "libc.so.6", "libgcc_s.so.1", "libm.so.6"]

# Drivers of the virtual USB host and the camera, the card's file system, the Pi's SD controllers, and the generic board's
# disk and display.
DRIVERS = ["vhci-hcd", "uvcvideo", "ext4", "bcm2835", "sdhci-iproc", "virtio_pci", "virtio_blk", "virtio-gpu"]

# The kernel's virtual camera. A scenario says what the camera offers when it loads the driver.
VIRTUAL_CAMERA = "vivid"

MODEL = ROOT / "models/densenet121-cbam"

DISPLAY = (800, 480)
# Where QEMU's VideoCore has its framebuffer on a board of 1 GiB: 64 MiB below the peripherals' memory, plus 1 MiB.
FRAMEBUFFER = 0x3C10_0000
# The size of the SD card, which must be a power of two for QEMU.
CARD_BYTES = 256 << 20
DISK_BYTES = 1 << 30

# Programs by the Debian package that has them.
PROGRAMS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "modprobe": "kmod",
    "cpio": "cpio",
    "fdtput": "device-tree-compiler",
    "mkfs.ext4": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "pngtopnm": "netpbm",
}
# The programs for a whole Debian, by the Debian package that has them.
UNPACKERS = {"debootstrap": "debootstrap", "fakeroot": "fakeroot"}

# Makes, without root, a disk with Debian's packages unpacked and the kernel's drivers: $1 is a new folder for its files,
# $2 the folder of the kernel, $3 the disk.
UNPACK_DEBIAN = """
debootstrap --foreign --arch=arm64 --variant=minbase --include=systemd-sysv,udev,kmod,dbus bookworm "$1"
cp -r "$2/lib/modules" "$1/usr/lib"
mkfs.ext4 -q -F -m 0 -d "$1" "$3"
"""


class Missing(Exception):
    """Something that the test needs is not on this machine; the message says how to get it."""


def command(*arguments, **options):
    """Runs a program and returns its standard output; its failure is an exception that shows all it said."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]} failed ({done.returncode}): {done.stdout}{done.stderr}")
    return done.stdout


def gray(file):
    """Width, height and pixels, a byte each, of a gray PNG picture."""
    picture = subprocess.run(["pngtopnm", str(file)], check=True, stdout=subprocess.PIPE).stdout
    kind, size, depth, pixels = picture.split(b"\n", 3)
    width, height = map(int, size.split())
    if (kind, depth) != (b"P5", b"255") or len(pixels) != width * height:
        raise ValueError(f"{file}: not a gray picture of 8 bits")
    return width, height, pixels


def pixels(picture, name):
    """Red, green and blue of each pixel of a PPM picture of the display's size."""
    width, height = DISPLAY
    header = f"P6\n{width} {height}\n255\n".encode()
    if not picture.startswith(header):
        raise ValueError(f"{name}: not a picture of {width} x {height} pixels")
    return picture[len(header):]


def obtain(*arguments, **options):
    """Runs a program that installs or downloads something that the test needs; its failure means that it is missing."""
    try:
        return command(*arguments, **options)
    except RuntimeError as error:
        raise Missing(error) from error


def check_programs():
    """Sees to the programs and the toolchain that each scenario needs."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    install_missing(PROGRAMS)
    obtain(ROOT / "scripts/arm-toolchain", "aarch64")


def install_missing(programs):
    """Installs, as root, those of the programs that are missing; otherwise says what to install."""
    lacking = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if lacking:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Missing(f"not installed: {' '.join(lacking)}. As root: apt-get install {' '.join(lacking)}")
        obtain("apt-get", "install", "-q", "-y", "--no-install-recommends", *lacking)


def debian():
    """Debian's kernel and busybox for the board, unpacked; downloaded the first time. Returns the folder."""
    unpacked = WORK / "debian"
    if unpacked.is_dir():
        return unpacked
    downloads = WORK / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    if not any(downloads.glob("linux-image-*.deb")):
        depends = obtain("apt-cache", "depends", "linux-image-arm64:arm64")
        kernels = [word for word in depends.split() if word.startswith("linux-image-")]
        obtain("apt-get", "download", kernels[-1], cwd=downloads)
    if not any(downloads.glob("busybox-static_*.deb")):
        obtain("apt-get", "download", "busybox-static:arm64", cwd=downloads)
    # Made aside and renamed, so that an interrupted run leaves no half of it.
    making = WORK / "debian.new"
    shutil.rmtree(making, ignore_errors=True)
    for package in downloads.glob("*.deb"):
        command("dpkg-deb", "--extract", package, making)
    command("depmod", "--basedir", making, kernel_version(making))
    making.rename(unpacked)
    return unpacked


def kernel_version(folder):
    return next((folder / "lib/modules").iterdir()).name


def kernel(folder):
    return folder / "boot" / f"vmlinuz-{kernel_version(folder)}"


def initramfs(folder, package, picture):
    """Packs the first file system: Debian's busybox and drivers, the installed package, the USB camera and the picture
    it shows, a damaged model. Returns its file."""
    tree = WORK / "initramfs"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "tests/board/guest", tree)
    for name in ["bin", "drivers", "lib", "pictures"]:
        (tree / name).mkdir()
    command("dpkg-deb", "--extract", package, tree)
    shutil.copy(folder / "bin/busybox", tree / "bin")
    shutil.copy(BUILT / "usb-camera", tree / "usr/bin")
    shutil.copy(picture, tree / "pictures/film.jpg")
    damage_model(tree / "damaged-model")
    for library in LIBRARIES:
        shutil.copy(GNU / library, tree / "lib")

    order = []
    for driver in [*DRIVERS, VIRTUAL_CAMERA]:
        listing = command("modprobe", "--dirname", folder, "--set-version", kernel_version(folder),
                          "--show-depends", driver)
        for line in listing.splitlines():
            kind, _, path = line.strip().partition(" ")
            name = Path(path.split()[0]).name
            if kind == "insmod" and name not in order:
                shutil.copy(path.split()[0], tree / "drivers")
                order.append(name)
    order.remove(f"{VIRTUAL_CAMERA}.ko")
    (tree / "drivers/order").write_text("".join(f"{name}\n" for name in order))

    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = subprocess.run(["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"], cwd=tree,
                            input=names.encode(), stdout=subprocess.PIPE, check=True).stdout
    file = WORK / "initramfs.gz"
    file.write_bytes(gzip.compress(packed, 1))
    return file


def damage_model(folder):
    """Writes a model bundle into a new folder, of whose network only the beginning is there."""
    folder.mkdir()
    for name in ["manifest.toml", "film-space.json"]:
        shutil.copy(MODEL / name, folder)
    (folder / "model.onnx").write_bytes((MODEL / "model.onnx").read_bytes()[:65536])


def device_tree(folder, display=True):
    """The Raspberry Pi 3's device tree, with the framebuffer that its firmware would add. Returns its file."""
    file = WORK / ("board.dtb" if display else "board-no-display.dtb")
    shutil.copy(folder / f"usr/lib/linux-image-{kernel_version(folder)}/broadcom/bcm2837-rpi-3-b.dtb", file)
    # A Bluetooth chip that is not there would take the serial console.
    command("fdtput", "--remove", file, "/soc/serial@7e201000/bluetooth")
    if display:
        width, height = DISPLAY
        node = f"/chosen/framebuffer@{FRAMEBUFFER:x}"
        command("fdtput", "-t", "u", file, "/chosen", "#address-cells", 1)
        command("fdtput", "-t", "u", file, "/chosen", "#size-cells", 1)
        command("fdtput", "-t", "bx", file, "/chosen", "ranges")
        command("fdtput", "-c", file, node)
        command("fdtput", "-t", "s", file, node, "compatible", "simple-framebuffer")
        command("fdtput", "-t", "u", file, node, "reg", FRAMEBUFFER, width * height * 4)
        command("fdtput", "-t", "u", file, node, "width", width)
        command("fdtput", "-t", "u", file, node, "height", height)
        command("fdtput", "-t", "u", file, node, "stride", width * 4)
        command("fdtput", "-t", "s", file, node, "format", "a8r8g8b8")
    return file


def new_card(file, contents=None):
    """Writes an SD card with an ext4 file system, empty or with a folder's contents."""
    with open(file, "wb") as card:
        card.truncate(CARD_BYTES)
    command("mkfs.ext4", "-q", "-F", "-m", "0", *(["-d", contents] if contents else []), file)


def unpacked_debian(folder):
    """Writes a disk with Debian 12 on it, whose packages still have to be set up, on the board. Returns its file."""
    install_missing(UNPACKERS)
    tree, disk = WORK / "debian-12", WORK / "debian-12.new.img"
    shutil.rmtree(tree, ignore_errors=True)
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    obtain("fakeroot", "sh", "-ec", UNPACK_DEBIAN, "sh", tree, folder, disk)
    shutil.rmtree(tree)
    return disk


def card_contents(file, folder, within="/"):
    """Copies the card's files, those within a folder of it, into a new folder, after the journal is replayed as the next
    boot would do."""
    checked = subprocess.run(["e2fsck", "-f", "-p", str(file)], capture_output=True, text=True)
    # 1: errors that a crash leaves, corrected.
    if checked.returncode > 1:
        raise RuntimeError(f"the SD card's file system is damaged: {checked.stdout}{checked.stderr}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command("debugfs", "-R", f'rdump {within} "{folder}"', file)
    return folder / Path(within).name

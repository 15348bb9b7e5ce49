"""The two boards that QEMU is: what they are made of, and where their button and LEDs are."""

import image


class RaspberryPi:
    """A Raspberry Pi 3: BCM2835 pins, the VideoCore's framebuffer, an SD card in its slot."""

    CARD = "/dev/mmcblk0"
    BUTTON, READY, ATTENTION = 17, 27, 22
    # Levels: the pressed button's, and a shining LED's.
    PRESSED, LIT = False, True
    # The box's settings are the defaults.
    SETTINGS = ""
    # rppal needs iomem=relaxed where there is no /dev/gpiomem, which only Raspberry Pi's own kernel has.
    KERNEL_OPTIONS = "iomem=relaxed"

    # Registers of the GPIO block, at the address where a Raspberry Pi 3 has it.
    GPIO_SET, GPIO_CLEAR, GPIO_LEVEL = 0x3F20_001C, 0x3F20_0028, 0x3F20_0034

    def options(self, debian, card, display):
        width, height = image.DISPLAY
        return ["-M", "raspi3b", "-dtb", image.device_tree(debian, display), "-drive", f"file={card},if=sd,format=raw",
                "-global", f"bcm2835-fb.xres={width}", "-global", f"bcm2835-fb.yres={height}",
                "-global", "bcm2835-fb.bpp=32", "-global", "bcm2835-fb.pixo=0"]

    def set_button(self, board, level):
        """Pulls the button's line up or down. QEMU lets a write to these registers change an input, too."""
        board.qtest(f"writel {self.GPIO_SET if level else self.GPIO_CLEAR:#x} {1 << self.BUTTON:#x}")

    def levels(self, board):
        """The level of each line, a bit each."""
        return int(board.qtest(f"readl {self.GPIO_LEVEL:#x}").split()[1], 16)


class VirtualBoard:
    """QEMU's generic ARM board: pins behind the kernel's GPIO character device, a DRM display, a virtual disk."""

    CARD = "/dev/vda"
    # The PL061 has eight lines; line 3 is the board's power key.
    BUTTON, READY, ATTENTION = 5, 6, 2
    # The other way round than on the Raspberry Pi.
    PRESSED, LIT = True, False
    SETTINGS = (f"[panel]\nbackend = 'gpiochip'\nbutton = {BUTTON}\nready = {READY}\nattention = {ATTENTION}\n"
                "active_low = false\nleds_active_low = true\n")
    KERNEL_OPTIONS = ""

    # GPIODATA, with an address that masks no line out.
    GPIO_DATA = 0x0903_0000 + (0xFF << 2)

    def options(self, debian, card, display):
        width, height = image.DISPLAY
        screen = ["-device", f"virtio-gpu-pci,xres={width},yres={height}"] if display else []
        return ["-M", "virt", "-cpu", "cortex-a72", "-m", "1G", "-nic", "none", *screen,
                "-drive", f"file={card},if=virtio,format=raw"]

    def set_button(self, board, level):
        devices = board.qmp("qom-list", path="/machine/unattached")
        pins = next(device["name"] for device in devices if device["type"] == "child<pl061>")
        board.qtest(f"set_irq_in /machine/unattached/{pins} unnamed-gpio-in {self.BUTTON} {int(level)}")

    def levels(self, board):
        return int(board.qtest(f"readl {self.GPIO_DATA:#x}").split()[1], 16)

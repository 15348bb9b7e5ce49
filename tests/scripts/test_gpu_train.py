"""scripts/gpu-train: a run's files go through parts unchanged, a run ends in time, and goes on where it ended."""

import argparse
import json
import lzma
import tarfile
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from load import load

gpu_train = load("gpu-train")

# A trainer that writes a checkpoint when it is asked to stop, and counts how often it was started.
TRAINER = """#!/bin/sh
mkdir -p run/checkpoint
starts=$(cat run/checkpoint/starts 2>/dev/null || echo 0)
echo "start $((starts + 1)): $*"
trap 'echo $((starts + 1)) > run/checkpoint/starts; exit 0' INT
[ "$starts" = 2 ] && { echo done > run/averaged.safetensors; exit 0; }
i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done
"""


class Parts(unittest.TestCase):
    def test_files_go_through_parts_unchanged(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(gpu_train, "PART", 1000):
            run, out, back = (Path(folder) / name for name in ("run", "out", "back"))
            files = {"best.safetensors": bytes(range(256)) * 10, "metrics.csv": b"", "checkpoint/student.mpk": b"x" * 1000}
            for name, content in files.items():
                (run / name).parent.mkdir(parents=True, exist_ok=True)
                (run / name).write_bytes(content)
            (run / "photographs").mkdir()
            (run / "photographs/1.png").write_bytes(b"not sent")
            out.mkdir()
            gpu_train.split(run, out)
            self.assertTrue(all(path.stat().st_size <= 1000 for path in out.glob("*.[0-9][0-9]")))
            gpu_train.join(out, back)
            found = {path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*") if path.is_file()}
            self.assertEqual(found, files)


class Runs(unittest.TestCase):
    def test_a_run_ends_in_time_and_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "trainer.xz").write_bytes(lzma.compress(TRAINER.encode()))
            (folder / "settings.json").write_text(json.dumps(["--seed", "7"]))
            with tarfile.open(folder / "kit.tar", "w") as kit:
                for name in ("trainer.xz", "settings.json"):
                    kit.add(folder / name, name)
            out = folder / "out"
            patches = [
                mock.patch.object(gpu_train, "TO_END", 1),
                mock.patch.object(gpu_train, "torch_environment", lambda: None),
                mock.patch("builtins.print"),
            ]
            for number in range(3):
                # Another machine each time: nothing is left but what came back.
                work = folder / f"work{number}"
                args = argparse.Namespace(kit=folder / "kit.tar", out=out, work=work, minutes=2 / 60, backend="libtorch")
                started = time.monotonic()
                with patches[0], patches[1], patches[2], self.assertRaises(SystemExit) as ended:
                    gpu_train.run(args)
                self.assertEqual(ended.exception.code, 0)
                self.assertLess(time.monotonic() - started, 30)
            log = (out / "train.log").read_text()
            self.assertIn("start 3: train", log)
            self.assertIn("--backend libtorch --seed 7", log)
            gpu_train.join(out, folder / "collected")
            self.assertEqual((folder / "collected/averaged.safetensors").read_text(), "done\n")


if __name__ == "__main__":
    unittest.main()

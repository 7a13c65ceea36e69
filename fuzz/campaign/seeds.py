"""
Seeds in the repository: inputs that no generator makes and that add coverage.

What campaigns find is added with `fuzz/run seed`: as few inputs as it takes to cover each outcome of a condition that
the corpora of libFuzzer, or other directories, cover and that the inputs of all targets do not. Everything else that a
campaign finds can be found again.
"""

import hashlib
import shutil

from campaign import builds, cover


class Chooser:
    """Chooses among the inputs of one target those that cover more; `coverage` grows by them."""

    def __init__(self, target, coverage):
        self.target, self.program = target, builds.build("cover", [target]) / target
        self.coverage, self.uncovered = coverage, uncovered_by(coverage)

    def choose(self, paths):
        """By halves: a half that covers nothing new is dropped as a whole."""
        if not paths:
            return []
        profile = cover.profile(self.target, self.program, paths)
        left = uncovered_by(self.coverage.with_profile(profile, "more"))
        if not self.uncovered - left:
            return []
        if len(paths) == 1:
            self.coverage, self.uncovered = self.coverage.with_profile(profile, "all"), left
            return paths
        half = len(paths) // 2
        return self.choose(paths[:half]) + self.choose(paths[half:])


def uncovered_by(coverage):
    return cover.Conditions(coverage.export()).uncovered()


def command(options):
    builds.need(*builds.PACKAGES["cover"])
    coverage = cover.measure(builds.targets())
    for target in options.targets:
        places = [place / target for place in options.from_] if options.from_ else cover.corpus_of(target)
        paths = [path for place in places if place.is_dir() for path in sorted(place.iterdir())]
        paths.sort(key=lambda path: path.stat().st_size)
        chooser = Chooser(target, coverage)
        chosen = chooser.choose(paths)
        coverage = chooser.coverage
        for path in chosen:
            kept = builds.FUZZ / "seeds" / target / hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)
        print(f"{target}: {len(chosen)} of {len(paths)} inputs cover more, and are kept")
    return 0

"""All checks of the sources in one command: ``python scripts/check.py [--fix]``.

Linter, format, types, import contracts and dependencies: all run even when one fails, so that one
run tells everything; the exit status is 0 only when all agree. The tools are those of the Python
that runs this file.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LINT_IMPORTS = (
    "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c(['--no-logo']))"
)

CHECKS = {
    "ruff check": ["-m", "ruff", "check", "--quiet", "--output-format", "concise"],
    "ruff format": ["-m", "ruff", "format", "--check", "--quiet", "--output-format", "concise"],
    "mypy": ["-m", "mypy", "--no-error-summary"],
    "mypy, scripts": ["-m", "mypy", "--no-error-summary", "bootstrap.py", "scripts"],
    "import contracts": ["-c", LINT_IMPORTS],
    "dependencies": ["-m", "deptry", "engine", "desktop", "--no-ansi"],
}
REPAIRS = {
    "ruff check": ["-m", "ruff", "check", "--quiet", "--fix"],
    "ruff format": ["-m", "ruff", "format", "--quiet"],
}


def main() -> int:
    """Run every check, print a line for each and the output of those that fail."""
    parser = argparse.ArgumentParser(description="Run the linter, the type checker and contracts.")
    parser.add_argument("--fix", action="store_true", help="let ruff correct what it can")
    options = parser.parse_args()
    failed = [name for name in CHECKS if not passes(name, fix=options.fix)]
    if failed:
        print(f"FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def passes(name: str, *, fix: bool) -> bool:
    """Run one check and tell whether the sources pass it."""
    arguments = REPAIRS.get(name, CHECKS[name]) if fix else CHECKS[name]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    passed = done.returncode == 0
    verdict = "ok" if passed else "FAILED"
    print(f"{name:<18} {verdict:<6} {time.monotonic() - started:5.1f} s", flush=True)
    if not passed:
        for line in (done.stdout + done.stderr).strip().splitlines():
            print(f"    {line}")
    return passed


if __name__ == "__main__":
    sys.exit(main())

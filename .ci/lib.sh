# Sourced by the scripts beside it: finds Python 3.11 and uv, and tells uv what pip is told.
# shellcheck shell=bash

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 3; }

# find_python: prints the path of a Python 3.11, the one named by PYTHON first.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3 python /usr/bin/python3.11; do
    if "$candidate" -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys._base_executable)' # not the one of an active environment
      return 0
    fi
  done
  return 1
}

# pip_settings PYTHON: prints an `export UV_...` line for every setting that pip has and uv lacks. uv reads none of pip's.
pip_settings() {
  "$1" - <<'PY'
import ast, os, shlex, subprocess, sys

RANK = ("global", "install", ":env:")  # later wins, as in pip
told: dict[str, tuple[int, str]] = {}


def tell(rank: int, option: str, value: str) -> None:
    if value and told.get(option, (rank, ""))[0] <= rank:
        told[option] = (rank, value)


for key, value in os.environ.items():  # for a machine without pip, where the listing below is empty
    if key.startswith("PIP_"):
        tell(RANK.index(":env:"), key[4:].lower().replace("_", "-"), value)
listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
for line in listing.stdout.splitlines():  # section.option='value'
    key, _, value = line.partition("=")
    section, _, option = key.partition(".")
    if section in RANK:
        tell(RANK.index(section), option, str(ast.literal_eval(value)))

UV = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    "no-index": ("UV_NO_INDEX",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "default-timeout": ("UV_HTTP_TIMEOUT",),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "cert": ("SSL_CERT_FILE",),
}
exported: set[str] = set()
for option, names in UV.items():
    if option not in told or any(name in os.environ or name in exported for name in names):
        continue
    value = told[option][1]
    if option == "find-links":
        value = ",".join(value.split())
    print(f"export {names[0]}={shlex.quote(value)}")
    exported.add(names[0])
# pip looks for the best version on every index; uv stops at the first that knows the name unless told otherwise.
if "UV_INDEX" in exported and "UV_INDEX_STRATEGY" not in os.environ:
    print("export UV_INDEX_STRATEGY=unsafe-best-match")
PY
}

# find_uv PYTHON: leaves the command in the array `uv`.
find_uv() {
  local candidate
  for candidate in uv "$PWD/.tools/uv/bin/uv"; do
    if "$candidate" --version >/dev/null 2>&1; then uv=("$candidate"); return 0; fi
  done
  if "$1" -m uv --version >/dev/null 2>&1; then uv=("$1" -m uv); return 0; fi
  return 1
}

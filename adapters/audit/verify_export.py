"""Verify an exported audit chain: python -I verify_export.py EXPORT.jsonl [PUBLIC_KEY in 64 hexadecimal digits ...]"""

# Give the keys you were told by somebody you trust; without, the export's own are used: then it only fits together.
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def ensure(holds: bool, told: str) -> None:
    if not holds:
        sys.exit(f"NOT VERIFIED: {told}")


def check(content: dict[str, str], keys: dict[str, str], what: str) -> None:
    ensure(content["key"] in keys, f"{what} is signed by key {content['key']}, which is unknown")
    said = {name: value for name, value in content.items() if name != "signature"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys[content["key"]]))
        key.verify(bytes.fromhex(content["signature"]), text.encode())
    except (InvalidSignature, ValueError):
        sys.exit(f"NOT VERIFIED: {what} has a bad signature: it is not that of key {content['key']}")


def main(path: str, *trusted: str) -> str:
    with open(path, encoding="utf-8") as lines:
        header = json.loads(next(lines))
        keys = {hashlib.sha256(bytes.fromhex(key)).hexdigest()[:16]: key for key in trusted or header["keys"].values()}
        check(header, keys, "the header")
        place, last, seen = header["first"] - 1, header["previous"], {}
        for line in lines:
            place, text = place + 1, line.rstrip("\n")[line.index('"record":') + 9 : -1]
            digest, record = hashlib.sha256(text.encode()).hexdigest(), json.loads(text)
            ensure(line.startswith(f'{{"hash":"{digest}"'), f"record {place} was changed")
            ensure(record["sequence"] == place, f"record {place} was removed or moved: {record['sequence']} is there")
            ensure(record["previous"] == last, f"record {place} does not follow the one before it: one was changed")
            seen[place], last, made = digest, digest, record["entry"]["body"]
            if record["entry"]["kind"] == "checkpoint" and made["key"] in keys:
                check(made, keys, f"checkpoint {place}")
                known = made["sequence"] < header["first"] or seen.get(made["sequence"]) == made["hash"]
                ensure(known, f"record {made['sequence']} is not the one that checkpoint {place} was made of")
        ensure((place, last) == (header["last"], header["hash"]), f"truncated: it ends at {place} of {header['last']}")
    by = "" if trusted else " (the file's own word: give the public key you were told)"
    return f"verified: records {header['first']} to {place}, signed by key {header['key']}{by} at {header['at']}\n"


sys.stdout.write(main(*sys.argv[1:] or sys.exit(__doc__)) if __name__ == "__main__" else "")

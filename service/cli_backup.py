"""`evercrew backup`: making backups, and bringing them back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import ConfigurationError
from service.progress import waiting

if TYPE_CHECKING:
    from service.config import Config
    from service.sections import BackupConfig

backup = typer.Typer(no_args_is_help=True, help="Make, list, verify and restore backups.")

_MIB = 1024 * 1024
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="The configuration file (EVERCREW_CONFIG).")]
To = Annotated[
    str | None, typer.Option("--to", help="A folder or s3://bucket/prefix, in place of the configuration's backup.to.")
]
Stamp = Annotated[str, typer.Argument(help="A backup's stamp, e.g. 20260131T020000Z; latest is the newest.")]


def _target(path: Path | None, to: str | None) -> tuple[Config, BackupConfig]:
    """Read the configuration; nothing is built, for the state may be what is missing."""
    from service.config import load_config
    from service.sections import BackupConfig
    from service.settings import load

    config = load_config(path or load().config)
    target = config.backup
    if to is not None:
        if not to:
            raise ConfigurationError("to", "is empty", "Name a folder or s3://bucket/prefix")
        target = target.model_copy(update={"to": to}) if target is not None else BackupConfig(to=to)
    if target is None:
        raise ConfigurationError("backup.to", "is not set", "Name a folder or s3://bucket/prefix there, or with --to")
    return config, target


@backup.command("run", epilog="Example: evercrew backup run --config evercrew.yaml --to s3://backups/search")
def run(
    config: ConfigPath = None,
    to: To = None,
    full: Annotated[bool, typer.Option("--full", help="Upload everything anew, after verify found damage.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a backup, beside a working service too, and delete those that are not kept."""
    from domain.clock import SystemClock
    from service.backup import back_up, objects_of

    read, target = _target(config, to)
    with waiting("uploading what is new"):
        record = back_up(read, objects_of(target), SystemClock(), target=target, full=full)
    if as_json:
        typer.echo(record.model_dump_json(indent=2))
        return
    typer.echo(f"backup     {record.stamp}")
    typer.echo(f"holds      {record.files} files, {record.size / _MIB:.1f} MiB")
    typer.echo(f"uploaded   {record.uploaded_files} files, {record.uploaded_size / _MIB:.1f} MiB")
    typer.echo(f"audit      {record.audit_records} records, head {str(record.audit_head)[:16]}")
    for stamp in record.retired:
        typer.echo(f"retired    {stamp}")


@backup.command("list", epilog="Example: evercrew backup list --json")
def list_backups(config: ConfigPath = None, to: To = None, as_json: AsJson = False) -> None:
    """List backups, newest first."""
    from domain.clock import SystemClock
    from service.backup import backups, objects_of

    found = backups(objects_of(_target(config, to)[1]), SystemClock())
    rows = [{"stamp": m.stamp, "files": len(m.files), "size": m.size, **m.facts} for m in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['stamp']}  {row['files']:>6} files  {row['size'] / _MIB:>8.1f} MiB")
    if not rows:
        typer.echo("no backups")


@backup.command("verify", epilog="Example: evercrew backup verify latest")
def verify_backup(stamp: Stamp = "latest", config: ConfigPath = None, to: To = None, as_json: AsJson = False) -> None:
    """Fetch every file of a backup and check its hash. Ends with 1 when one is damaged."""
    from domain.clock import SystemClock
    from service.backup import objects_of, verify

    with waiting("fetching and hashing every file"):
        manifest, files = verify(objects_of(_target(config, to)[1]), SystemClock(), stamp=stamp)
    if as_json:
        typer.echo(json.dumps({"stamp": manifest.stamp, "files": files, "verified": True}, indent=2))
    else:
        typer.echo(f"{manifest.stamp}: {files} files are what the manifest says")


@backup.command("restore", epilog="Example: evercrew backup restore latest --config evercrew.yaml")
def restore_backup(
    stamp: Stamp = "latest",
    config: ConfigPath = None,
    to: To = None,
    into: Annotated[
        Path | None, typer.Option(help="Put everything below this folder, in place of where the configuration says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, verified; nothing that is there is overwritten. Stop the service first."""
    from domain.clock import SystemClock
    from service.backup import objects_of, restore

    read, target = _target(config, to)
    with waiting("fetching and checking, then putting in place"):
        done = restore(read, objects_of(target), SystemClock(), stamp=stamp, into=into)
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
        return
    typer.echo(f"restored   {done.stamp} into {done.into}: {done.files} files, {done.audit_records} audit records")
    for part in done.left_alone:
        typer.echo(f"left alone {part}: something stands in its place")
